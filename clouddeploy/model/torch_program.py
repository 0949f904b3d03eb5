"""A torch module as a ``torch.export`` program, saved so that equal programs have equal bytes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.model.torch_call import Probe, difference

if TYPE_CHECKING:
    import torch

NAME = "model.pt2"
# where a node came from in the source: paths and class names that the program doesn't need to run
_ORIGIN = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from printing the whole graph for what it can't express: the error is told by us."""
    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def export(
    module: torch.nn.Module, probe: Probe, free: Mapping[str, Sequence[int]], folder: Path
) -> tuple[Path, float]:
    """Save `module` as a program that takes any batch size.

    Returns:
        The file, and the largest difference between its answers and the module's.

    Raises:
        ModelError: the program answers differently.
        Exception: whatever torch.export raises for what it can't express.
    """
    import torch

    args, kwargs = probe.arguments(probe.inputs[-1])
    dims = {
        name: {0: torch.export.Dim("batch"), **dict.fromkeys(free.get(name, ()), torch.export.Dim.DYNAMIC)}
        for name in probe.inputs[-1]
    }
    shapes: Any = (
        (dims,) if probe.call == "mapping" else dims if probe.call == "keyword" else tuple(dims.values())
    )
    with _quiet():
        program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
    worst = difference(probe, program.module())
    for part in program.graph_module.modules():
        for node in getattr(getattr(part, "graph", None), "nodes", ()):
            for key in _ORIGIN:
                node.meta.pop(key, None)
    program.example_inputs = None
    path = folder / NAME  # torch writes the file's name into the archive: keep it the same
    torch.export.save(program, path)
    return path, worst
