"""What in a handler's code goes wrong because functions-framework forks after importing it.

gunicorn's workers are forks of the process that imported the function. Threads don't survive a fork, so
a pool of them that was started by then is empty afterwards, and what waits for it waits for ever. Our
entry has one thread for torch, ONNX Runtime and OpenMP until then, and imports the handler after the fork
where ``CLOUDDEPLOY_THREADS`` asks for more. Code that sets the number itself undoes this.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from clouddeploy.model import Model

CALLS = frozenset(("set_num_threads", "set_num_interop_threads"))
NUMBERS = frozenset(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
VARIABLE = "CLOUDDEPLOY_THREADS"


def thread_warnings(model: Model) -> tuple[str, ...]:
    """Where the code of `model` asks for more threads than one, as ``app/file:line: what``."""
    found = []
    for file in model.code:
        if file.name.endswith(".py"):
            tree = ast.parse(file.path.read_bytes(), filename=file.name)
            found += [
                f"app/{file.name}:{line}: {what}, and a pool of threads that is started before "
                f"functions-framework forks hangs the first prediction: leave it out, and set {VARIABLE}"
                for line, what in sorted(_in(tree))
            ]
    return tuple(found)


def _in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in CALLS and not (node.args and _is_one(node.args[0])):
                yield node.lineno, f"calls {name}"
            if name in ("setdefault", "putenv") and len(node.args) == 2 and _is_number(node.args[0]):
                yield from _set(node.lineno, node.args[0], node.args[1])
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and _is_number(target.slice):
                    yield from _set(node.lineno, target.slice, node.value)


def _set(line: int, name: ast.expr, value: ast.expr) -> Iterator[tuple[int, str]]:
    if isinstance(name, ast.Constant) and not _is_one(value):
        yield line, f"sets {name.value!s}"


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_one(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in (1, "1")


def _is_number(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in NUMBERS
