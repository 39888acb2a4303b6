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
    Floats,
    Labels,
    Scale,
    Typical,
    bootstrap,
    k_means,
    means,
    mixture,
    nearest,
)

SYSTEM, TRIVIAL, STRONG = "this system", "k-means, columns shuffled", "Gaussian mixture"
SHUFFLES = 10


def silhouette(points: Floats, centres: Floats, columns: list[str], run: Run) -> Score:
    """How much nearer customers are to their own segment than to the next, as it stands."""
    k, labels = len(centres), nearest(points, centres)[0]
    noise = [shuffle(points, run.seed + number) for number in range(SHUFFLES)]
    values = {
        SYSTEM: silhouettes(points, labels),
        STRONG: silhouettes(points, mixture(k, run.seed).fit(points).predict(points)),
        TRIVIAL: np.mean(
            [silhouettes(each, means(k, run.seed).fit(each).labels_) for each in noise], axis=0
        ),
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
    alarms = np.zeros(len(values))
    splits = list(KFold(folds, shuffle=True, random_state=run.seed).split(values))
    for number, (train, test) in enumerate(run.progress(splits, "fold")):
        scale = Scale.learn(values[train])
        points, others = scale.apply(values[train]), scale.apply(values[test])
        here = k or evidence(points, max_k, run.seed).k
        chosen.append(here)
        shuffled, unseen = scale.apply(noise[train]), scale.apply(noise[test])
        for name, method, near, far in (
            (SYSTEM, means, points, others),
            (STRONG, mixture, points, others),
            (TRIVIAL, means, shuffled, unseen),
        ):
            fitted = method(here, run.seed).fit(near)
            labels, own = fitted.predict(near), fitted.predict(far)
            found[name][test] = silhouettes_among(far, own, near, labels)
        alarms[test] = unlike_anyone(others, points, here, run.seed)
        run.log(number, k=here, silhouette=float(found[SYSTEM][test].mean()))
    run.note(f"Segments chosen in each fold: {', '.join(map(str, chosen))}.")
    protocol = f"{folds}-fold cross-validation"
    return (
        mean_score(
            "silhouette of new customers", found, SYSTEM, trivial=TRIVIAL, strong=STRONG,
            protocol=f"{protocol}, everything fitted and k chosen without them", seed=run.seed,
        ),
        mean_score(
            "false alarms", {SYSTEM: alarms}, SYSTEM, direction="lower",
            protocol=f"{protocol}: ordinary customers called unlike anyone",
        ),
    )  # fmt: skip


def stability(points: Floats, k: int, samples: int, run: Run) -> Score:
    """Whether other customers like these would give the same segments."""
    own = bootstrap(points, means, k, samples, run.seed)
    mixed = bootstrap(points, mixture, k, samples, run.seed)
    noise = bootstrap(shuffle(points, run.seed), means, k, samples, run.seed)
    low, high = np.quantile(own, [0.025, 0.975]).tolist()
    less, more = np.quantile(own - mixed, [0.025, 0.975]).tolist()
    return Score(
        name="stability",
        value=float(own.mean()),
        n=samples,
        ci95=(low, high),
        protocol="adjusted Rand index with the segments of bootstrap samples, on the customers "
        "that each left out; 95 % of the samples lie in the interval",
        trivial=Baseline(name=TRIVIAL, value=float(noise.mean())),
        strong=Baseline(name=STRONG, value=float(mixed.mean()), gain_ci95=(less, more)),
    )


def silhouettes(points: Floats, labels: Labels) -> Floats:
    """Of each point, shape (n,); zero where all are in one segment."""
    if len(np.unique(labels)) < 2:
        return np.zeros(len(points))
    found: Floats = silhouette_samples(points, labels)
    return found


def silhouettes_among(others: Floats, own: Labels, points: Floats, labels: Labels) -> Floats:
    """The silhouettes that new points would have among those of the fit, shape (others,).

    Args:
        others: The new points, shape (others, d).
        own: The segment of each, shape (others,).
        points: Those of the fit, shape (n, d).
        labels: The segment of each, shape (n,).
    """
    members = np.eye(max(labels.max(), own.max()) + 1)[labels]
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


def unlike_anyone(others: Floats, points: Floats, k: int, seed: int) -> NDArray[np.bool_]:
    """Which of some new points are unlike all that segments were made of, shape (others,)."""
    centres = k_means(points, k, seed)
    usual = Typical.learn(points, centres, seed)
    found: NDArray[np.bool_] = usual.share_beyond(*nearest(others, centres)) <= usual.alarm
    return found
