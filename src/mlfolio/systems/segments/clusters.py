"""The numbers of a segmentation: scale, centres, how far is far, and what resampling says of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import skew
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, confusion_matrix
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from mlfolio.parts.conformal import p_values

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Method = Callable[[int, int], Any]  # k and seed to what is fitted to points and predicts labels

MANY = 3000  # customers, drawn at random, that everything but the last centres is found on
ALARM = 0.01  # share of ordinary new customers that may be called unlike anyone
SKEWED = 1.0
FARTHEST = 1e6  # standard deviations beyond which all is the same
FOLDS = 10  # that give out-of-fold distances
PRIOR = 5  # customers at the common radius that each segment's own radius is shrunk by


class Scale(BaseModel):
    """From what was measured to comparable units: logarithms of skewed columns, then z-scores.

    Attributes:
        logged: Whether each column is taken as log(1 + x), by sign.
        mean: Of each column, after that.
        deviation: Of each column, after that.
    """

    logged: list[bool]
    mean: list[float]
    deviation: list[float]

    @classmethod
    def learn(cls, values: Floats) -> Scale:
        """Learns it from values of shape (n, columns).

        A column becomes a logarithm if nothing in it is negative, its skewness is above one, and
        the logarithm's is less.
        """
        logs = np.log1p(np.maximum(values, 0))
        with warnings.catch_warnings():  # of a column that hardly varies the skewness is NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            before, after = skew(values), skew(logs)
        logged = (values.min(axis=0) >= 0) & (before > SKEWED) & (np.abs(after) < before)
        points = np.where(logged, logs, values)
        deviation = np.where(np.ptp(points, axis=0) > 0, points.std(axis=0), 1.0)
        return cls(
            logged=logged.tolist(), mean=points.mean(axis=0).tolist(), deviation=deviation.tolist()
        )

    def apply(self, values: ArrayLike) -> Floats:
        """Points in standard deviations from the mean, shape (n, columns)."""
        raw = np.asarray(values, dtype=np.float64)
        points = np.where(self.logged, np.sign(raw) * np.log1p(np.abs(raw)), raw)
        scaled = (points - self.mean) / self.deviation
        return np.asarray(np.clip(scaled, -FARTHEST, FARTHEST), dtype=np.float64)


class Typical(BaseModel):
    """How far customers are from the centre of their segment, and who is too far to be one.

    Distances count in radii: the root mean square distance of a segment's customers. `usual` are
    those of customers from centres and radii that were found without them, so that a new
    customer's rank among them is a conformal p-value.

    Attributes:
        radii: Of each segment, shrunk towards the common one where customers are few.
        usual: Out-of-fold distances in radii, ascending; at most a thousand of them.
    """

    radii: list[float]
    usual: list[float]

    @classmethod
    def learn(cls, points: Floats, centres: Floats, seed: int) -> Typical:
        """Learns radii from all points and the usual distances by cross-validation."""
        k, usual = len(centres), np.zeros(len(points))
        for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(points):
            found = k_means(points[train], k, seed)
            labels, distances = nearest(points[test], found)
            usual[test] = distances / radii(points[train], found)[labels]
        kept = np.sort(usual)
        if len(kept) > 1000:
            kept = np.quantile(usual, np.linspace(0, 1, 1000))
        return cls(radii=radii(points, centres).tolist(), usual=kept.tolist())

    def share_beyond(self, labels: Labels, distances: Floats) -> Floats:
        """Share of ordinary customers who are at least as far out, in (0, 1], shape (n,)."""
        return p_values(np.array(self.usual), distances / np.array(self.radii)[labels])

    @property
    def alarm(self) -> float:
        """The share up to which a customer is unlike anyone; few customers allow no small one."""
        return max(ALARM, 1 / (1 + len(self.usual)))


@contextmanager
def quietly() -> Iterator[None]:
    """One thread, whose sums are the same each time; of equal customers some centres coincide."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def some(rows: Floats, seed: int) -> Floats:
    """The rows, or `MANY` of them drawn at random."""
    if len(rows) <= MANY:
        return rows
    return np.random.default_rng(seed).choice(rows, MANY, replace=False)


