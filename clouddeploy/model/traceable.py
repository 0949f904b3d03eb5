"""Makes the module of a ``torch.export`` program one that the TorchScript-based ONNX exporter can trace.

Traced through ``torch.ops``, sizes that depend on the batch would become constants; through torch's
Python functions and methods they are recorded. So calls that take such sizes are respelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.fx import Graph, Node

_CHECKS = ("_assert_scalar", "_assert_async", "_assert_tensor_metadata", "sym_constrain_range")
_UNKNOWN_TO_PYTHON = ("layout", "pin_memory", "implicit")


def traceable(module: Any) -> torch.nn.Module:
    """A module of the graph of `module`, which is a program just loaded and is of no use afterwards."""
    import torch

    graph: Graph = module.graph
    sizes = {node for node in graph.nodes if _is_size(node)}
    for node in list(graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph.erase_node(node)
        elif node.op == "call_function" and hasattr(node.target, "_opname"):
            _respell(graph, node, sizes)
    graph.lint()
    # a new one, since the program's own has hooks that compare sizes and refuses to change its mode
    return torch.fx.GraphModule(module, graph)


def _is_size(node: Node) -> bool:
    import torch

    return isinstance(node.meta.get("val"), torch.SymInt | torch.SymFloat | torch.SymBool)


def _respell(graph: Graph, node: Node, sizes: set[Node]) -> None:
    import torch

    target: Any = node.target
    name = target._opname
    if name.startswith(_CHECKS):
        graph.erase_node(node)
    elif name == "sym_size":
        sizes.add(_replace(graph, node, graph.call_method, "size", node.args))
    elif sizes.isdisjoint(node.all_input_nodes):
        return
    elif name == "slice":
        _replace(graph, node, graph.call_function, _sliced, node.args)
    elif hasattr(torch.Tensor, name) and node.args and node.args[0] not in sizes:
        _replace(graph, node, graph.call_method, name, node.args, _known(node))
    elif hasattr(torch, name):
        _replace(graph, node, graph.call_function, getattr(torch, name), node.args, _known(node))


def _replace(graph: Graph, node: Node, call: Any, target: Any, args: Any, kwargs: Any = None) -> Node:
    with graph.inserting_before(node):
        found: Node = call(target, args, kwargs or {})
    node.replace_all_uses_with(found)
    graph.erase_node(node)
    return found


def _known(node: Node) -> dict[str, Any]:
    return {name: value for name, value in node.kwargs.items() if name not in _UNKNOWN_TO_PYTHON}


def _sliced(tensor: Any, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    return tensor[(*(slice(None),) * dim, slice(start, end, step))]
