"""Pictures altered at random, so that a net sees none of them twice.

One small matrix a picture and one `grid_sample` a batch cost little beside the step they feed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Generator, Tensor


@dataclass(frozen=True)
class Warp:
    """Half-widths of the uniform distributions that every picture's warp is drawn from."""

    degrees: float  # rotation
    pixels: float  # shift, each axis on its own
    zoom: float = 0.10  # relative, each axis on its own
    slant: float = 0.10  # horizontal shear, as a tangent
    border: Literal["zeros", "reflection"] = "zeros"  # what enters from outside


def warp(pictures: Tensor, amount: Warp, rng: Generator) -> Tensor:
    """Turns, zooms, slants and shifts each picture `(n, channels, side, side)` on its own."""
    n, _, _, side = pictures.shape

    def uniform(half_width: float) -> Tensor:
        return (torch.rand(n, generator=rng) * 2 - 1) * half_width

    angle, slant = uniform(math.radians(amount.degrees)), uniform(amount.slant)
    zoom_x, zoom_y = 1 + uniform(amount.zoom), 1 + uniform(amount.zoom)
    shift_x, shift_y = (uniform(amount.pixels * 2 / side) for _ in range(2))  # grid spans [-1, 1]
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos * zoom_x, (slant * cos - sin) * zoom_y, shift_x], dim=1)
    row_y = torch.stack([sin * zoom_x, (slant * sin + cos) * zoom_y, shift_y], dim=1)
    matrices = torch.stack([row_x, row_y], dim=1).to(pictures.device)
    grid = F.affine_grid(matrices, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode=amount.border, align_corners=False)


def shift(pictures: Tensor, most: int, rng: Generator) -> Tensor:
    """Moves each picture by whole pixels, at most so many either way; none is blurred.

    Args:
        pictures: Shape (n, channels, side, side).
        most: Pixels; what enters is reflected, so fewer than a side has.
        rng: Where the ways are drawn from.
    """
    n, channels, _, side = pictures.shape
    wide = F.pad(pictures, (most, most, most, most), mode="reflect")
    starts = torch.randint(2 * most + 1, (2, n, 1), generator=rng).to(pictures.device)
    rows, columns = starts + torch.arange(side, device=pictures.device)
    each = torch.arange(n, device=pictures.device)[:, None, None, None]
    colours = torch.arange(channels, device=pictures.device)[:, None, None]
    return wide[each, colours, rows[:, None, :, None], columns[:, None, None, :]]


def mirror(pictures: Tensor, rng: Generator) -> Tensor:
    """Every second picture, by chance, as in a mirror."""
    turned = torch.rand(len(pictures), generator=rng) < 0.5
    return torch.where(turned.to(pictures.device)[:, None, None, None], pictures.flip(3), pictures)


def relight(pictures: Tensor, amount: float, rng: Generator) -> Tensor:
    """Changes brightness, contrast and saturation of each picture, each by a factor of its own.

    Args:
        pictures: Shape (n, 3, side, side), in [0, 1].
        amount: Half-width of the factors around 1.
        rng: Where the factors are drawn from.
    """
    factors = 1 + (torch.rand(3, len(pictures), generator=rng) * 2 - 1) * amount
    light, contrast, colour = factors.to(pictures.device)[..., None, None, None]
    pictures = pictures * light
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = grey + (pictures - grey) * colour
    middle = grey.mean(dim=(2, 3), keepdim=True)
    out: Tensor = (middle + (pictures - middle) * contrast).clamp(0, 1)
    return out


def erase(pictures: Tensor, share: float, rng: Generator) -> Tensor:
    """Greys out one square of each picture (DeVries and Taylor, 2017, Cutout).

    Args:
        pictures: Shape (n, channels, side, side), in [0, 1].
        share: Of a side, how long the square is; it may lie partly outside.
        rng: Where the places are drawn from.
    """
    side = pictures.shape[3]
    half = share * side / 2
    middle = (torch.rand(2, len(pictures), generator=rng) * side).to(pictures.device)
    near = (torch.arange(side, device=pictures.device) + 0.5 - middle[..., None]).abs() < half
    inside = near[0, :, None, :, None] & near[1, :, None, None, :]
    return pictures.masked_fill(inside, 0.5)
