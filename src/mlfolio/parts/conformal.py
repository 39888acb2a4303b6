"""Intervals that hold as often as they say, and how strange a row is: conformal prediction.

The error that a model makes on rows that it did not see, divided by the error to be expected of
such a row, is about equally large everywhere; so its quantile, times the error to be expected of a
new row, is the half width of that row's interval. Normalised nonconformity is from Papadopoulos,
Gammerman and Vovk (2008), Normalized nonconformity measures for regression conformal prediction;
the quantile from Lei et al. (2018), Distribution-free predictive inference for regression.

The errors are those of cross-validation and the model answers from all rows, as in the jackknife
(Barber et al., 2021, Predictive inference with the jackknife+). For that there is no guarantee, as
there is for a part of the rows set aside: what it covers has to be measured on rows that had no
part in it.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from lightgbm import LGBMRegressor
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, cross_val_predict

Floats = NDArray[np.float64]
FOLDS = 5


def conformal_quantile(scores: Floats, level: float) -> float:
    """The score that the one of a new row exceeds with a chance of at most 1 - level.

    Args:
        scores: Nonconformity of the calibration rows, shape (n,), n >= 1.
        level: Share of new rows to cover, in (0, 1).

    Returns:
        The ceil((n + 1) * level)-th smallest; the largest where there are too few for the level.
    """
    rank = min(math.ceil((len(scores) + 1) * level), len(scores))
    return float(np.sort(scores)[rank - 1])


def p_values(usual: Floats, scores: Floats) -> Floats:
    """Conformal p-values: the share of usual rows that are at least as strange, shape (n,).

    Each is the chance, at most, that an ordinary new row has so high a score (Laxhammar and
    Falkman, 2010, Conformal prediction for distribution-independent anomaly detection).

    Args:
        usual: Nonconformity of ordinary rows that had no part in the fit, sorted, shape (m,).
        scores: Nonconformity of the rows in question, shape (n,).
    """
    beyond = len(usual) - np.searchsorted(usual, scores, side="left")
    shares: Floats = (1 + beyond) / (1 + len(usual))
    return shares


class Spread(BaseEstimator):
    """How far a model's answers are off, by the kind of row.

    Args:
        seed: Seed of folds and model.

    Attributes:
        model_: Gives the logarithm of the error to be expected of a row.
        scores_: Nonconformity of the calibration rows, sorted, shape (n,).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, M: Floats, residuals: Floats) -> Self:
        """Learns from the errors of rows that the model did not see.

        Args:
            M: What the rows are described by, shape (n, features).
            residuals: Truth minus out-of-fold answer, shape (n,).
        """
        sizes = np.abs(residuals)
        # A row that was hit by chance is no row that is easy to hit.
        logs = np.log(np.maximum(sizes, np.quantile(sizes, 0.1)) + np.finfo(float).tiny)
        self.model_ = LGBMRegressor(
            n_estimators=60, num_leaves=4, learning_rate=0.05, min_child_samples=20,
            subsample=0.7, subsample_freq=1, colsample_bytree=0.3, n_jobs=1, verbose=-1,
            random_state=self.seed,
        )  # fmt: skip
        # A row's own error must not tell how large an error is to be expected of it.
        splits = KFold(FOLDS, shuffle=True, random_state=self.seed)
        expected = np.exp(cross_val_predict(self.model_, M, logs, cv=splits))
        self.scores_ = np.sort(sizes / expected)
        self.model_.fit(M, logs)
        return self

    def half_widths(self, M: Floats, level: float) -> Floats:
        """Half the width of each row's interval, shape (n,).

        Args:
            M: The rows, shape (n, features).
            level: Share of rows to cover, in (0, 1).
        """
        widths: Floats = np.exp(self.model_.predict(M)) * conformal_quantile(self.scores_, level)
        return widths
