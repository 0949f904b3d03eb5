"""A model: weights, code, requirements and signature, immutable and named by its content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clouddeploy.errors import ModelError
from clouddeploy.model.files import File
from clouddeploy.model.scratch import Scratch
from clouddeploy.model.signature import Signature
from clouddeploy.spec import digest_of

if TYPE_CHECKING:
    import torch

Format = Literal["torch-export", "torch-state-dict", "torchscript", "onnx", "safetensors", "pickle", "files"]
Call = Literal["positional", "keyword", "mapping"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Model:
    """What answers requests: made by `from_torch`, `from_file` or `from_folder`.

    Args:
        format: how the weights are saved; ``"files"`` leaves them to the handler.
        files: weights and data.
        code: the handler and the modules that it needs, named from the code's root.
        handler: the handler's name in `code`; None takes the built-in one of the format.
        requirements: PEP 508 requirements, sorted.
        framework: name and version of what wrote the weights.
        signature: inputs and outputs; None where unknown.
        weights: name in `files` of the file that the built-in loader loads.
        source: for weights without a program: module, class and constructor arguments.
        call: how the built-in loader calls the module.
        opset: version of ONNX's operators, where `to` converted it.
        notes: what was noticed while the model was made; not part of the digest.
    """

    format: Format
    files: tuple[File, ...]
    code: tuple[File, ...] = ()
    handler: str | None = None
    requirements: tuple[str, ...] = ()
    framework: tuple[str, str] | None = None
    signature: Signature | None = None
    weights: str | None = None
    source: Mapping[str, Any] | None = None
    call: Call = "positional"
    opset: int | None = None
    notes: tuple[str, ...] = ()
    scratch: Scratch | None = field(default=None)

    @cached_property
    def digest(self) -> str:
        """sha256 over content, 64 hex digits: the same on any machine, path and day."""
        return digest_of({**self._facts(), "contents": self._contents()})

    @property
    def size(self) -> int:
        """Bytes of `files`."""
        return sum(file.size for file in self.files)

    def manifest(self) -> dict[str, Any]:
        """What the artifact's ``clouddeploy.json`` holds: JSON values, the same for the same digest."""
        return {"version": 1, "model": self.digest, **self._facts()}

    def _facts(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "weights": self.weights,
            "handler": self.handler,
            "requirements": list(self.requirements),
            "framework": list(self.framework) if self.framework else None,
            "signature": self.signature.as_dict() if self.signature else None,
            "source": dict(self.source) if self.source else None,
            "call": self.call,
            "allow_pickle": self.format == "pickle",
            **({"opset": self.opset} if self.opset else {}),
        }

    def _contents(self) -> list[list[list[str]]]:
        return [sorted([file.name, file.sha256] for file in group) for group in (self.files, self.code)]

    def load(self) -> Callable[[Any], Any]:
        """The model in this process: a batch of arrays in, arrays out, as an endpoint answers them.

        Raises:
            HandlerError: it can't be loaded.
        """
        from clouddeploy.model.local import load

        return load(self)

    def handler_check(self, *, timeout_s: float = 60) -> dict[str, Any] | None:
        """Load the model and predict the example in a process of its own, as an endpoint would.

        Args:
            timeout_s: seconds until that process and its children are ended.

        Returns:
            The predictions by output name (``""`` for a single one); None without an example.

        Raises:
            HandlerError: it failed or hung; tells the phase and the last lines of the trace.
        """
        from clouddeploy.model.local import check

        return check(self, timeout_s)

    def to(
        self,
        format: Literal["onnx"],
        *,
        opset: int | None = None,
        tolerance: float = 1e-4,
        example_input: Any = None,
        check: bool = True,
        timeout_s: float = 120,
    ) -> Model:
        """This model as ONNX, for targets that torch doesn't fit; itself where it is ONNX already.

        Its answers are compared with torch's on the example and on random inputs at batch sizes 1,
        3 and 8; `notes` tell the largest difference. Handler and requirements are kept, without
        torch and with onnxruntime.

        Args:
            format: ``"onnx"``.
            opset: version of ONNX's operators; by default the newest that torch's exporter writes.
            tolerance: a difference of so much of ``1 + |value|`` is allowed.
            example_input: a batch that the module takes, where the model doesn't tell.
            check: where there is a handler, load and call it with the ONNX form in a process of its own.
            timeout_s: seconds that this check may take.

        Raises:
            ModelError: it can't be exported (names the operator), or answers differently.
            HandlerError: the handler fails with the ONNX form.
            TargetError: onnx or onnxruntime isn't installed.
        """
        from clouddeploy.model.onnx_export import to_onnx

        if format != "onnx":
            raise ModelError(f"format is {format!r}", why="allowed: 'onnx'", fix="write it so")
        return to_onnx(
            self,
            opset=opset,
            tolerance=tolerance,
            example_input=example_input,
            check=check,
            timeout_s=timeout_s,
        )

    @classmethod
    def from_torch(
        cls,
        module: torch.nn.Module,
        *,
        example_input: Any,
        handler: str | Path | None = None,
        handler_input: Any = None,
        requirements: Sequence[str] = (),
        include: Sequence[str] = (),
        format: Literal["auto", "export", "state_dict"] = "auto",
        init: Mapping[str, Any] | None = None,
        free_dims: Mapping[str, Sequence[int]] | None = None,
        allow_pickle: bool = False,
        check: bool = True,
        timeout_s: float = 120,
    ) -> Model:
        """Save a torch module so that it loads without the code that trained it.

        Args:
            module: what to deploy; saved in evaluation mode, left as it is.
            example_input: a batch that it takes: a tensor or array, a tuple or a dict of them.
            handler: your inference code; None serves the module as it is.
            handler_input: a batch that the handler takes, where that is something else.
            requirements: PEP 508 requirements of the code.
            include: further code files beside the handler.
            format: ``"auto"`` exports the program (torch.export), or where that fails saves the
                weights with the source of the class.
            init: constructor arguments of the class, JSON values, for the weights form.
            free_dims: dimensions besides the batch that may vary, by input name.
            allow_pickle: fall back to a pickle of the module, which executes code when loaded.
            check: load and call what was saved in a process of its own.
            timeout_s: seconds that this check may take.

        Raises:
            ModelError: it can't be saved, or what was saved gives other results.
            HandlerError: the handler can't be imported, loaded or called.
        """
        from clouddeploy.model.torch_module import save

        return save(
            module,
            example_input=example_input,
            handler=handler,
            handler_input=handler_input,
            requirements=requirements,
            include=include,
            format=format,
            init=init,
            free_dims=free_dims or {},
            allow_pickle=allow_pickle,
            check=check,
            timeout_s=timeout_s,
        )

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        handler: str | Path | None = None,
        requirements: Sequence[str] = (),
        include: Sequence[str] = (),
        example_input: Any = None,
        source: str | None = None,
        init: Mapping[str, Any] | None = None,
        allow_pickle: bool = False,
        check: bool = True,
        timeout_s: float = 120,
    ) -> Model:
        """A model from weights on disk: ``.pt2``, ``.pt``, ``.pth``, ``.safetensors``, ``.onnx``.

        Args:
            path: the file; its kind is found from its content, without executing any of it.
            handler: your inference code; None serves the weights as they are.
            requirements: PEP 508 requirements of the code.
            include: further code files beside the handler.
            example_input: a batch that the model (with its handler) takes.
            source: ``"net.py:Net"``, the class that weights without a program belong to.
            init: its constructor arguments, JSON values.
            allow_pickle: accept a pickled module, which executes code when loaded.
            check: load the model, and predict the example, in a process of its own.
            timeout_s: seconds that this check may take.

        Raises:
            UnsafeModel: loading the file would execute code from it.
            ModelError: it is truncated, empty or unknown, or lacks its class.
            HandlerError: the handler can't be imported, loaded or called.
        """
        from clouddeploy.model.weights_file import open_file

        return open_file(
            Path(path),
            handler=handler,
            requirements=requirements,
            include=include,
            example_input=example_input,
            source=source,
            init=init,
            allow_pickle=allow_pickle,
            check=check,
            timeout_s=timeout_s,
        )

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        *,
        handler: str | Path,
        requirements: Sequence[str] = (),
        include: Sequence[str] = (),
        example_input: Any = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> Model:
        """A folder of files that the handler loads by itself, with any framework or none.

        Args:
            path: the folder; caches, version control and ``.env`` in it are left out.
            handler: your inference code, in that folder or elsewhere.
            requirements: PEP 508 requirements of the code.
            include: further code files beside the handler.
            example_input: a batch that the handler takes.
            check: load the handler, and predict the example, in a process of its own.
            timeout_s: seconds that this check may take.

        Raises:
            ModelError: the folder is missing or empty, or holds names that are reserved.
            HandlerError: the handler can't be imported, loaded or called.
        """
        from clouddeploy.model.folder import open_folder

        return open_folder(
            Path(path),
            handler=Path(handler),
            requirements=requirements,
            include=include,
            example_input=example_input,
            check=check,
            timeout_s=timeout_s,
        )

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Model(format={self.format!r}, size={self.size}, digest={self.digest[:12]!r})"
