"""Two nets for the same pictures: a dense one and a convolutional one.

Both take ink `(n, 1, 28, 28)` in [0, 1] (0 = paper, 1 = ink) and return logits `(n, 10)`.
Standardisation and calibration happen inside, so that an exported graph needs nothing beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 28
CLASSES = 10
MEAN, STD = 0.1307, 0.3081  # of the ink in MNIST's training pictures


class DigitNet(nn.Module):
    """`body` between a fixed standardisation of the ink and a division by the temperature."""

    temperature: Tensor

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, ink: Tensor) -> Tensor:
        """Maps ink `(n, 1, 28, 28)` in [0, 1] to calibrated logits `(n, 10)`."""
        logits: Tensor = self.body((ink - MEAN) / STD)
        return logits.float() / self.temperature


def dense() -> DigitNet:
    """A multilayer perceptron with 256 and 128 hidden units: 235,530 weights."""
    return DigitNet(
        nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(SIDE * SIDE, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU()),
            *(nn.Linear(256, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()),
            nn.Linear(128, CLASSES),
        )
    )


def cnn() -> DigitNet:
    """Five 3x3 convolutions on 28, 14, 14, 7 and 7 pixels, then a read-out of 3x3 cells."""
    body = nn.Sequential(
        _convolution(1, 16, pool=True),  # (n, 16, 14, 14)
        _convolution(16, 32),
        _convolution(32, 32, pool=True),  # (n, 32, 7, 7)
        _convolution(32, 80),
        _convolution(80, 80, pool=True),  # (n, 80, 3, 3)
        nn.Flatten(),
        nn.Linear(80 * 3 * 3, CLASSES),
    )
    # Channels last is the layout in which CPUs convolve fastest.
    return DigitNet(body).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _convolution(channels: int, out: int, pool: bool = False) -> nn.Sequential:
    """Convolution, optional 2x2 max-pool, BatchNorm, ReLU.

    Pooling comes first: it commutes with the ReLU and leaves BatchNorm a quarter of the pixels.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, out, 3, padding=1, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(out), nn.ReLU())
