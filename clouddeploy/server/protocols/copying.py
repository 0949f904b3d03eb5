"""How requests of each protocol are read again for a shadow, and their answers compared with its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime import strict_json
from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.models.shadowing import Form, Show
from clouddeploy.server.protocols import tfserving, v2
from clouddeploy.server.protocols.infer import read_infer, write_infer
from clouddeploy.server.protocols.tensors import outputs_of

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.message import Request as HttpRequest
    from clouddeploy.server.models import Loaded

READERS = {
    "predict": tfserving.read_predict,
    "classify": tfserving.read_classify,
    "regress": tfserving.read_regress,
}
TFSERVING = re.compile(rf"/v1/models/[^/:]+:({'|'.join(READERS)})")
V2 = re.compile(r"/v2/models/[^/:]+/infer")


def install(app: App) -> None:
    """Let requests be copied that name no version."""
    app.models.shadows.forms += [Form(TFSERVING, read_tfserving), Form(V2, read_v2, outputs_in)]


def read_tfserving(request: HttpRequest, to: Loaded) -> tuple[Request, Show]:
    """As `Form.read` has it.

    Raises:
        WireError: `to` doesn't take the request.
    """
    value = strict_json.loads(request.body)
    if not isinstance(value, dict):
        raise WireError("bad_input", "the body is no object", tfserving.FIX)
    value.pop("signature_name", None)
    asked, write = READERS[request.path.rpartition(":")[2]](value, to.service.signature)
    return asked, lambda result: json.loads(strict_json.dumps(write(result)))


def read_v2(request: HttpRequest, to: Loaded) -> tuple[Request, Show]:
    """As `Form.read` has it.

    Raises:
        WireError: `to` doesn't take the request.
    """
    signature, size = to.service.signature, request.headers.get(v2.LENGTH)
    asked = read_infer(request.body, None if size is None else int(size), signature)

    def show(result: Result) -> Any:
        outputs = outputs_of(result, signature, asked.wanted, binary=False)
        return outputs_in(write_infer({}, [(name, array, False) for name, array, _ in outputs])[0])

    return asked.request, show


def outputs_in(body: bytes) -> Any:
    """What a response of V2 says, but for which version said it."""
    return json.loads(body)["outputs"]
