"""What is wrong with pictures: labels that are likely wrong."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlfolio.parts.vision.backbone import SMALL, get_backbone
from mlfolio.parts.vision.nets import features_of
from mlfolio.parts.vision.pictures import Pictures, Pixels

LOOKED: Final = 32  # pixels a side in which labels are checked
MOST: Final = 10_000  # pictures whose labels are checked
FOLDS: Final = 5
FEWEST: Final = 2 * FOLDS  # different pictures of a class


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


def suspects(pictures: Pictures, n_classes: int) -> list[Suspect]:
    """Pictures that look like another class than the one they are in, the likeliest first.

    Confident learning (Northcutt et al., 2021): a picture is suspected of belonging to another
    class if that class's probability is at least what it is on average for pictures that are in
    it, and the highest of those. The probabilities are those of logistic regression on what our
    own backbone sees, for pictures that it was not fitted on, nor on any that is nearly the same.
    Classes of fewer than ten different pictures are left out.

    Args:
        pictures: With what is the same known.
        n_classes: How many classes there are.
    """
    rows = _sampled(pictures, n_classes)
    if len(kept := np.unique(pictures.classes[rows])) < 2:
        return []
    given = np.searchsorted(kept, pictures.classes[rows])
    small = np.concatenate([_shrunk(part) for part in _parts(pictures.pixels[rows])])
    seen = features_of(get_backbone(SMALL, seed=0), small)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    splits = list(folds.split(seen, given, pictures.groups[rows]))
    chances = cross_val_predict(model, seen, given, cv=splits, method="predict_proba")
    usual = np.array([chances[given == kind, kind].mean() for kind in range(len(kept))])
    best = np.where(chances >= usual, chances, 0).argmax(axis=1)
    top = chances[np.arange(len(rows)), best]
    wrong = np.flatnonzero((best != given) & (top >= usual[best]))
    margin = top[wrong] - chances[wrong, given[wrong]]
    order = wrong[np.argsort(-margin, kind="stable")]
    return [Suspect(int(rows[at]), int(kept[best[at]]), float(top[at])) for at in order]


def _sampled(pictures: Pictures, n_classes: int) -> NDArray[np.int64]:
    """Some pictures of each class that has enough, in order."""
    shuffled = np.random.default_rng(0).permutation(len(pictures))
    share = min(1.0, MOST / max(len(pictures), 1))
    rows = []
    for kind in range(n_classes):
        of_kind = shuffled[pictures.classes[shuffled] == kind]
        n = max(round(share * len(of_kind)), min(len(of_kind), 2 * FEWEST))
        if len(np.unique(pictures.groups[of_kind[:n]])) >= FEWEST:
            rows.append(of_kind[:n])
    return np.sort(np.concatenate(rows)) if rows else shuffled[:0]


def _parts(pixels: Pixels) -> list[Pixels]:
    return [pixels[start : start + 512] for start in range(0, len(pixels), 512)]


def _shrunk(pixels: Pixels) -> Pixels:
    if pixels.shape[1] <= LOOKED:
        return pixels
    numbers = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    small = F.interpolate(numbers, size=(LOOKED, LOOKED), mode="area")
    return np.asarray(small.permute(0, 2, 3, 1).round().byte().numpy())
