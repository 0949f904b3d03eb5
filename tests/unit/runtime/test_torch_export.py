from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clouddeploy.runtime.loaders import torch_export


class Counted:
    """A module as ``torch.export`` makes it: called it compares its inputs with the constraints first."""

    def __init__(self) -> None:
        self.checked: list[Any] = []

    def __call__(self, *tensors: Any, **named: Any) -> Any:
        self.checked.append([getattr(value, "shape", value) for value in (*tensors, *named.values())])
        return self.forward(*tensors, **named)

    def forward(self, *tensors: Any, **named: Any) -> Any:
        return [*tensors, *named.values()][0]


def test_inputs_are_compared_with_the_constraints_once_for_each_shape_and_dtype() -> None:
    module = Counted()
    call = torch_export.checked_once(module)
    for _ in range(3):
        call(torch.zeros(1, 2))
        call(torch.zeros(2, 2))
        call(torch.zeros(2, 2, dtype=torch.float64))
        call(a=torch.zeros(2, 2))
        call(b=torch.zeros(2, 2))
    assert len(module.checked) == 5


def test_what_is_no_tensor_is_compared_every_time() -> None:
    module = Counted()
    call = torch_export.checked_once(module)
    for _ in range(3):
        call({"a": torch.zeros(1)})
    assert len(module.checked) == 3


def test_shapes_against_the_constraints_are_refused_at_any_time_and_answers_are_the_modules_own(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2).eval()
    batch = torch.export.Dim("batch", min=1, max=4)
    program = torch.export.export(net, (torch.zeros(2, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    manifest = {"signature": {"inputs": [{"name": "x", "dtype": "float32", "shape": [None, 3]}]}}
    call = torch_export.load(tmp_path / "model.pt2", manifest)
    rows = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    with torch.inference_mode():
        wanted = program.module()(torch.from_numpy(rows)).numpy()
    for _ in range(2):
        assert call(rows).tobytes() == wanted.tobytes()
        with pytest.raises(Exception, match=r"(?i)batch|shape|size|guard"):
            call(np.zeros((5, 3), np.float32))


def test_whole_numbers_are_taken_as_floats_where_a_program_takes_nothing_else(tmp_path: Path) -> None:
    class Pick(torch.nn.Module):
        def forward(self, index: torch.Tensor) -> torch.Tensor:
            return torch.arange(10)[index] * 1.0

    for name, net, example in (
        ("linear", torch.nn.Linear(2, 1), torch.rand(1, 2)),
        ("pick", Pick(), torch.tensor([3])),
    ):
        path = tmp_path / f"{name}.pt2"
        torch.export.save(torch.export.export(net.eval(), (example,)), path)
        answer = torch_export.load(path, {})(np.array([[1, 2]] if name == "linear" else [3]))
        assert answer.dtype == np.float32
        if name == "pick":
            assert answer.tolist() == [3.0], "an index stays one"
