"""Large weights of a .pt2 file are pages of that file afterwards, and the very same numbers."""

from __future__ import annotations

import copy
import gc
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from clouddeploy.runtime.loaders import torch_pages

WIDE = 768


class Net(nn.Module):
    """A large weight, a small one, and a large buffer of another dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.large, self.small = nn.Linear(WIDE, WIDE), nn.Linear(WIDE, 2)
        self.shift: torch.Tensor
        self.register_buffer("shift", torch.randn(WIDE * WIDE, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.small(self.large(x) + self.shift[:WIDE].float())
        return found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "model.pt2"
    batch = torch.export.Dim("batch")
    program = torch.export.export(Net().eval(), (torch.rand(2, WIDE),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path


def loaded(path: Path) -> nn.Module:
    return torch.export.load(path).module()


def mapped(path: Path) -> int:
    """Bytes of this process's memory that are pages of `path`."""
    found = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(path)):
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            found += last - first
    return found


def test_large_weights_become_pages_of_the_file_and_predict_the_same(saved: Path) -> None:
    module, x = loaded(saved), torch.rand(3, WIDE)
    with torch.inference_mode():
        before = module(x)
        assert torch_pages.share(module, saved) == WIDE * WIDE * (4 + 8)
        assert torch.equal(module(x), before)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells")
def test_the_pages_are_given_back_with_the_module(saved: Path) -> None:
    module = loaded(saved)
    torch_pages.share(module, saved)
    assert mapped(saved) >= saved.stat().st_size
    del module
    gc.collect()
    assert mapped(saved) == 0


def test_a_model_that_changes_its_weights_leaves_the_file_alone(saved: Path) -> None:
    module, before = loaded(saved), saved.read_bytes()
    torch_pages.share(module, saved)
    with torch.no_grad():
        module.get_parameter("large.weight").add_(1)
    assert saved.read_bytes() == before


def test_weights_that_the_file_holds_otherwise_stay_where_they_are(saved: Path) -> None:
    module = loaded(saved)
    with torch.no_grad():
        module.get_parameter("large.weight")[0, 0] += 1
    wished = copy.deepcopy(module.get_parameter("large.weight"))
    assert torch_pages.share(module, saved) == WIDE * WIDE * 8
    assert torch.equal(module.get_parameter("large.weight"), wished)


def test_compressed_weights_are_no_pages(saved: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.pt2"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert torch_pages.share(loaded(saved), packed) == 0


def test_small_models_and_other_files_are_left_alone(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"no archive")
    assert torch_pages.share(nn.Linear(2, 2), saved) == 0
    assert torch_pages.share(loaded(saved), tmp_path / "other") == 0
