"""How a net learns: one loop that reads from top to bottom, and the temperature at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Generator, Tensor

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


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a fit, besides the data and the seed."""

    epochs: int
    batch_size: int
    learning_rate: float  # peak of the one-cycle schedule
    weight_decay: float
    label_smoothing: float
    warp: Warp


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


def train(net: DigitNet, pictures: Pictures, recipe: Recipe, seed: int) -> Iterator[float]:
    """Trains `net`, giving each epoch's mean loss after it.

    Every epoch draws from its own generator, seeded by (seed, epoch), and the learning rate is
    a function of the step, so a fit with the same seed and number of threads gives the same bits.
    There is no early stopping: the rate falls to zero over exactly these epochs.
    """
    pixels, digits = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.digits)
    optimizer = torch.optim.AdamW(
        net.parameters(), betas=(0.9, 0.99), weight_decay=recipe.weight_decay
    )
    size = recipe.batch_size
    steps_per_epoch = len(pictures) // size
    # Smith and Topin (2019), Super-convergence: up to the peak, then down to nothing.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps_per_epoch + 1,
        pct_start=0.15, cycle_momentum=False,
    )  # fmt: skip
    bf16 = torch.cpu._is_avx512_bf16_supported()  # elsewhere bfloat16 is emulated and slow

    for epoch in range(recipe.epochs):
        rng = Generator().manual_seed(1_000 * seed + epoch)
        order = torch.randperm(len(pictures), generator=rng)
        net.train()
        total = 0.0
        for i in range(steps_per_epoch):
            batch = order[i * size : (i + 1) * size]
            ink = pixels[batch].unsqueeze(1).float() / 255
            ink = warp(ink, recipe.warp, rng)

            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = net(ink)
            loss = F.cross_entropy(logits, digits[batch], label_smoothing=recipe.label_smoothing)

            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
        net.eval()
        yield total / steps_per_epoch


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
    """Sets the temperature with the least negative log-likelihood on pictures held out.

    Guo et al. (2017), On calibration of modern neural networks. Platt's correction, as if one
    more picture had been seen and its digit drawn at random, keeps the temperature away from 0
    where a small set is answered without an error.
    """
    digits = torch.from_numpy(pictures.digits)
    logits = logits_of(net, pictures.ink).clone()
    doubt = 1 / (len(digits) + 1)
    grid = torch.logspace(-1.5, 1.5, 601)
    losses = [F.cross_entropy(logits / t, digits, label_smoothing=doubt) for t in grid]
    net.temperature.copy_(grid[int(torch.stack(losses).argmin())])
