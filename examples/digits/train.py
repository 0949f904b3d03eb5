"""Trains a small convolutional network on scikit-learn's handwritten digits, in a few seconds on a CPU.

Run as a script it writes `digits.pt2`, the weights that `clouddeploy.toml` names, and `heldout.npy`,
images that the network has never seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


class Net(nn.Module):
    """Images (batch, 8, 8) with values from 0 to 16 become scores (batch, 10), one for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.unsqueeze(1) / 16)


class Trained(NamedTuple):
    """A trained network, and the held-out images (n, 8, 8; float32) with their labels (n)."""

    net: Net
    images: np.ndarray
    labels: np.ndarray


def train(epochs: int = 12) -> Trained:
    """Train on three quarters of the digits; the rest is held out. The same result every time."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    torch.manual_seed(0)
    torch.set_num_threads(1)  # on batches this small, threads cost more than they give
    digits = load_digits()
    x, held_x, y, held_y = train_test_split(
        digits.images.astype(np.float32),
        digits.target,
        test_size=0.25,
        random_state=0,
        stratify=digits.target,
    )
    net, images, wanted = Net(), torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch]), wanted[batch]).backward()
            optimizer.step()
    return Trained(net.eval(), held_x, held_y)


def main() -> None:
    """Write the weights and the held-out images beside this file."""
    trained = train()
    batch = torch.export.Dim("batch")
    example = (torch.from_numpy(trained.images[:2]),)
    program = torch.export.export(trained.net, example, dynamic_shapes=({0: batch},))
    torch.export.save(program, HERE / "digits.pt2")
    np.save(HERE / "heldout.npy", trained.images)
    print(f"wrote digits.pt2 and heldout.npy ({len(trained.images)} images)")


if __name__ == "__main__":
    main()