def means(k: int, seed: int, starts: int = 10) -> KMeans:
    """K-means, the best of some starts."""
    return KMeans(k, n_init=starts, random_state=seed)


def mixture(k: int, seed: int) -> GaussianMixture:
    """Gaussians with covariances of their own, and a little ridge for values that repeat."""
    return GaussianMixture(k, reg_covar=1e-3, random_state=seed)


def k_means(points: Floats, k: int, seed: int, begin: Floats | None = None) -> Floats:
    """Centres by falling number of customers, equal numbers by place, shape (k, d).

    Args:
        points: Customers, shape (n, d).
        k: How many centres.
        seed: Seed of the starts.
        begin: Centres to go on from instead.
    """
    fresh = means(k, seed) if begin is None else KMeans(k, init=begin, n_init=1)
    found = fresh.fit(points)
    counts = np.bincount(found.labels_, minlength=k)
    order = np.lexsort([*found.cluster_centers_.T[::-1], -counts])
    return np.asarray(found.cluster_centers_[order], dtype=np.float64)


def nearest(points: Floats, centres: Floats) -> tuple[Labels, Floats]:
    """For each point its nearest centre and the distance to it, both of shape (n,)."""
    distances = cdist(points, centres)
    return distances.argmin(axis=1), distances.min(axis=1)


def radii(points: Floats, centres: Floats) -> Floats:
    """Root mean square distance from each centre, shape (k,), shrunk by `PRIOR` customers."""
    labels, distances = nearest(points, centres)
    squares = np.bincount(labels, distances**2, minlength=len(centres))
    counts = np.bincount(labels, minlength=len(centres))
    common = float((distances**2).mean()) or 1.0
    found: Floats = np.sqrt((squares + PRIOR * common) / (counts + PRIOR))
    return found


def draws(n: int, samples: int, seed: int) -> list[Labels]:
    """Bootstrap samples of the positions 0..n-1."""
    rng = np.random.default_rng(seed)
    return [rng.integers(n, size=n) for _ in range(samples)]


def bootstrap(points: Floats, method: Method, k: int, samples: int, seed: int) -> Floats:
    """How well segments of bootstrap samples agree with those of the whole, shape (samples,).

    By the adjusted Rand index, on the customers that each sample left out.
    """
    whole = method(k, seed).fit(points).predict(points)
    found = []
    for number, drawn in enumerate(draws(len(points), samples, seed)):
        rest = np.setdiff1d(np.arange(len(points)), drawn)
        labels = method(k, seed + number).fit(points[drawn]).predict(points[rest])
        found.append(adjusted_rand_score(whole[rest], labels))
    return np.array(found)


def refitted(points: Floats, centres: Floats, samples: int, seed: int) -> Floats:
    """Centres of bootstrap samples, each beside the centre that it stands for.

    Returns:
        Shape (samples, k, d).
    """
    k, (labels, _) = len(centres), nearest(points, centres)
    found = []
    for number, drawn in enumerate(draws(len(points), samples, seed)):
        others = k_means(points[drawn], k, seed + number)
        found.append(others[matched(labels, nearest(points, others)[0], k)])
    return np.array(found)


def matched(one: Labels, other: Labels, k: int) -> Labels:
    """For each of k segments the one of k others that stands for it, by most customers in both."""
    together = confusion_matrix(one, other, labels=range(k))
    return np.asarray(linear_sum_assignment(-together)[1], dtype=np.int64)


def agreeing(points: Floats, centres: Floats, refits: Floats) -> Floats:
    """Share of the refits that put each point into the segment that the centres do, shape (n,).

    Half a refit is added on either side: no number of refits makes anything certain.
    """
    labels, _ = nearest(points, centres)
    same = sum((nearest(points, refit)[0] == labels for refit in refits), np.zeros(len(points)))
    sure: Floats = (same + 0.5) / (len(refits) + 1)
    return sure
