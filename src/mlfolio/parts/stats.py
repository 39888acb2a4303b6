"""How sure a measured number is: intervals, and scores beside their rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mlfolio.core.card import Direction
from mlfolio.core.score import Baseline, Score

Alternative = Literal["greater", "two-sided"]
Bounds = tuple[float, float]
FEWEST = 10  # test items below which drawing from them again says nothing


def mean_score(
    name: str,
    values: Mapping[str, ArrayLike],
    of: str,
    *,
    protocol: str,
    trivial: str | None = None,
    strong: str | None = None,
    direction: Direction = "higher",
    ci95: Bounds | None = None,
    seed: int = 0,
) -> Score:
    """A metric that is a mean over test items, beside the same of its rivals on the same items.

    Args:
        name: The metric.
        values: What the model and each rival got for each test item, shape (n,). Where all are 0
            or 1 (wrong or right) the interval is Wilson's, else a bootstrap one, or none where
            they are fewer than ten or all the same.
        of: The name, in `values`, of what is scored.
        protocol: How it was measured.
        trivial: The name of the trivial baseline, if there is one.
        strong: The name of the strong baseline, likewise.
        direction: Whether higher or lower is better.
        ci95: The interval, where items alone do not tell it (repeated cross-validation).
        seed: Seed of the bootstrap.
    """
    mine = np.asarray(values[of])

    def baseline(rival: str) -> Baseline:
        theirs = np.asarray(values[rival], dtype=float)
        gain = mean_ci95(mine.astype(float) - theirs, seed)
        return Baseline(name=rival, value=float(theirs.mean()), gain_ci95=gain)

    return Score(
        name=name,
        value=float(mine.mean()),
        direction=direction,
        n=len(mine),
        ci95=ci95 or _interval(mine, seed),
        protocol=protocol,
        trivial=baseline(trivial) if trivial else None,
        strong=baseline(strong) if strong else None,
    )


def metric_score(
    name: str,
    metric: Callable[..., float],
    truth: ArrayLike,
    answers: Mapping[str, ArrayLike],
    of: str,
    *,
    trivial: str,
    strong: str,
    protocol: str,
    direction: Direction = "higher",
    seed: int = 0,
) -> Score:
    """A metric of all answers together, beside the same of its rivals on the same items.

    Args:
        name: The metric.
        metric: Takes truth and answers, each of shape (n,).
        truth: The right answers, shape (n,).
        answers: Those of the model and of each rival, shape (n,).
        of: The name, in `answers`, of what is scored.
        trivial: The name of the trivial baseline.
        strong: The name of the strong baseline.
        protocol: How it was measured.
        direction: Whether higher or lower is better.
        seed: Seed of the bootstrap that gives the intervals.
    """
    right, mine, theirs = (np.asarray(each) for each in (truth, answers[of], answers[strong]))

    def gain(truth: Any, mine: Any, theirs: Any) -> float:
        return metric(truth, mine) - metric(truth, theirs)

    return Score(
        name=name,
        value=float(metric(right, mine)),
        direction=direction,
        n=len(right),
        ci95=bootstrap_ci95(metric, right, mine, seed=seed),
        protocol=protocol,
        trivial=Baseline(name=trivial, value=float(metric(right, np.asarray(answers[trivial])))),
        strong=Baseline(
            name=strong,
            value=float(metric(right, theirs)),
            gain_ci95=bootstrap_ci95(gain, right, mine, theirs, seed=seed),
        ),
    )


def grouped_score(
    name: str,
    metric: Callable[..., float],
    columns: Mapping[str, Sequence[ArrayLike]],
    of: str,
    group: ArrayLike,
    *,
    trivial: str,
    strong: str,
    protocol: str,
    direction: Direction = "higher",
    seed: int = 0,
) -> Score:
    """A metric of test items that come in groups, copies of each other, say.

    Copies stand or fall together, so the bootstrap draws groups, not items.

    Args:
        name: The metric.
        metric: Takes the sum of each column over the items.
        columns: For the model and each rival what is summed, each of shape (n,).
        of: The name, in `columns`, of what is scored.
        group: Number of each item's group, shape (n,).
        trivial: The name of the trivial baseline.
        strong: The name of the strong baseline.
        protocol: How it was measured.
        direction: Whether higher or lower is better.
        seed: Seed of the bootstrap. For fewer than ten groups there is no interval.
    """
    _, place = np.unique(np.asarray(group), return_inverse=True)
    sums = {
        who: [np.bincount(place, np.asarray(column)) for column in theirs]
        for who, theirs in columns.items()
    }
    width = len(sums[of])

    def value(*parts: NDArray[Any]) -> float:
        return float(metric(*(float(part.sum()) for part in parts)))

    def gain(*parts: NDArray[Any]) -> float:
        return value(*parts[:width]) - value(*parts[width:])

    def interval(statistic: Callable[..., float], *parts: NDArray[Any]) -> Bounds | None:
        return bootstrap_ci95(statistic, *parts, seed=seed) if len(parts[0]) >= FEWEST else None

    return Score(
        name=name,
        value=value(*sums[of]),
        direction=direction,
        n=len(place),
        ci95=interval(value, *sums[of]),
        protocol=protocol,
        trivial=Baseline(name=trivial, value=value(*sums[trivial])),
        strong=Baseline(
            name=strong,
            value=value(*sums[strong]),
            gain_ci95=interval(gain, *sums[of], *sums[strong]),
        ),
    )


def _interval(values: NDArray[Any], seed: int) -> Bounds | None:
    """The interval of a mean; equal values do not tell how sure it is, unless they are shares."""
    if np.isin(values, (0, 1)).all():
        return proportion_ci95(values)
    return mean_ci95(values, seed) if np.ptp(values) else None


def proportion_ci95(correct: ArrayLike, together: int = 1) -> Bounds:
    """95 % Wilson interval of a share.

    Args:
        correct: True where the answer was right, shape (n,), n >= 1.
        together: How many such intervals are to hold at once with 95 %; each is wider for that
            (Bonferroni).
    """
    hits = np.asarray(correct, dtype=bool)
    test = stats.binomtest(int(hits.sum()), hits.size)
    interval = test.proportion_ci(1 - 0.05 / together, method="wilson")
    return float(interval.low), float(interval.high)


def mean_ci95(values: ArrayLike, seed: int = 0) -> Bounds | None:
    """95 % bootstrap interval of a mean over test items (percentile method, 2,000 draws).

    Use it for paired gains too: pass the differences, item by item.

    Args:
        values: One number for each test item, shape (n,), n >= 1.
        seed: Seed of the draws.

    Returns:
        The bounds; None for fewer than ten items.
    """
    sample: NDArray[np.float64] = np.asarray(values, dtype=float)
    if len(sample) < FEWEST:
        return None
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    drawn = stats.bootstrap(
        (sample,), np.mean, n_resamples=2000, method="percentile", vectorized=True,
        rng=np.random.default_rng(seed), batch=200,
    )  # fmt: skip
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def bootstrap_ci95(statistic: Callable[..., float], *arrays: ArrayLike, seed: int = 0) -> Bounds:
    """95 % bootstrap interval of any statistic of paired arrays (percentile method, 1,000 draws).

    Args:
        statistic: Takes the arrays, drawn together, and gives a number; draws for which it gives
            NaN are left out.
        *arrays: Of one length, one element for each test item.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    parts = [np.asarray(array) for array in arrays]
    values = []
    for _ in range(1000):  # one draw at a time: all of them would take 8 kB for each test item
        draw = rng.integers(len(parts[0]), size=len(parts[0]))
        values.append(statistic(*(part[draw] for part in parts)))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def p_paired(gains: ArrayLike, alternative: Alternative = "greater") -> float:
    """P-value of paired differences, of two models on the same items.

    McNemar's exact test where all are -1, 0 or 1, as of answers that are right or wrong; else
    Wilcoxon's signed ranks.

    Args:
        gains: One difference for each test item, shape (n,).
        alternative: What is asked: whether they are above zero, or away from it.

    Returns:
        In [0, 1]; 1 where nothing differs.
    """
    values = np.asarray(gains, dtype=float)
    differ = values[values != 0]
    if not len(differ):
        return 1.0
    if np.isin(differ, (-1, 1)).all():
        above = int((differ > 0).sum())
        return float(stats.binomtest(above, len(differ), alternative=alternative).pvalue)
    return float(stats.wilcoxon(differ, alternative=alternative).pvalue)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values that count how many there are, shape (n,).

    Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def roc_area(truth: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, from ranks (Mann and Whitney, 1947).

    What scikit-learn's `roc_auc_score` gives, in a twentieth of its time: a bootstrap asks for it
    thousands of times.

    Args:
        truth: Who is positive, shape (n,).
        scores: Higher for the positive ones, shape (n,).

    Returns:
        The area; NaN where there is one class only, as in some draws of a bootstrap.
    """
    positive = np.asarray(truth, dtype=bool)
    n = int(positive.sum())
    others = len(positive) - n
    if not n or not others:
        return float("nan")
    ranks = stats.rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * others))


def resampled_ci95(fold_values: ArrayLike, test_share: float) -> Bounds | None:
    """95 % interval of a repeated cross-validation's mean, for scores in [0, 1].

    Folds share training rows, so their plain standard error is far too small; this is the
    corrected resampled t-interval of Nadeau and Bengio (2003), Inference for the generalization
    error, equation 10. It is symmetric, so it is cut at 0 and 1, where no share can lie beyond.

    Args:
        fold_values: The score of each fold of each repetition, shape (folds,), at least 2.
        test_share: Test rows per training row, for 5 folds 0.25.

    Returns:
        The bounds; None where all folds agree, which does not make them sure.
    """
    values = np.asarray(fold_values, dtype=float)
    if np.ptp(values) == 0:
        return None
    error = np.sqrt((1 / values.size + test_share) * values.var(ddof=1))
    reach = float(stats.t.ppf(0.975, values.size - 1) * error)
    mean = float(values.mean())
    return max(0.0, mean - reach), min(1.0, mean + reach)
