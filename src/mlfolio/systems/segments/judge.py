"""How good segments are where there is no truth: compact, repeatable, true of new customers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples
from sklearn.model_selection import KFold

from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Score
from mlfolio.parts.stats import mean_score

from .choose import evidence
from .clusters import (
    Assign,
    Floats,
    Labels,
    Scale,
    Typical,
    agreeing,
    bootstrap,
    by_means,
    by_mixture,
    k_means,
    matched,
    nearest,
    refitted,
)

SYSTEM, TRIVIAL, STRONG = "this system", "k-means, columns shuffled", "Gaussian mixture"
NAIVE = "threshold from the customers themselves"
CONSTANT = "the mean agreement"
SHUFFLES = 10
BINS = [0, 0.5, 0.8, 0.95, 1.0]  # of confidence
DISSOLVED = 0.5  # Jaccard index below which a segment is another one


def silhouette(points: Floats, centres: Floats, columns: list[str], run: Run) -> Score:
    """How much nearer customers are to their own segment than to the next, as it stands."""
    k, (labels, _) = len(centres), nearest(points, centres)
    noise = []
    for number in range(SHUFFLES):
        shuffled = shuffle(points, run.seed + number)
        noise.append(silhouettes(shuffled, by_means(shuffled, k, run.seed)(shuffled)))
    values = {
        SYSTEM: silhouettes(points, labels),
        STRONG: silhouettes(points, by_mixture(points, k, run.seed)(points)),
        TRIVIAL: np.mean(noise, axis=0),
    }
    own = pd.Series(values[SYSTEM]).groupby(labels + 1).mean().rename_axis("segment")
    run.table("Silhouette of each segment", own.to_frame("silhouette").round(3))
    return mean_score(
        "silhouette", values, SYSTEM, trivial=TRIVIAL, strong=STRONG, seed=run.seed,
        protocol=f"{k} segments by {', '.join(columns)}, on the customers that made them",
    )  # fmt: skip


def new_customers(
    values: Floats, k: int | None, max_k: int, folds: int, run: Run
) -> tuple[Score, Score]:
    """Silhouettes and alarms of customers who were held out of the whole procedure.

    Args:
        values: The customers as measured, shape (n, columns).
        k: The number of segments; None to choose it anew in each fold.
        max_k: The largest number tried then.
        folds: How often a part is held out.
        run: Takes notes and logs.
    """
    noise, chosen = shuffle(values, run.seed), []
    found = {name: np.zeros(len(values)) for name in (SYSTEM, STRONG, TRIVIAL)}
    alarms = {name: np.zeros(len(values)) for name in (SYSTEM, NAIVE)}
    splits = list(KFold(folds, shuffle=True, random_state=run.seed).split(values))
    for number, (train, test) in enumerate(run.progress(splits, "fold")):
        scale = Scale.learn(values[train])
        points, others = scale.apply(values[train]), scale.apply(values[test])
        here = k or evidence(points, max_k, run.seed).k
        chosen.append(here)
        shuffled, unseen = scale.apply(noise[train]), scale.apply(noise[test])
        for name, method, near, far in (
            (SYSTEM, by_means, points, others),
            (STRONG, by_mixture, points, others),
            (TRIVIAL, by_means, shuffled, unseen),
        ):
            assign = method(near, here, run.seed)
            found[name][test] = silhouettes_among(far, near, assign)
        for name, alarm in _alarms(others, points, here, run.seed).items():
            alarms[name][test] = alarm
        run.log(number, k=here, silhouette=float(found[SYSTEM][test].mean()))
    run.note(f"Segments chosen in each fold: {', '.join(map(str, chosen))}.")
    protocol = f"{folds}-fold cross-validation"
    return (
        mean_score(
            "silhouette of new customers", found, SYSTEM, trivial=TRIVIAL, strong=STRONG,
            protocol=f"{protocol}, everything fitted and k chosen without them", seed=run.seed,
        ),
        mean_score(
            "false alarms", alarms, SYSTEM, trivial=NAIVE, direction="lower",
            protocol=f"{protocol}: ordinary customers called unlike anyone", seed=run.seed,
        ),
    )  # fmt: skip


def stability(points: Floats, k: int, samples: int, run: Run) -> Score:
    """Whether other customers like these would give the same segments."""
    own = bootstrap(points, by_means, k, samples, run.seed)
    mixed = bootstrap(points, by_mixture, k, samples, run.seed)
    noise = bootstrap(shuffle(points, run.seed), by_means, k, samples, run.seed)
    table = pd.DataFrame(
        {
            "mean Jaccard": own.jaccard.mean(axis=0),
            "share of samples below 0.5": (own.jaccard < DISSOLVED).mean(axis=0),
        },
        index=pd.RangeIndex(1, k + 1, name="segment"),
    )
    said = "From 0.75 a segment is stable; below 0.5 it dissolves (Hennig, 2007)."
    run.table("Stability of each segment", table.round(3), said)
    low, high = np.quantile(own.agreement, [0.025, 0.975])
    gains = np.quantile(own.agreement - mixed.agreement, [0.025, 0.975])
    return Score(
        name="stability",
        value=float(own.agreement.mean()),
        n=samples,
        ci95=(float(low), float(high)),
        protocol="adjusted Rand index with the segments of bootstrap samples, on the customers "
        "that each left out; 95 % of the samples lie in the interval",
        trivial=Baseline(name=TRIVIAL, value=float(noise.agreement.mean())),
        strong=Baseline(
            name=STRONG,
            value=float(mixed.agreement.mean()),
            gain_ci95=(float(gains[0]), float(gains[1])),
        ),
    )


def calibration(points: Floats, k: int, samples: int, folds: int, run: Run) -> Score:
    """Whether the confidence is the chance that other customers give the same segment.

    Two halves of the customers, apart, say into which segment those of a third part belong. The
    confidence comes from the first half alone; the second says whether it came true.
    """
    sure, same = np.zeros(len(points)), np.zeros(len(points))
    splitter = KFold(folds, shuffle=True, random_state=run.seed)
    for rest, judged in splitter.split(points):
        rest = np.random.default_rng(run.seed).permutation(rest)
        one, other = points[rest[::2]], points[rest[1::2]]
        centres, others = (k_means(half, k, run.seed) for half in (one, other))
        labels, again = nearest(points, centres)[0], nearest(points, others)[0]
        same[judged] = (matched(again, labels, k)[again] == labels)[judged]
        refits = refitted(one, centres, samples, run.seed)
        sure[judged] = agreeing(points[judged], centres, refits)
    table = pd.DataFrame({"confidence": sure, "came true": same, "customers": 1})
    groups = table.groupby(pd.cut(table["confidence"], BINS, include_lowest=True).astype(str))
    run.table(
        "Confidence and what came true",
        groups.agg({"confidence": "mean", "came true": "mean", "customers": "sum"}).round(3),
        "Two halves of the customers asked about a third part.",
    )
    values = {SYSTEM: (sure - same) ** 2, CONSTANT: (same.mean() - same) ** 2}
    return mean_score(
        "Brier score", values, SYSTEM, trivial=CONSTANT, direction="lower", seed=run.seed,
        protocol="confidence from one part of the customers, segment from another, "
        f"for a third ({folds} times)",
    )  # fmt: skip


def silhouettes(points: Floats, labels: Labels) -> Floats:
    """Of each point, shape (n,); zero where all are in one segment."""
    if len(np.unique(labels)) < 2:
        return np.zeros(len(points))
    found: Floats = silhouette_samples(points, labels)
    return found


def silhouettes_among(others: Floats, points: Floats, assign: Assign) -> Floats:
    """Of points that are new among those that `assign` was found on, shape (others,)."""
    labels, own = assign(points), assign(others)
    members = np.eye(labels.max() + 1)[labels]
    distances = cdist(others, points) @ members / np.maximum(members.sum(axis=0), 1)
    distances[:, members.sum(axis=0) == 0] = np.inf
    here = distances[np.arange(len(others)), own]
    distances[np.arange(len(others)), own] = np.inf
    next_ = distances.min(axis=1)
    found: Floats = (next_ - here) / np.maximum(next_, here)
    return found


def shuffle(values: Floats, seed: int) -> Floats:
    """Each column in an order of its own: the same columns, and nothing that they share."""
    return np.random.default_rng(seed).permuted(values, axis=0)


def _alarms(others: Floats, points: Floats, k: int, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Which new points are called unlike anyone, by honest distances and by naive ones."""
    centres = k_means(points, k, seed)
    usual = Typical.learn(points, centres, seed)
    labels, distances = nearest(points, centres)
    within = np.sort(distances / np.asarray(usual.radii)[labels])
    naive = usual.model_copy(update={"usual": within.tolist()})
    found = nearest(others, centres)
    return {
        SYSTEM: usual.share_beyond(*found) <= usual.alarm,
        NAIVE: naive.share_beyond(*found) <= naive.alarm,
    }
