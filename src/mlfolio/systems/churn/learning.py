"""What is learned: what a customer's row says beyond its cells, and the candidates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from mlfolio.parts.tabular.encoder import Floats, numbers, texts
from mlfolio.parts.tabular.search import Candidates

from .data import ADD_ONS, is_telco

MANY: Final = 10_000  # rows


class CustomerFeatures(TransformerMixin, BaseEstimator):
    """Adds to IBM's columns what they say together; nothing is learned.

    The first months count most, so tenure comes as its logarithm too. What was paid so far over the
    months is the charge as it used to be: the customer sees whether it went up.
    """

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Learns nothing."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The rows with three more columns."""
        months, charge = numbers(X, "tenure"), numbers(X, "MonthlyCharges")
        usual = numbers(X, "TotalCharges") / np.maximum(months, 1)
        bought = [[text == "Yes" for text in texts(X, column)] for column in ADD_ONS]
        return X.assign(
            LogTenure=np.log1p(np.maximum(months, 0)),
            ChargeRise=np.nan_to_num(charge - usual),
            AddOns=np.sum(bought, axis=0, dtype=np.float64),
        )


def customer_steps(columns: Iterable[str]) -> list[tuple[str, BaseEstimator]]:
    """The steps that these columns need before the encoder; none for other tables."""
    return [("customer", CustomerFeatures())] if is_telco(columns) else []


class Bends(TransformerMixin, BaseEstimator):
    """Lets a linear model bend: numbers come also as what they exceed each of some knots by.

    Linear splines (Friedman and Silverman, 1989) with knots at quantiles of the training rows.

    Args:
        knots: How many at most; columns of two values have none.

    Attributes:
        knots_: Those of each column.
    """

    def __init__(self, knots: int = 8) -> None:
        self.knots = knots

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learns the knots from a matrix, shape (n, features)."""
        shares = np.linspace(0, 1, self.knots + 2)[1:-1]
        columns = np.asarray(X, dtype=np.float64).T
        self.knots_: list[list[float]] = [
            np.unique(np.quantile(column, shares)).tolist() if len(np.unique(column)) > 2 else []
            for column in columns
        ]
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """The matrix, and to its right what its columns exceed their knots by."""
        check_is_fitted(self)
        matrix = np.asarray(X, dtype=np.float64)
        beyond = [
            np.maximum(0.0, matrix[:, [place]] - np.array(knots))
            for place, knots in enumerate(self.knots_)
            if knots
        ]
        return np.column_stack([matrix, *beyond])


def candidates(seed: int, rows: int = 0) -> Candidates:
    """The simplest to serve first; each with its grid.

    A few thousand customers can tell no more than small trees do, each of which sees two columns or
    three; tens of thousands can.

    Args:
        seed: Seed of the trees.
        rows: Number of rows to learn from.
    """
    linear = Pipeline([("bends", Bends()), ("model", LogisticRegression(C=0.1, max_iter=2_000))])
    trees = LGBMClassifier(
        n_estimators=300, learning_rate=0.03, min_child_samples=40, subsample=0.7,
        subsample_freq=1, colsample_bytree=0.4, reg_lambda=10.0, n_jobs=1, verbose=-1,
        random_state=seed,
    )  # fmt: skip
    both = VotingClassifier([("linear", clone(linear)), ("trees", clone(trees))], voting="soft")
    leaves: list[Any] = [4, 8] if rows <= MANY else [16, 48]
    return {
        "logistic regression": (linear, {}),
        "lightgbm": (trees, {"num_leaves": leaves}),
        "mean of both": (both, {"trees__num_leaves": leaves}),
    }
