"""Whether a column has drifted: two-sample tests, each with how much it has moved.

The unit of numbers and categories is one that can be pictured: the largest share of rows by which
the two samples disagree about "at most x" (Kolmogorov and Smirnov), or the share of rows that
would have to change their category (total variation).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlfolio.monitor.checks import Check, Kind
from mlfolio.monitor.columns import Column, Floats, numbers

MOVED: Final = 0.1  # share of rows from which a drift matters
APART: Final = 0.2  # 2 AUC - 1 from which a classifier's does: an AUC of 0.6
EXPECTED: Final = 5.0  # rows of a category below which chi-squared is no good approximation
FOLDS: Final = 5


def compare(column: Column, kind: Kind) -> Check | None:
    """Compares a column of numbers or categories; None for others."""
    before, now = column.known
    if column.kind == "number":
        return compare_numbers(column.name, numbers(before), numbers(now), kind)
    if column.kind == "category":
        return compare_categories(column.name, before, now, kind)
    return None


def compare_numbers(name: str, before: Floats, now: Floats, kind: Kind) -> Check:
    """The test of Kolmogorov and Smirnov."""
    found = stats.ks_2samp(before, now, method="asymp")
    low, high = np.quantile(before, [0.05, 0.95])
    beyond = float(((now < low) | (now > high)).mean())
    words = (
        f"{name}: median {np.median(before):.4g} → {np.median(now):.4g}, and {beyond:.0%} outside "
        f"{low:.4g} to {high:.4g}, where nine of ten were"
    )
    return Check(
        kind=kind, column=name, message=words, n=len(now), p_value=float(found.pvalue),
        effect=float(found.statistic), least=MOVED,
    )  # fmt: skip


def compare_categories(name: str, before: Sequence[Any], now: Sequence[Any], kind: Kind) -> Check:
    """Pearson's chi-squared, the rare categories taken together."""
    old, new = Counter(map(str, before)), Counter(map(str, now))
    names = list(old | new)
    table = np.array([[old[each] for each in names], [new[each] for each in names]], dtype=float)
    shares = table / table.sum(axis=1, keepdims=True)
    change = shares[1] - shares[0]
    most = int(np.abs(change).argmax())
    return Check(
        kind=kind, column=name, n=len(now), p_value=_chi_squared(table),
        effect=float(np.abs(change).sum() / 2), least=MOVED,
        message=f"{name}: {names[most]!r} {shares[0, most]:.0%} → {shares[1, most]:.0%} of rows",
    )  # fmt: skip


def _chi_squared(table: NDArray[np.float64]) -> float:
    """P-value for counts (2, categories); those of which few are expected are put together."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    rare = expected.min(axis=0) < EXPECTED
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
        table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    if table.shape[1] == 2:  # the rest may still be rare
        return float(stats.fisher_exact(table.astype(int)).pvalue)
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def compare_vectors(
    name: str, before: NDArray[Any], now: NDArray[Any], kind: Kind = "input drift", seed: int = 0
) -> tuple[Check, Floats]:
    """A classifier that tries to tell then from now (Lopez-Paz and Oquab, 2017).

    Logistic regression, cross-fitted: each fold is judged by a fit that has not seen it, by
    Mann and Whitney's test. The folds' tests are taken together as if they agreed more than
    independent ones do, since their fits share rows (Nadeau and Bengio, 2003, Inference for the
    generalization error). What tells texts or pictures apart at chance is no drift, whatever their
    vectors are.

    Args:
        name: The column.
        before: Vectors of the reference, shape (n, width).
        now: Those of the rows that are compared with it, shape (m, width).
        kind: Of the check.
        seed: Shuffles the folds.

    Returns:
        The check, and for each row of now how new it looks, as the rank among all rows of its
        fold in [0, 1], shape (m,).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([before, now]).astype(np.float64)
    is_now = np.repeat([0, 1], [len(before), len(now)])
    ranks, areas, strengths = np.zeros(len(rows)), [], []
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, is_now)
    with threadpool_limits(1):
        for train, test in splits:
            told = make_pipeline(
                StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=200)
            )
            scores = told.fit(rows[train], is_now[train]).decision_function(rows[test])
            area, strength = _area(scores[is_now[test] == 1], scores[is_now[test] == 0])
            areas.append(area)
            strengths.append(strength)
            ranks[test] = stats.rankdata(scores) / len(scores)
    area = float(np.mean(areas))
    strength = float(np.mean(strengths)) / (1 / FOLDS + 1 / (FOLDS - 1)) ** 0.5
    check = Check(
        kind=kind, column=name, n=len(now), p_value=float(stats.norm.sf(strength)),
        effect=max(0.0, 2 * area - 1), least=APART,
        message=f"{name}: a classifier tells then from now with an AUC of {area:.2f}",
    )  # fmt: skip
    return check, ranks[is_now == 1]


def _area(new: Floats, old: Floats) -> tuple[float, float]:
    """Area under the ROC curve, and by how many standard deviations it is above one half."""
    n, m = len(new), len(old)
    ranks = stats.rankdata(np.concatenate([new, old]))
    area = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    _, ties = np.unique(ranks, return_counts=True)
    total = n + m
    spread = (total + 1 - (ties**3 - ties).sum() / (total * (total - 1))) / (12 * n * m)
    return float(area), float((area - 0.5) / spread**0.5) if spread > 0 else 0.0
