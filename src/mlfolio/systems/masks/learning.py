"""How the net learns masks: on faces as a detector delivers them, behind hands, and on no faces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Generator, Tensor

from mlfolio.core.run import Run
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.training import Recipe, shuffled, train
from mlfolio.parts.vision.augment import Warp, mirror, relight, warp
from mlfolio.parts.vision.nets import PictureNet, logits_of
from mlfolio.parts.vision.pictures import Pictures, Pixels

Chances = NDArray[np.float64]

MASKED, BARE, COVERED, NOTHING = 0, 1, 2, 3  # the classes; the last is no face
CLASSES: Final = 4
SMOOTHING: Final = 0.05  # of the labels
NOTHINGS: Final = 0.25  # pictures of no face, for each face
COARSE: Final = (None, 0.6, 0.4, 0.3)  # of the side, what a quarter of a batch is blurred to
FINGERS: Final = 4
THINGS: Final = 0.3  # of what covers mouths; the rest is hands


def fit_faces(
    net: PictureNet, seen: Pictures, unseen: Pictures, recipe: Recipe, size: int, covered: float,
    run: Run,
) -> History:  # fmt: skip
    """Trains all of a net.

    Args:
        net: Of four classes, trained in place.
        seen: Faces that are learned from.
        unseen: Faces whose accuracy is measured after each epoch.
        recipe: How.
        size: Faces of a step.
        covered: Share of the faces that get a hand or a thing over the mouth. With a mask they
            still have one; the others are a class of their own.
        run: Whose.
    """
    device = net.temperature.device
    pixels = torch.from_numpy(seen.pixels).permute(0, 3, 1, 2)
    labels = F.one_hot(torch.from_numpy(seen.classes), CLASSES).float().to(device)
    n_covered, n_nothing = round(covered * size), round(NOTHINGS * size)
    of_class = torch.eye(CLASSES, device=device)

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        plain = pixels[rows].to(device).float() / 255
        faces = torch.cat([cover(plain[:n_covered], rng), plain[n_covered:]])
        pictures = alter(torch.cat([faces, scraps(plain[:n_nothing], rng)]), rng)
        wanted = labels[rows.to(device)]
        hidden = (torch.arange(len(rows), device=device) < n_covered) & (wanted[:, BARE] > 0)
        wanted = torch.where(hidden[:, None], of_class[COVERED], wanted)
        wanted = torch.cat([wanted, of_class[NOTHING].expand(n_nothing, -1)])
        logits = net(pictures.contiguous(memory_format=torch.channels_last))
        return F.cross_entropy(logits, wanted, label_smoothing=SMOOTHING)

    def score() -> float:
        answers = logits_of(net, unseen.pixels)[:, :COVERED].argmax(dim=1).numpy()
        return float((answers == unseen.classes).mean())

    return train(net, shuffled(len(seen), size, run.seed), loss, recipe, run, "net", score)


def alter(pictures: Tensor, rng: Generator) -> Tensor:
    """Makes pictures `(n, 3, side, side)` in [0, 1] as loose, dark and coarse as found ones."""
    side = pictures.shape[3]
    moved = Warp(degrees=12, pixels=side / 8, zoom=0.25, slant=0.1, border="reflection")
    pictures = relight(mirror(warp(pictures, moved, rng), rng), 0.4, rng)
    order = torch.randperm(len(pictures), generator=rng)
    coarse = pictures.clone()
    for part, share in zip(order.chunk(len(COARSE)), COARSE, strict=False):
        if share is not None:
            little = round(side * share * (0.8 + 0.4 * torch.rand(1, generator=rng).item()))
            coarse[part] = _coarse(pictures[part], little)
    return coarse


def _coarse(pictures: Tensor, little: int) -> Tensor:
    """As if the pictures had had so many pixels a side."""
    side = pictures.shape[3]
    small = F.interpolate(pictures, size=(little, little), mode="area")
    return F.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)


def scraps(pictures: Tensor, rng: Generator) -> Tensor:
    """What is no face: a piece from the edge of each picture, an eighth to a third of its side.

    Cascades take clothes, walls and parts of faces for faces; these are such.
    """
    if not (n := len(pictures)):
        return pictures
    half = 0.12 + 0.2 * torch.rand(n, generator=rng)  # of the piece, relative
    along = torch.rand(n, generator=rng) * 2 - 1
    edge = (1 - half) * torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0)
    is_side = torch.rand(n, generator=rng) < 0.5
    x, y = torch.where(is_side, edge, along), torch.where(is_side, along, edge)
    zero = torch.zeros(n)
    rows = [torch.stack([half, zero, x], 1), torch.stack([zero, half, y], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).to(pictures.device), list(pictures.shape), False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def cover(pictures: Tensor, rng: Generator) -> Tensor:
    """Lays a hand over the mouth of each picture `(n, 3, side, side)`, or a thing of any colour.

    A hand has the colour of these cheeks or of those in another picture. All is drawn: rough
    shapes with a shadow at the edge and soft spots.
    """
    n, _, side, _ = pictures.shape
    if not n:
        return pictures

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=rng)

    line = (torch.arange(side) + 0.5) / side
    x, y = line[None, None, None, :], line[None, None, :, None]
    x = x - uniform(0.35, 0.65, 1, 1, 1)  # from the middle of what is covered
    y = y - uniform(0.64, 0.82, 1, 1, 1)
    wide, high = uniform(0.15, 0.3, 1, 1, 1), uniform(0.12, 0.24, 1, 1, 1)
    thing = (1 - torch.maximum(x.abs() / wide, y.abs() / high * 0.8)) * 0.12
    hand = _hand(x, y, wide, high, uniform)
    is_thing = torch.rand(n, 1, 1, 1, generator=rng) < THINGS
    depth = torch.where(is_thing, thing, hand)
    edge, mouth = side * 3 // 10, side // 2
    cheeks = pictures[:, :, edge:mouth, edge : side - edge].mean(dim=(2, 3), keepdim=True)
    is_own = torch.rand(n, 1, 1, 1, generator=rng).to(pictures.device) < 0.5
    skin = torch.where(is_own, cheeks, cheeks.roll(1, 0)) * uniform(0.75, 1.3, 1, 1, 1).to(cheeks)
    colour = torch.where(is_thing.to(cheeks.device), uniform(0, 1, 3, 1, 1).to(cheeks), skin)
    shade = 0.72 + depth.clamp(0, 0.05) * 5.6
    noise = torch.randn(n, 1, 6, 6, generator=rng)
    spots = F.interpolate(noise, size=(side, side), mode="bilinear") * uniform(0.03, 0.15, 1, 1, 1)
    painted = (colour * (shade * (1 + spots)).to(cheeks)).clamp(0, 1)
    inside = (depth * side).clamp(0, 1).to(cheeks)  # soft over one pixel
    return pictures + (painted - pictures) * inside


def _hand(
    x: Tensor, y: Tensor, wide: Tensor, high: Tensor, uniform: Callable[..., Tensor]
) -> Tensor:
    """How deep each place is in a palm or one of some fingers, shape (n, 1, side, side).

    The hand comes from any side: its palm is over the mouth, or so far back that the fingers are.

    Args:
        x: To the right of the middle of what is covered, shape (n, 1, 1, side).
        y: Below it, shape (n, 1, side, 1).
        wide: Half of the palm's width, shape (n, 1, 1, 1).
        high: Half of its height, likewise.
        uniform: Draws numbers between two others, of shape (n, ...).
    """
    main = uniform(-math.pi, math.pi, 1)
    towards = main + uniform(-0.15, 0.15, 1) * torch.linspace(-2, 2, FINGERS)
    back = uniform(0, 0.4, 1, 1, 1)
    x, y = x + back * main.cos()[..., None, None], y + back * main.sin()[..., None, None]
    palm = (1 - ((x / wide) ** 2 + (y / high) ** 2).sqrt()) * 0.12
    aside = torch.linspace(-1, 1, FINGERS) * uniform(0.05, 0.2, 1)
    x, y = x + (aside * main.sin())[..., None, None], y - (aside * main.cos())[..., None, None]
    long = uniform(0.15, 0.45, FINGERS) + back[..., 0, 0]
    thick = uniform(0.03, 0.08, 1) * uniform(0.85, 1.15, FINGERS)
    to_x, to_y = (long * towards.cos())[..., None, None], (long * towards.sin())[..., None, None]
    share = ((x * to_x + y * to_y) / (to_x**2 + to_y**2)).clamp(0, 1)
    away = ((x - share * to_x) ** 2 + (y - share * to_y) ** 2).sqrt()
    return torch.maximum(palm, (thick[..., None, None] - away).amax(dim=1, keepdim=True))


def chances_of(net: PictureNet, pixels: Pixels) -> tuple[Chances, Chances]:
    """What squares `(n, side, side, 3)` show.

    Returns:
        The probability of a mask if it is a face, calibrated, and that of no face; each (n,). Of
        a mouth behind something nobody can say what is there: one half.
    """
    logits = logits_of(net, pixels).double()
    faces = logits[:, :NOTHING].softmax(dim=1)
    whole = (logits * net.temperature.double().cpu()).softmax(dim=1)
    masked = faces[:, MASKED] + faces[:, COVERED] / 2
    return masked.numpy(), whole[:, NOTHING].numpy()
