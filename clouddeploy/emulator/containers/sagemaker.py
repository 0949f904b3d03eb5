"""SageMaker's container contract around a user's ``code/inference.py``.

Runs as a script in an environment that has no clouddeploy: standard library only, and numpy where a
default of the toolkit needs it. ``GET /ping`` answers 200 once the model is loaded, ``POST /invocations``
one prediction ("Use Your Own Inference Code with Hosting Services", Amazon SageMaker Developer Guide).
The functions are called as the sagemaker-inference toolkit 1.10 does in its ``Transformer``.

    python -I sagemaker.py MODEL_DIR LISTENING_SOCKET

Standard input is a pipe that its parent holds: when it closes, the parent is gone and so are we.
"""

from __future__ import annotations

import http.server
import importlib
import importlib.util
import inspect
import io
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
UTF8_TYPES = (JSON, CSV)
HOOKS = ("pre_model_fn", "model_fn", "model_warmup_fn", "transform_fn", "input_fn", "predict_fn", "output_fn")


class RequestProperties:
    """What the toolkit reads of a request: ``context.request_processor[0]``."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def get_request_properties(self) -> dict[str, str]:
        """The request's headers."""
        return self._headers


class Context:
    """The model server's context, as far as handlers use it; one object for the process's life.

    `idx` is the request's place in a batch; there is one request in ours, so it is taken and not looked at.
    """

    def __init__(self, model_dir: str) -> None:
        self.system_properties = {"model_dir": model_dir, "gpu_id": None, "batch_size": 1}
        self.manifest: dict[str, Any] = {}
        self.begin({})

    def begin(self, headers: dict[str, str]) -> None:
        """Forget the last request."""
        self.request_processor = [RequestProperties(headers)]
        self.status, self.phrase = 200, ""
        self.content_type: str | None = None
        self.headers: dict[str, str] = {}

    def get_request_header(self, idx: int, key: str) -> str | None:
        """One header of the request."""
        return {k.lower(): v for k, v in self.get_all_request_header(idx).items()}.get(key.lower())

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        """All headers of the request."""
        return self.request_processor[idx].get_request_properties()

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """The status that the response will have."""
        self.status, self.phrase = int(code), phrase

    def get_response_status(self, idx: int = 0) -> tuple[int, str]:
        """The status set so far."""
        return self.status, self.phrase

    def set_response_content_type(self, idx: int, value: str) -> None:
        """The response's media type."""
        self.content_type = value

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """A header of the response."""
        self.headers[key] = value


def default_model_fn(model_dir: str) -> Any:
    """The toolkit's own: there is none."""
    raise NotImplementedError("Please provide a model_fn implementation.")


def default_predict_fn(data: Any, model: Any) -> Any:
    """The toolkit's own: there is none."""
    raise NotImplementedError("Please provide a predict_fn implementation.")


def default_input_fn(input_data: Any, content_type: str) -> Any:
    """JSON, CSV and npy into a numpy array, as the toolkit's decoder does."""
    import numpy as np

    if content_type == JSON:
        return np.array(json.loads(input_data))
    if content_type == CSV:
        return np.genfromtxt(io.StringIO(input_data), delimiter=",")
    if content_type == NPY:
        return np.load(io.BytesIO(input_data), allow_pickle=False)
    raise ValueError(f"Content type {content_type} is not supported by this framework.")


def default_output_fn(prediction: Any, accept: str) -> Any:
    """An array into JSON, CSV or npy, as the toolkit's encoder does."""
    import numpy as np

    for media in accept.replace(" ", "").split(","):
        if media == JSON:
            return json.dumps(prediction, default=lambda a: a.tolist()), media
        if media == CSV:
            text = io.StringIO()
            np.savetxt(text, prediction, delimiter=",", fmt="%s")
            return text.getvalue(), media
        if media == NPY:
            raw = io.BytesIO()
            np.save(raw, prediction)
            return raw.getvalue(), media
    raise ValueError(f"Content type {accept} is not supported by this framework.")


