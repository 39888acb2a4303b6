"""What a net learns from: warped pictures, and the temperature at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Generator, Tensor

from mlfolio.parts.torch.calibration import best_temperature

from .data import Pictures
from .nets import DigitNet

SMALL = 10_000  # sets below this size get small batches and one thread
FEWEST_STEPS = 400  # small sets are gone through until so many batches were seen


@dataclass(frozen=True)
class Warp:
    """Half-widths of the uniform distributions that every picture's warp is drawn from."""

    degrees: float  # rotation
    pixels: float  # shift, each axis on its own
    zoom: float = 0.10  # relative, each axis on its own
    slant: float = 0.10  # horizontal shear, as a tangent


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


def warp(ink: Tensor, amount: Warp, rng: Generator) -> Tensor:
    """Turns, zooms, slants and shifts each picture of `ink` `(n, 1, 28, 28)` on its own.

    What enters from outside is paper. One small matrix a picture and one `grid_sample` a batch
    cost little beside the training step they feed.
    """
    n, _, _, side = ink.shape

    def uniform(half_width: float) -> Tensor:
        return (torch.rand(n, generator=rng) * 2 - 1) * half_width

    angle, slant = uniform(math.radians(amount.degrees)), uniform(amount.slant)
    zoom_x, zoom_y = 1 + uniform(amount.zoom), 1 + uniform(amount.zoom)
    shift_x, shift_y = (uniform(amount.pixels * 2 / side) for _ in range(2))  # grid spans [-1, 1]
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos * zoom_x, (slant * cos - sin) * zoom_y, shift_x], dim=1)
    row_y = torch.stack([sin * zoom_x, (slant * sin + cos) * zoom_y, shift_y], dim=1)
    grid = F.affine_grid(torch.stack([row_x, row_y], dim=1), list(ink.shape), align_corners=False)
    return F.grid_sample(ink, grid, align_corners=False)


@torch.inference_mode()
def logits_of(net: DigitNet, ink: NDArray[np.float32]) -> Tensor:
    """Logits `(n, 10)` of ink `(n, 28, 28)`, in full precision."""
    parts = torch.split(torch.from_numpy(ink)[:, None], 500)
    return torch.cat([net(part) for part in parts])


def calibrate(net: DigitNet, pictures: Pictures) -> None:
    """Sets the temperature that fits pictures held out."""
    logits = logits_of(net, pictures.ink).clone()
    net.temperature.copy_(best_temperature(logits, torch.from_numpy(pictures.digits)))
