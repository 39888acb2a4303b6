"""How many segments: four kinds of evidence beside each other, and one rule."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import calinski_harabasz_score, silhouette_score

from .clusters import Floats, means

REFERENCES = 20  # tables of uniform noise
STARTS = 4  # of k-means, the same for customers and noise: a thousand fits are made
FEWEST = 5  # customers of a segment, on average


class Evidence(NamedTuple):
    """What speaks for which number of segments.

    Attributes:
        table: For each k its inertia, silhouette, Calinski-Harabasz index, gap and the gap's error.
        votes: The k that each criterion names.
        grouped: Whether there are segments at all; if not, the gap's vote is 1.
        k: The number chosen.
    """

    table: pd.DataFrame
    votes: dict[str, int]
    grouped: bool
    k: int


def evidence(points: Floats, max_k: int, seed: int) -> Evidence:
    """What each criterion says of 1 to `max_k` segments, and the number that the rule gives.

    The rule: the gap statistic alone says whether there are segments. If so, `decide` says how
    many. If not, the customers are one crowd, and the silhouette says into how many parts to cut
    it.

    Args:
        points: Customers, shape (n, d), standardised.
        max_k: The largest number tried; less where customers are few.
        seed: Seed of the starts and of the references.
    """
    numbers = pd.RangeIndex(1, min(max_k, len(points) // FEWEST) + 1, name="k")
    fits = [means(k, seed, STARTS).fit(points) for k in numbers]
    inertia = np.array([fit.inertia_ for fit in fits])
    table = pd.DataFrame({"inertia": inertia}, index=numbers)
    for criterion, score in {
        "silhouette": silhouette_score,
        "Calinski-Harabasz": calinski_harabasz_score,
    }.items():
        table.loc[2:, criterion] = [score(points, fit.labels_) for fit in fits[1:]]
    table["gap"], table["gap error"], grouped = _gap(points, inertia, seed)
    votes = {
        "elbow": elbow(inertia),
        "silhouette": int(table["silhouette"].argmax()) + 1,
        "Calinski-Harabasz": int(table["Calinski-Harabasz"].argmax()) + 1,
        "gap": within_one_error(table["gap"].to_numpy(), table["gap error"].to_numpy()),
    }
    if not grouped:
        return Evidence(table, votes | {"gap": 1}, grouped, votes["silhouette"])
    return Evidence(table, votes, grouped, decide(votes))


def decide(votes: dict[str, int]) -> int:
    """The number that two of silhouette, Calinski-Harabasz and gap name, else the silhouette's.

    The elbow is drawn because everybody looks for it, and does not vote: of crowds made with five
    or seven groups it finds hardly any (`benchmarks/segments.py rules`).
    """
    others = votes["Calinski-Harabasz"], votes["gap"]
    return others[0] if others[0] == others[1] else votes["silhouette"]


def elbow(inertia: Floats) -> int:
    """Where the curve lies farthest below the line between its ends (Satopää et al., 2011).

    Args:
        inertia: For 1, 2, ... segments.
    """
    steps = np.linspace(0, 1, len(inertia))
    fallen = (inertia[0] - inertia) / ((inertia[0] - inertia[-1]) or 1.0)
    return int(np.argmax(fallen - steps)) + 1


def within_one_error(gap: Floats, error: Floats) -> int:
    """The smallest k whose gap is within one error of the largest (Dudoit and Fridlyand, 2002).

    Tibshirani's own rule ends at the first k that the next one does not beat. Where segments form
    a grid that is k = 1, as two are worse than one, whatever five are.
    """
    best = int(gap.argmax())
    return int(np.flatnonzero(gap >= gap[best] - error[best])[0]) + 1


def _gap(points: Floats, inertia: Floats, seed: int) -> tuple[Floats, Floats, bool]:
    """How much more compact the customers are than uniform noise, and its error, for each k.

    The noise fills the box around the points along their principal axes (Tibshirani, Walther and
    Hastie, 2001, Estimating the number of clusters in a data set via the gap statistic, 3b).

    Returns:
        The gaps and their errors, shape (max_k,), and whether there are groups: whether some gap
        leads the gap of one segment by more than in every table of noise, each held against the
        others. Of tables of noise, one in `REFERENCES` + 1 would do that by chance.
    """
    rng = np.random.default_rng(seed)
    middle = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - middle, full_matrices=False)
    turned = (points - middle) @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    noise = [rng.uniform(low, high, turned.shape) for _ in range(REFERENCES)]
    ks = range(1, len(inertia) + 1)
    logs = np.log([[means(k, seed, STARTS).fit(each).inertia_ for k in ks] for each in noise])
    usual = logs.mean(axis=0)
    gap = usual - np.log(np.maximum(inertia, np.finfo(float).tiny))
    leads = np.vstack([gap, usual - logs])
    leads = leads[:, 1:] - leads[:, :1]
    best = (leads / leads[1:].std(axis=0)).max(axis=1)
    grouped = bool(best[0] > best[1:].max())
    return gap, logs.std(axis=0) * np.sqrt(1 + 1 / REFERENCES), grouped
