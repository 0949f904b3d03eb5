from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from clouddeploy.runtime.loaders.torch_call import caller
from clouddeploy.runtime.loaders.torch_export import checked_once
from clouddeploy.runtime.loaders.torch_graph import flat_forward


class Nested(torch.nn.Module):
    """Submodules, a buffer that changes, and a shared weight."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
        self.head = torch.nn.Linear(4, 3)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        return self.head(self.body(x).mean(-1)) + self.count  # type: ignore[no-any-return]


class Pair(torch.nn.Module):
    """Two inputs, outputs in a tree."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, Any]:
        return {"sum": a + b, "both": (a * b, a - b)}


class Named(torch.nn.Module):
    """An input that is given by its name."""

    def forward(self, a: torch.Tensor, *, b: torch.Tensor) -> torch.Tensor:
        return a + b


class Listed(torch.nn.Module):
    """An input that isn't a tensor but a list of them."""

    def forward(self, both: list[torch.Tensor]) -> torch.Tensor:
        return both[0] + both[1]


def exported(net: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    program = torch.export.export(net.eval(), args, kwargs or None)
    return program, program.module()


def test_the_flat_graph_computes_what_the_module_does_bit_for_bit() -> None:
    x = torch.rand(5, 2, 7)
    net = Nested()
    program, module = exported(net, x)
    flat = flat_forward(program, module)
    assert flat is not None
    with torch.inference_mode():
        first = module(x)
        module.count.zero_()
        assert torch.equal(first, flat(x))
        assert module.count.item() == 1, "both have the same buffers"


def test_outputs_in_a_tree_keep_their_shape() -> None:
    a, b = torch.rand(3), torch.rand(3)
    program, module = exported(Pair(), a, b)
    flat = flat_forward(program, module)
    assert flat is not None
    found, wanted = flat(a, b), module(a, b)
    assert list(found) == list(wanted) == ["sum", "both"]
    assert torch.equal(found["sum"], wanted["sum"])
    assert all(torch.equal(x, y) for x, y in zip(found["both"], wanted["both"], strict=True))


def test_a_program_that_takes_names_or_lists_is_called_as_it_is() -> None:
    a, b = torch.rand(3), torch.rand(3)
    assert flat_forward(*exported(Named(), a, b=b)) is None
    assert flat_forward(*exported(Listed(), [a, b])) is None


def test_a_shape_that_is_new_is_still_checked() -> None:
    x = torch.rand(5, 4)
    batch = torch.export.Dim("batch", max=8)
    program = torch.export.export(torch.nn.Linear(4, 2).eval(), (x,), dynamic_shapes=((({0: batch}),)))
    module = program.module()
    signature = {"inputs": [{"name": "x", "dtype": "float32", "shape": [None, 4]}]}
    flat = flat_forward(program, module)
    call = caller(checked_once(module, flat), {"signature": signature}, torch.device("cpu"))
    good = np.ones((3, 4), np.float32)
    assert np.array_equal(call(good), call(good))
    for _ in range(2):
        with pytest.raises((RuntimeError, AssertionError)):
            call(np.ones((9, 4), np.float32))
