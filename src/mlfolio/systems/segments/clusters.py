"""The numbers of a segmentation: scale, centres, how far is far, and what resampling says of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import skew
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Assign = Callable[[Floats], Labels]  # points, shape (n, d), to the numbers of their segments
Method = Callable[[Floats, int, int], Assign]  # points, k, seed

ALARM = 0.01  # share of ordinary new customers that may be called unlike anyone
SKEWED = 1.0
FARTHEST = 1e6  # standard deviations beyond which all is the same
FOLDS = 10  # that give out-of-fold distances
PRIOR = 5  # customers at the common radius that each segment's own radius is shrunk by
STARTS = 10


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
    those of customers from centres and radii that were found without them, so a new customer's
    rank among them is a conformal p-value (Laxhammar and Falkman, 2010).

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
        far = distances / np.asarray(self.radii)[labels]
        beyond = len(self.usual) - np.searchsorted(self.usual, far, side="left")
        shares: Floats = (1 + beyond) / (1 + len(self.usual))
        return shares

    @property
    def alarm(self) -> float:
        """The share below which a customer is unlike anyone; few customers allow no small one."""
        return max(ALARM, 1 / (1 + len(self.usual)))


def k_means(points: Floats, k: int, seed: int, starts: int = STARTS) -> Floats:
    """Centres of the best of some starts, shape (k, d), the largest segment first."""
    found = _fitted(KMeans(k, n_init=starts, random_state=seed), points)
    return in_order(found.cluster_centers_, found.labels_)


def moved(points: Floats, centres: Floats) -> Floats:
    """The centres after k-means went on from them over all points."""
    found = _fitted(KMeans(len(centres), init=centres, n_init=1), points)
    return in_order(found.cluster_centers_, found.labels_)


def _fitted(means: KMeans, points: Floats) -> KMeans:
    with warnings.catch_warnings():  # of many equal customers some centres fall together
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit(points)


def in_order(centres: Floats, labels: Labels) -> Floats:
    """The centres by falling number of customers, equal numbers by place."""
    counts = np.bincount(labels, minlength=len(centres))
    return np.asarray(centres[np.lexsort([*centres.T[::-1], -counts])], dtype=np.float64)


def nearest(points: Floats, centres: Floats) -> tuple[Labels, Floats]:
    """For each point its nearest centre and the distance to it, both of shape (n,)."""
    distances = cdist(points, centres)
    labels = distances.argmin(axis=1)
    return labels, distances[np.arange(len(points)), labels]


def radii(points: Floats, centres: Floats) -> Floats:
    """Root mean square distance from each centre, shape (k,), shrunk by `PRIOR` customers."""
    labels, distances = nearest(points, centres)
    squares = np.bincount(labels, distances**2, minlength=len(centres))
    counts = np.bincount(labels, minlength=len(centres))
    common = float((distances**2).mean()) or 1.0
    found: Floats = np.sqrt((squares + PRIOR * common) / (counts + PRIOR))
    return found


def by_means(points: Floats, k: int, seed: int) -> Assign:
    """K-means: each point to its nearest centre."""
    centres = k_means(points, k, seed)
    return lambda others: nearest(others, centres)[0]


def by_mixture(points: Floats, k: int, seed: int) -> Assign:
    """A mixture of Gaussians: each point to its likeliest component."""
    mixture = mixture_of(points, k, seed)
    return lambda others: np.asarray(mixture.predict(others), dtype=np.int64)


def mixture_of(points: Floats, k: int, seed: int) -> GaussianMixture:
    """Gaussians with covariances of their own, and a little ridge for values that repeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(points)


class Resampled(NamedTuple):
    """What bootstrap samples say of a segmentation.

    Attributes:
        agreement: Adjusted Rand index of each sample's segments with the whole's, on the customers
            that the sample left out, shape (samples,).
        jaccard: For each sample and segment the best overlap with one of the sample's, on all
            customers (Hennig, 2007), shape (samples, k).
    """

    agreement: Floats
    jaccard: Floats


def bootstrap(points: Floats, method: Method, k: int, samples: int, seed: int) -> Resampled:
    """Segments bootstrap samples of the points anew and compares with the segments of the whole."""
    whole = method(points, k, seed)(points)
    agreement, jaccard = [], []
    for number, drawn in enumerate(draws(len(points), samples, seed)):
        labels = method(points[drawn], k, seed + number)(points)
        left_out = np.setdiff1d(np.arange(len(points)), drawn)
        agreement.append(adjusted_rand_score(whole[left_out], labels[left_out]))
        jaccard.append(overlaps(whole, labels, k).max(axis=1))
    return Resampled(np.array(agreement), np.array(jaccard))


def draws(n: int, samples: int, seed: int) -> list[Labels]:
    """Bootstrap samples of the positions 0..n-1."""
    rng = np.random.default_rng(seed)
    return [rng.integers(n, size=n) for _ in range(samples)]


def overlaps(one: Labels, other: Labels, k: int) -> Floats:
    """Jaccard index of each of k segments with each of k others, shape (k, k)."""
    both = _together(one, other, k)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    shares: Floats = both / np.maximum(either, 1)
    return shares


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
    return np.asarray(linear_sum_assignment(-_together(one, other, k))[1], dtype=np.int64)


def _together(one: Labels, other: Labels, k: int) -> Floats:
    """How many points are in each pair of segments, shape (k, k)."""
    flat = np.bincount(one * k + other, minlength=k * k)
    return flat.reshape(k, k).astype(np.float64)


def agreeing(points: Floats, centres: Floats, refits: Floats) -> Floats:
    """Share of the refits that put each point into the segment that the centres do, shape (n,).

    Half a refit is added on either side: no number of refits makes anything certain.
    """
    labels, _ = nearest(points, centres)
    samples, k, d = refits.shape
    shares = np.zeros(len(points))
    for at in range(0, len(points), 1000):  # all distances at once would be gigabytes
        block = slice(at, at + 1000)
        distances = cdist(points[block], refits.reshape(-1, d)).reshape(-1, samples, k)
        shares[block] = (distances.argmin(axis=2) == labels[block, None]).sum(axis=1)
    sure: Floats = (shares + 0.5) / (samples + 1)
    return sure
