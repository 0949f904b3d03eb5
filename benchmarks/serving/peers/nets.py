"""The nets, for the peers and for us; imports torch only, since each peer has an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

SHAPES = {"mlp": (4,), "resnet": (3, 64, 64), "recommender": (64,)}


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        changed = stride != 1 or channels_in != channels_out
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride) if changed else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of shape (batch, channels, height, width)."""
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + self.shortcut(x))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 3))


def _resnet() -> nn.Module:
    """ResNet-18's eight blocks, a quarter as wide, without the first pooling; 10 classes."""
    widths = [(16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2)]
    blocks = [Block(*width) for width in [*widths, (128, 128, 1)]]
    stem = [nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def _recommender() -> nn.Module:
    """A ranking net: 64 features of user and candidate to one score."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))


NETS = {"mlp": _mlp, "resnet": _resnet, "recommender": _recommender}


def make(name: str) -> nn.Module:
    """A net with the same weights every time, for inference."""
    torch.manual_seed(0)
    return NETS[name]().eval()


def load() -> Any:
    """A function from nested lists to nested lists, for the net that the environment names."""
    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "1")))
    name = os.environ["BENCH_NET"]
    net = NETS[name]()
    net.load_state_dict(torch.load(Path(os.environ["BENCH_WEIGHTS"]) / f"{name}.pt", weights_only=True))
    net.eval()

    def predict(inputs: list[Any]) -> list[Any]:
        with torch.inference_mode():
            found: list[Any] = net(torch.tensor(inputs, dtype=torch.float32)).tolist()
            return found

    return predict
