"""How a net learns to tell pictures apart: a head on what its backbone sees, then all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Generator, Tensor

from mlfolio.core.run import Run
from mlfolio.parts.torch.across import train_across
from mlfolio.parts.torch.calibration import best_temperature
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.training import Recipe, shuffled

from .augment import Warp, erase, mirror, relight, shift, warp
from .nets import PictureNet, features_of, logits_of
from .pictures import Pictures

BATCH, MANY = 64, 20_000  # pictures of a step; twice as many from so many on
SHARP: Final = 48  # pixels a side from which pictures are warped
SMOOTHING: Final = 0.1  # of the labels
STEPS: Final = 150  # that small sets are gone through for, at least


@dataclass(frozen=True)
class Altering:
    """How much pictures are altered while a net learns; every second one is mirrored too.

    Attributes:
        warp: Turned, shifted, zoomed and slanted by how much.
        shift: Pixels that they are moved by, at most.
        light: Half-width of the factors of brightness, contrast and colour.
        erased: Of a side, how long the square is that is greyed out.
    """

    warp: Warp | None
    shift: int
    light: float
    erased: float

    @classmethod
    def of(cls, side: int, strength: float) -> Altering:
        """What is usual for pictures of so many pixels a side, or a part of it."""
        if side < SHARP:  # a warp blurs the few pixels there are, and what is asked later is sharp
            return cls(None, round(side / 8 * strength), light=0, erased=0.25 * strength)
        moved = Warp(
            degrees=10 * strength, pixels=side / 8 * strength, zoom=0.2 * strength,
            slant=0.1 * strength, border="reflection",
        )  # fmt: skip
        return cls(moved, 0, light=0.3 * strength, erased=0.25 * strength)

    def __call__(self, pictures: Tensor, rng: Generator) -> Tensor:
        """Alters each of some pictures, `(n, 3, side, side)` in [0, 1], on its own."""
        pictures = warp(pictures, self.warp, rng) if self.warp else pictures
        pictures = mirror(shift(pictures, self.shift, rng) if self.shift else pictures, rng)
        pictures = relight(pictures, self.light, rng) if self.light else pictures
        return erase(pictures, self.erased, rng) if self.erased else pictures


def plan(n: int, epochs: int | None, usual: int) -> tuple[int, int]:
    """Epochs and the size of a batch, for `n` training pictures.

    Args:
        n: How many there are.
        epochs: As they were set.
        usual: Where they were not; more if these would be few steps.
    """
    size = min(BATCH * (2 if n >= MANY else 1), max(2, n // 8))
    return epochs if epochs is not None else max(usual, math.ceil(STEPS / (n // size))), size


def fit_head(net: PictureNet, seen: Pictures) -> None:
    """Logistic regression on what the untouched backbone sees becomes the head."""
    scaler = StandardScaler()
    features = scaler.fit_transform(features_of(net.backbone, seen.pixels, net.both_ways))
    linear = LogisticRegression(C=0.01, max_iter=500).fit(features, seen.classes)
    weights, bias = linear.coef_ / scaler.scale_, linear.intercept_
    bias = bias - weights @ scaler.mean_
    if len(weights) == 1:  # two classes: one row that speaks for the second
        weights, bias = np.stack([-weights[0], weights[0]]) / 2, np.array([-bias[0], bias[0]]) / 2
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(weights))
        net.head.bias.copy_(torch.from_numpy(bias))


def fit_net(
    net: PictureNet, seen: Pictures, unseen: Pictures, recipe: Recipe, size: int,
    alter: Altering, run: Run, name: str = "net",
) -> History:  # fmt: skip
    """Trains all of a net on altered pictures.

    Args:
        net: Trained in place.
        seen: What is learned from.
        unseen: What the accuracy is measured on after each epoch.
        recipe: How.
        size: Pictures of a step.
        alter: How much pictures are altered.
        run: Whose.
        name: Of the training.
    """
    device = net.temperature.device
    pixels = torch.from_numpy(seen.pixels).permute(0, 3, 1, 2)
    classes = torch.from_numpy(seen.classes).to(device)

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        pictures = alter(pixels[rows].to(device).float() / 255, rng)
        logits = net(pictures.contiguous(memory_format=torch.channels_last))
        return F.cross_entropy(logits, classes[rows.to(device)], label_smoothing=SMOOTHING)

    def score() -> float:
        answers = logits_of(net, unseen.pixels).argmax(dim=1).numpy()
        return float((answers == unseen.classes).mean())

    return train_across(net, shuffled(len(seen), size, run.seed), loss, recipe, run, name, score)


def calibrate(net: PictureNet, unseen: Pictures, among: int | None = None) -> None:
    """Sets the temperature that fits pictures held out.

    Args:
        net: Trained.
        unseen: What it was not trained on.
        among: Of how many classes, the first ones, if the others are ruled out; None: all.
    """
    net.temperature.fill_(1.0)
    logits = logits_of(net, unseen.pixels)[:, :among]
    net.temperature.copy_(best_temperature(logits, torch.from_numpy(unseen.classes)))
