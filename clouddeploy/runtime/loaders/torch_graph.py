"""The graph of a ``torch.export`` program as one plain function of its tensors.

The program's module takes its arguments apart and puts its results together by a general tree, and looks
each weight up through `torch.nn.Module`. For a small net that costs as much as the net itself.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils import _pytree as pytree


def flat_forward(program: torch.export.ExportedProgram, module: Any) -> Callable[..., Any] | None:
    """What `module` computes of positional tensors, without its checks; None where it takes anything else.

    The weights are the module's own tensors: what changes there, in place, changes here.

    Args:
        program: what `module` was made of.
        module: as ``program.module()`` gives it.
    """
    takes, gives = program.call_spec.in_spec, program.call_spec.out_spec
    if takes is None or gives is None:
        return None
    positional, named = takes.children()
    if named.num_leaves or any(not child.is_leaf() for child in positional.children()):
        return None
    graph = torch.fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    code = graph.python_code("self")
    names = dict(code.globals)
    exec(code.src, names)
    forward, weights = names["forward"], _used(graph, module)
    if gives.is_leaf():
        return lambda *tensors: forward(weights, *tensors)[0]
    return lambda *tensors: pytree.tree_unflatten(list(forward(weights, *tensors)), gives)


def _used(graph: torch.fx.Graph, module: Any) -> SimpleNamespace:
    """What `graph` names of `module`, in plain objects of the same shape."""
    root = SimpleNamespace()
    for node in graph.nodes:
        if node.op not in ("get_attr", "call_module"):
            continue
        *path, last = str(node.target).split(".")
        here, there = root, module
        for part in path:
            there = getattr(there, part)
            if not hasattr(here, part):
                setattr(here, part, SimpleNamespace())
            here = getattr(here, part)
        setattr(here, last, getattr(there, last))
    return root
