"""What a weights file is, found from its bytes without executing any of it."""

from __future__ import annotations

import io
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from clouddeploy.errors import ModelError
from clouddeploy.model.program_audit import code_in

Kind = Literal["torch-export", "torchscript", "torch-pickle", "safetensors", "onnx"]

_SUFFIXES = (".pt2", ".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".onnx")
_EXPORT_MARKS = ("archive_format", "models/model.json", "serialized_exported_program.json")
_HARMLESS = frozenset(
    {"collections OrderedDict", "torch Size", "torch device", "torch._utils _rebuild_tensor"}
)
_HARMLESS_STARTS = (
    "torch._utils _rebuild_tensor_v",
    "torch._utils _rebuild_parameter",
    "torch._tensor _rebuild_from_type_v2",
    "torch.storage ",
    "torch.nn.parameter Parameter",
)
_MAGIC_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Args:
        kind: the file's kind; ``torch-pickle`` is what torch.save writes, weights or whole modules.
        executes: what loading it would import, as ``"module.name"``, or run otherwise, besides
            tensors and plain containers; empty where the file holds data only.
    """

    kind: Kind
    executes: tuple[str, ...] = ()


def inspect_file(path: Path) -> Inspection:
    """What `path` is.

    Raises:
        ModelError: it is missing, empty, truncated or of an unknown kind.
    """
    if not path.is_file():
        raise ModelError(f"the model file {str(path)!r} is not there", fix="check the path")
    size = path.stat().st_size
    if size == 0:
        raise ModelError(f"{path} is empty", why="it has no bytes", fix="save the model again")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix == ".onnx":
        return Inspection("onnx")
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"PK"):
        return _zip(path)
    if start.startswith(b"\x80") and start[1:2] in b"\x02\x03\x04\x05":
        return _legacy(path, start)
    raise ModelError(
        f"{path} is of no kind that is known",
        why=f"it starts with {start[:8]!r}; known are {', '.join(_SUFFIXES)} files",
        fix="save it with torch.export, torch.save, safetensors or ONNX; or give its folder to from_folder",
    )


def _safetensors(path: Path) -> Inspection:
    from clouddeploy.runtime.loaders.safetensors_file import header

    try:
        header(path)
    except ValueError as error:
        raise ModelError(
            f"{path} is no whole safetensors file", why=str(error), fix="save or download it again"
        ) from error
    return Inspection("safetensors")


def _zip(path: Path) -> Inspection:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
            if len(set(names)) < len(names):  # readers differ in which of two they take
                raise ValueError("two members have one name")
            imports = _imports_of(archive)
            is_program = any(mark in names for mark in _EXPORT_MARKS)
            code = tuple(code_in(archive)) if is_program else ()
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{path} is a broken zip archive", why=f"{error}: truncated?", fix="save or download it again"
        ) from error
    if is_program:
        return Inspection("torch-export", (*imports, *code))
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return Inspection("torchscript")
    if "data.pkl" in names:
        return Inspection("torch-pickle", imports)
    raise ModelError(
        f"{path} is a zip archive, but none of torch",
        why=f"it holds {', '.join(names[:4])} …",
        fix="give the file inside",
    )


def _imports_of(archive: zipfile.ZipFile) -> tuple[str, ...]:
    found: set[str] = set()
    if min((member.header_offset for member in archive.infolist()), default=0):
        raise ValueError("other bytes stand before the archive")  # readers differ in what they skip
    for name in archive.namelist():
        with archive.open(name) as member:
            head = member.read(2)
            if name.endswith(".pkl") or (head[:1] == b"\x80" and _may_be_pickle(name, head)):
                found |= set(_globals(io.BytesIO(head + member.read())))
            elif head == b"PK":
                with zipfile.ZipFile(io.BytesIO(head + member.read())) as inner:
                    found |= set(_imports_of(inner))
    return tuple(sorted(found))


def _may_be_pickle(name: str, head: bytes) -> bool:
    # program archives name their pickles at will; raw tensor bytes of torch.save lie in data/<number>
    return (
        head[1:2] in b"\x02\x03\x04\x05" and not name.rpartition("/")[2].isdigit() and "/weight_" not in name
    )


def _legacy(path: Path, start: bytes) -> Inspection:
    """A file of torch.save before 1.6, four pickles and the tensors' bytes; or any other pickle."""
    found: set[str] = set()
    with path.open("rb") as file:
        pickles = 4 if start.startswith(_MAGIC_LEGACY) else 1
        try:
            for _ in range(pickles):
                found |= set(_globals(file))
        except ValueError as error:
            raise ModelError(
                f"{path} is a broken pickle", why=f"{error}: truncated?", fix="save or download it again"
            ) from error
        if pickles == 1:
            found.add("a pickle that torch.save did not write")
    return Inspection("torch-pickle", tuple(sorted(found)))


def _globals(file: IO[bytes]) -> list[str]:
    """Names that the next pickle in `file` would import, besides the harmless ones.

    Raises:
        ValueError: it ends early or holds an unknown opcode.
    """
    names, texts = [], ["", ""]
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST"):
            names.append(str(argument))
        elif opcode.name == "STACK_GLOBAL":
            names.append(" ".join(texts[-2:]))
        elif (isinstance(argument, str) and "UNICODE" in opcode.name) or opcode.name.endswith("STRING"):
            texts.append(str(argument))
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = texts[-1]
        elif opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(str(argument))] = texts[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
            texts.append(memo.get(int(str(argument)), ""))
        elif opcode.name in ("EXT1", "EXT2", "EXT4"):
            names.append("an extension code")
    return [name.replace(" ", ".", 1) for name in names if not _harmless(name)]


def _harmless(name: str) -> bool:
    if name in _HARMLESS or name.startswith(_HARMLESS_STARTS):
        return True
    module, _, word = name.partition(" ")
    return module == "torch" and (word.endswith("Storage") or word in _TORCH_DTYPES)


_TORCH_DTYPES = frozenset(
    (
        *("float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
)
