"""Whether a ``torch.export`` archive is data only, read without loading it.

``torch.export.load`` warns itself ("uses pickle under the hood … never load data from an untrusted
source"): it unpickles some members without ``weights_only``, evaluates symbolic expressions and
guards as Python, looks operators up by name, and loads compiled libraries that lie in the archive.
Each of these is looked through here; what is not known to be harmless is named.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

_DATA = re.compile(
    r"archive_(format|version)|byteorder|version|\.data/(version|serialization_id)|models/[^/]+\.json|"
    r"data/weights/(weight_\d+|[^/]+_config\.json)|data/constants/(tensor_\d+|[^/]+_config\.json)|"
    r"data/sample_inputs/[^/]+\.pt"
)
_TARGET = re.compile(
    r"torch\.ops\.\w+\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\._?sym_\w+|torch\._check\w*"
)
_LOADERS = ("load_library", "import_module", "loaded_libraries", "__")
_CALLS = frozenset(
    ("max", "min", "abs", "int", "float", "bool", "pow", "round", "len", "size", "stride", "isnan")
)
_EXPRESSION = (
    *(ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Subscript),
    *(ast.Attribute, ast.Call, ast.Load, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.IfExp),
    *(ast.Tuple, ast.List, ast.keyword),
)


def code_in(archive: zipfile.ZipFile) -> Iterator[str]:
    """What loading or running the program in `archive` could execute, a few words each.

    Pickles in nested archives are looked through elsewhere (`inspection`).

    Raises:
        ValueError: a JSON member can't be parsed.
    """
    for member in archive.namelist():
        name = member.partition("/")[2]
        if not _DATA.fullmatch(name):
            yield f"the member {name!r}"
        elif name.endswith("_config.json"):
            yield from _pickled(archive, member)
        elif name.startswith("models/"):
            yield from _in_program(json.loads(archive.read(member)))
        elif name.startswith("data/sample_inputs/") and not _is_archive(archive.read(member), or_empty=True):
            yield f"a pickle in {name!r}"


def _pickled(archive: zipfile.ZipFile, member: str) -> Iterator[str]:
    folder = member.rpartition("/")[0]
    for row in json.loads(archive.read(member)).get("config", {}).values():
        if row.get("use_pickle"):
            path = f"{folder}/{row['path_name']}"
            if not archive.read(path).startswith(
                b"PK"
            ):  # a zip of torch.save is looked through like any other
                yield f"a pickle in {row['path_name']!r}"


def _is_archive(data: bytes, *, or_empty: bool = False) -> bool:
    """Whether it is a zip of torch.save, which is looked through like any other."""
    return data.startswith(b"PK\x03\x04") or (or_empty and not data)


def _in_program(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _in_program(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "target" and isinstance(item, str) and not _is_operator(item):
            yield f"the operator {item!r}"
        elif key == "expr_str" and not _is_expression(item):
            yield f"the expression {item!r}"
        elif key == "guards_code":
            yield from (f"the guard {code!r}" for code in item if not _is_expression(code))
        else:
            yield from _in_program(item)


def _is_operator(target: str) -> bool:
    return bool(_TARGET.fullmatch(target)) and not any(word in target for word in _LOADERS)


def _is_expression(code: Any) -> bool:
    """Whether `code` is arithmetic and comparisons on names, without a call that could do anything."""
    try:
        tree = ast.parse(str(code), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _EXPRESSION) and _is_plain(node) for node in ast.walk(tree))


def _is_plain(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return not node.attr.startswith("_")
    if isinstance(node, ast.Name):
        return "__" not in node.id and (not hasattr(builtins, node.id) or node.id in _CALLS)
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute):
            return called.attr in _CALLS
        return isinstance(called, ast.Name)
    return True
