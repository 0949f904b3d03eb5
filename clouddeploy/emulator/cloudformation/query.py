"""The Query protocol by the service's own model: parameters out of a form, answers into XML.

"AWS Query protocol", Smithy documentation: lists are ``Name.member.1``, structures ``Name.Member``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.constraints import model
from clouddeploy.emulator.http.message import Response

NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


def parameters(call: Call) -> dict[str, Any]:
    """The parameters of a CloudFormation call.

    Raises:
        Refused: a required one is missing.
    """
    form = dict(parse_qsl(call.request.body.decode("utf-8", "replace"), keep_blank_values=True))
    shape = model("cloudformation").operation_model(call.operation).input_shape
    found: dict[str, Any] = _read(shape, form, "") or {}
    lacking = [name for name in shape.required_members if name not in found]
    if lacking:
        where = lacking[0][:1].lower() + lacking[0][1:]
        raise Refused(
            f"1 validation error detected: Value null at '{where}' failed to satisfy constraint: "
            "Member must not be null",
            code="ValidationError",
        )
    return found


def _read(shape: Any, form: Mapping[str, str], path: str) -> Any:
    if shape.type_name == "structure":
        start = f"{path}." if path else ""
        members = {name: _read(member, form, f"{start}{name}") for name, member in shape.members.items()}
        found = {name: value for name, value in members.items() if value is not None}
        return found or None
    if shape.type_name == "list":
        items: list[Any] = []
        while (item := _read(shape.member, form, f"{path}.member.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    text = form.get(path)
    if text is None or shape.type_name == "string":
        return text
    return text == "true" if shape.type_name == "boolean" else int(text)


def answer(operation: str, body: Mapping[str, Any]) -> Response:
    """`body` as the answer to `operation`."""
    shape = model("cloudformation").operation_model(operation).output_shape
    inner = _write(shape, body) if shape is not None else ""
    text = (
        f'<{operation}Response xmlns="{NAMESPACE}"><{operation}Result>{inner}</{operation}Result>'
        f"<ResponseMetadata><RequestId>emulated</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Response(200, [("Content-Type", "text/xml")], text.encode())


def _write(shape: Any, value: Any) -> str:
    if shape.type_name == "structure":
        members = ((name, member) for name, member in shape.members.items() if value.get(name) is not None)
        return "".join(f"<{name}>{_write(member, value[name])}</{name}>" for name, member in members)
    if shape.type_name == "list":
        return "".join(f"<member>{_write(shape.member, item)}</member>" for item in value)
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(str(value))
