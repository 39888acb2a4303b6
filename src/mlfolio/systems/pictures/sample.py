"""The embedded sample: drawn shapes on paper of any colour."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SHAPES: Final = ("circle", "square", "triangle")
STRANGE: Final = "cross"  # is none of them
EACH: Final = 130
OUTSIDE: Final = 60
FINE: Final = 4  # times as large when drawn, so that edges are smooth
CORNERS: Final = {"square": 4, "triangle": 3}


def draw(side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """Pictures, their classes, and pictures of no class.

    Args:
        side: Pixels of a side.

    Returns:
        Shapes (n, side, side, 3), (n,) and (m, side, side, 3).
    """
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(len(SHAPES)), EACH)
    pixels = np.stack([_one(SHAPES[kind], side, rng) for kind in kinds])
    return pixels, kinds, np.stack([_one(STRANGE, side, rng) for _ in range(OUTSIDE)])


def _one(shape: str, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    whole = side * FINE
    paper, ink = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    while np.abs(paper - ink).sum() < 150:
        ink = rng.integers(0, 256, 3)
    image = Image.new("RGB", (whole, whole), tuple(paper.tolist()))
    pen, colour = ImageDraw.Draw(image), tuple(ink.tolist())
    radius = whole * rng.uniform(0.2, 0.38)
    x, y = rng.uniform(radius, whole - radius, 2)
    angle = rng.uniform(0, 360)
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif shape == STRANGE:
        for turn in np.radians([angle, angle + 90]):
            dx, dy = radius * np.cos(turn), radius * np.sin(turn)
            pen.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=int(radius / 2.5))
    else:
        pen.regular_polygon((x, y, radius), CORNERS[shape], rotation=angle, fill=colour)
    small = np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64)
    noisy = small + rng.normal(0, rng.uniform(0, 12), small.shape)
    return np.asarray(np.rint(noisy.clip(0, 255)), np.uint8)
