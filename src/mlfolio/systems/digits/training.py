"""What a net learns from: warped pictures, and the temperature at the end."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Generator, Tensor

from mlfolio.parts.torch.calibration import best_temperature
from mlfolio.parts.vision.augment import Warp, warp

from .data import Pictures
from .nets import DigitNet

SMALL = 10_000  # sets below this size get small batches and one thread
FEWEST_STEPS = 400  # small sets are gone through until so many batches were seen


def plan(n: int, epochs: int | None, batch_size: int | None) -> tuple[int, int]:
    """Epochs and batch size for `n` training pictures, where they were not set.

    Eight epochs of batches of 128 for sets like MNIST; small sets get batches of 32 and as many
    epochs as make 400 steps.
    """
    batch_size = min(batch_size or (128 if n >= SMALL else 32), n)
    return epochs or max(8, math.ceil(FEWEST_STEPS / (n // batch_size))), batch_size


def make_net(kind: Callable[[], DigitNet], seed: int) -> DigitNet:
    """An untrained net, its weights drawn by `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind()


def loss_of(
    net: DigitNet, pictures: Pictures, amount: Warp, smoothing: float
) -> Callable[[Tensor, Generator], Tensor]:
    """The loss of some pictures, each of them warped; the labels are smoothed."""
    pixels, digits = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.digits)

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        ink = warp(pixels[rows].unsqueeze(1).float() / 255, amount, rng)
        return F.cross_entropy(net(ink), digits[rows], label_smoothing=smoothing)

    return loss


@torch.inference_mode()
def logits_of(net: DigitNet, ink: NDArray[np.float32]) -> Tensor:
    """Logits `(n, 10)` of ink `(n, 28, 28)`, in full precision."""
    parts = torch.split(torch.from_numpy(ink)[:, None], 500)
    return torch.cat([net(part) for part in parts])


def calibrate(net: DigitNet, pictures: Pictures) -> None:
    """Sets the temperature that fits pictures held out."""
    logits = logits_of(net, pictures.ink).clone()
    net.temperature.copy_(best_temperature(logits, torch.from_numpy(pictures.digits)))
