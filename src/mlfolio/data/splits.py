"""Splits that keep copies together: the same row is never on both sides."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold

Split = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Positions of the rows to learn from, and of the rows to be judged on."""


def copies(features: pd.DataFrame) -> NDArray[np.int64]:
    """For each row the number of its group of identical rows, shape (n,)."""
    groups = features.groupby(list(features.columns), dropna=False, sort=False).ngroup()
    return np.asarray(groups, dtype=np.int64)


def folds(features: pd.DataFrame, target: ArrayLike, n_folds: int, seed: int) -> list[Split]:
    """Stratified, shuffled folds in which identical rows stay in one fold.

    Args:
        features: What makes rows identical, shape (n, columns).
        target: Class of each row, shape (n,).
        n_folds: Number of folds, at least 2.
        seed: Seed of the shuffle.

    Returns:
        For each fold the positions of its training and of its test rows.

    Raises:
        ValueError: Every class has fewer different rows than there are folds.
    """
    groups = copies(features)
    _, first = np.unique(groups, return_index=True)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    everywhere = np.arange(len(groups))
    splits = []
    with warnings.catch_warnings():
        # Where a class has fewer rows than there are folds, some folds are without it: no harm.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        # Each group is split as one row, the class of its first, and takes its copies along.
        for _, test in splitter.split(first, np.asarray(target)[first]):
            held_out = np.isin(groups, groups[first[test]])
            splits.append((everywhere[~held_out], everywhere[held_out]))
    return splits


def holdout(
    features: pd.DataFrame, target: ArrayLike, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One stratified split in which identical rows stay on one side.

    Args:
        features: What makes rows identical, shape (n, columns).
        target: Class of each row, shape (n,).
        fraction: Share of the test part, in (0, 0.5]; rounded to one fold of `1 / fraction`.
        seed: Seed of the shuffle.

    Returns:
        Positions of the training rows and of the test rows.
    """
    return folds(features, target, max(2, round(1 / fraction)), seed)[0]