class Transformer:
    """The toolkit's ``Transformer``: finds the user's functions and calls them."""

    def __init__(self, model_dir: str) -> None:
        self.context = Context(model_dir)
        self.default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
        # One request at a time, as in one worker of the model server: handlers need not be thread-safe.
        self._turn = threading.Lock()
        found = self._user_functions()
        if found["transform_fn"] and (found["input_fn"] or found["predict_fn"] or found["output_fn"]):
            raise ValueError(
                "Cannot use transform_fn implementation in conjunction with "
                "input_fn, predict_fn, and/or output_fn implementation"
            )
        self._input = found["input_fn"] or default_input_fn
        self._predict = found["predict_fn"] or default_predict_fn
        self._output = found["output_fn"] or default_output_fn
        self._transform = found["transform_fn"]
        if found["pre_model_fn"]:
            self._call(found["pre_model_fn"], model_dir)
        self._model = self._call(found["model_fn"] or default_model_fn, model_dir)
        if found["model_warmup_fn"]:
            self._call(found["model_warmup_fn"], model_dir, self._model)

    def _user_functions(self) -> dict[str, Callable[..., Any] | None]:
        name = os.environ.get("SAGEMAKER_PROGRAM", "inference.py").removesuffix(".py")
        module = importlib.import_module(name) if importlib.util.find_spec(name) else None
        return {hook: getattr(module, hook, None) for hook in HOOKS}

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function`, with the context when it takes one argument more."""
        takes = len(inspect.signature(function).parameters)
        if takes == len(arguments):
            return function(*arguments)
        if takes == len(arguments) + 1:
            return function(*arguments, self.context)
        name = getattr(function, "__name__", function)
        raise TypeError(f"{name} takes {takes} arguments but {len(arguments)} were given.")

    def _run(self, body: bytes, headers: dict[str, str]) -> Any:
        given = {k.lower(): v for k, v in headers.items()}
        content_type, accept = given.get("content-type"), given.get("accept")
        if not accept or accept == "*/*":
            accept = self.default_accept
        data: Any = body.decode("utf-8") if content_type in UTF8_TYPES else body
        if self._transform:
            result = self._call(self._transform, self._model, data, content_type, accept)
        else:
            prediction = self._call(self._predict, self._call(self._input, data, content_type), self._model)
            result = self._call(self._output, prediction, accept)
        result, media = result if isinstance(result, tuple) else (result, accept)
        self.context.set_response_content_type(0, media)
        return result

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, dict[str, str], bytes]:
        """Status, media type, headers and body of the response to one request."""
        with self._turn:
            context = self.context
            context.begin(headers)
            try:
                result = self._run(body, headers)
            except Exception as error:  # the contract: whatever the handler raises is a 500 with its trace
                trace = traceback.format_exc()
                sys.stderr.write(trace)
                code = getattr(error, "status_code", 500)
                context.set_response_status(code if isinstance(code, int) else 500, str(error))
                result = f"{getattr(error, 'message', None) or str(error) or 'Invalid Request'}\n{trace}"
            if isinstance(result, str):
                result = result.encode("utf-8")
            elif not isinstance(result, (bytes, bytearray)):
                result = json.dumps(result, indent=2).encode("utf-8")
            return context.status, context.content_type or JSON, context.headers, bytes(result)


def handler_of(transformer: Transformer) -> type[http.server.BaseHTTPRequestHandler]:
    """The request handler class that serves `transformer`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One write per response, sent at once: otherwise Nagle and delayed acknowledgements
        # cost 40 ms and more for each request.
        wbufsize = -1
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            """Requests aren't logged; what the handler prints is."""

        def _reply(self, status: int, media: str, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": media, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, str(value).replace("\r", " ").replace("\n", " "))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def do_GET(self) -> None:
            self._reply(200 if self.path == "/ping" else 404, JSON, {}, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/invocations":
                self._reply(404, JSON, {}, b"")
                return
            self._reply(*transformer.answer(body, dict(self.headers.items())))

    return Handler


def end_with_parent() -> None:
    """Wait for the parent's end of the pipe to close, then end this process and its children."""
    while os.read(0, 4096):
        continue
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main(model_dir: str, descriptor: int) -> None:
    """Load the model, then serve until the parent is gone."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.path.insert(0, os.path.join(model_dir, "code"))
    try:
        transformer = Transformer(model_dir)
    except BaseException:  # whatever it is, it must reach the log before the process ends
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), handler_of(transformer), bind_and_activate=False
    )
    server.socket.close()
    server.socket = socket.socket(fileno=descriptor)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
