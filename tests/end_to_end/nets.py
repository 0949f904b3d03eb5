"""A small convolutional net in a module of its own, as users have it."""

from __future__ import annotations

import torch


class SmallNet(torch.nn.Module):
    """Maps images of 1x8x8 to 10 scores."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.head = torch.nn.Linear(8 * 8 * 8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores of a batch."""
        return self.head(torch.relu(self.convolution(images)).flatten(1))
