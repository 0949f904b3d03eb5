"""Which project, region and API a Google Cloud target talks to: options that every one of them takes."""

from __future__ import annotations

import re
from typing import Any, Literal, TypedDict

from clouddeploy.errors import SpecError

Ingress = Literal["all", "internal", "internal-and-gclb"]
"""From where a function or service may be called."""
Form = Literal["onnx", "torch"]
"""In which form a torch model is packed."""
CONNECTOR = re.compile(r"projects/[^/]+/locations/[^/]+/connectors/[^/]+")


class GcpOptions(TypedDict, total=False):
    """Where calls go, and as whom. What is left out or None is found as Google's own tools find it.

    Keys:
        project: project id, such as ``"my-project-1234"``.
        region: such as ``"europe-west1"``.
        credentials: path of a service account's key file, an object of google.auth's, or
            ``"anonymous"`` for a cloud that asks for none.
        endpoint_url: where the APIs answer instead of Google, such as the embedded cloud.
    """

    project: str | None
    region: str | None
    credentials: Any
    endpoint_url: str | None


def refuse_unknown(options: GcpOptions) -> None:
    """Fail as Python does for a keyword argument that there isn't.

    Raises:
        TypeError: names it.
    """
    unknown = sorted(options.keys() - GcpOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"unexpected options: {', '.join(unknown)}")


def check_path(name: str, value: str | None, rule: re.Pattern[str], kind: str) -> None:
    """Refuse an option that is to name a resource by its whole path.

    Args:
        name: the option's.
        value: what was given; None is fine.
        rule: the form of the path.
        kind: of the resource, in the plural, as in the path.

    Raises:
        SpecError: tells the form.
    """
    if value is not None and not rule.fullmatch(value):
        raise SpecError(
            f"{name} is {value!r}",
            why=f"allowed: projects/<project>/locations/<region>/{kind}/<name>",
            fix="give the whole path",
        )
