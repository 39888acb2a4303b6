"""What is wrong with pictures: labels that are likely wrong."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlfolio.parts.vision.backbone import SMALL, get_backbone
from mlfolio.parts.vision.nets import features_of
from mlfolio.parts.vision.pictures import Pixels

LOOKED: Final = 32  # pixels a side in which labels are checked
MOST: Final = 10_000  # pictures whose labels are checked
FOLDS: Final = 5


class Suspect(NamedTuple):
    """A training picture whose label is likely wrong.

    Attributes:
        row: Its place.
        looks_like: The class that it looks like.
        chance: The probability of that class.
    """

    row: int
    looks_like: int
    chance: float


def suspects(pixels: Pixels, classes: NDArray[np.int64], n_classes: int) -> list[Suspect]:
    """Pictures that look like another class than the one they are in, the likeliest first.

    Confident learning (Northcutt et al., 2021): a picture is suspected of belonging to another
    class if that class's probability is at least what it is on average for pictures that are in
    it, and the highest of those. The probabilities are those of logistic regression on what our
    own backbone sees, for pictures that it was not fitted on.

    Args:
        pixels: Shape (n, side, side, 3).
        classes: Of each, shape (n,).
        n_classes: How many there are.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(classes))[:MOST])
    given = classes[rows]
    counts = np.bincount(given, minlength=n_classes)
    if counts.min() < FOLDS:
        return []
    small = np.concatenate([_shrunk(part) for part in _parts(pixels[rows])])
    seen = features_of(get_backbone(SMALL, seed=0), small)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(model, seen, given, cv=folds, method="predict_proba")
    usual = np.array([chances[given == kind, kind].mean() for kind in range(n_classes)])
    best = np.where(chances >= usual, chances, 0).argmax(axis=1)
    top = chances[np.arange(len(rows)), best]
    wrong = np.flatnonzero((best != given) & (top >= usual[best]))
    margin = top[wrong] - chances[wrong, given[wrong]]
    order = wrong[np.argsort(-margin, kind="stable")]
    return [Suspect(int(rows[at]), int(best[at]), float(top[at])) for at in order]


def _parts(pixels: Pixels) -> list[Pixels]:
    return [pixels[start : start + 512] for start in range(0, len(pixels), 512)]


def _shrunk(pixels: Pixels) -> Pixels:
    if pixels.shape[1] <= LOOKED:
        return pixels
    numbers = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    small = F.interpolate(numbers, size=(LOOKED, LOOKED), mode="area")
    return np.asarray(small.permute(0, 2, 3, 1).round().byte().numpy())
