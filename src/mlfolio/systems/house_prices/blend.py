"""A blend of regressors, weighted by how well they answer for rows that none of them has seen."""

from __future__ import annotations

import warnings
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.stats import skew
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVR
from sklearn.utils.validation import check_is_fitted

from mlfolio.data.splits import folds
from mlfolio.parts.conformal import Spread
from mlfolio.parts.tabular.encoder import Floats, TabularEncoder

from .features import HouseFeatures, is_ames

LARGE: Final = 5_000  # more rows are too many for an SVM
SEARCH_ROWS: Final = 20_000  # settings, weights and widths are learned on at most so many
SMALL_WEIGHT: Final = 0.01  # of a member that is not worth asking
DESCENT: Final[dict[str, Any]] = {"tol": 1e-3, "max_iter": 10_000}

Settings = dict[str, list[RegressorMixin]]


def prefers_log(y: Floats) -> bool:
    """Whether a number is learned as its logarithm.

    It is where all answers are positive and their logarithms are less skewed than they are.
    """
    return bool(y.min() > 0 and abs(skew(np.log(y))) < abs(skew(y)))


def preparation(columns: pd.Index[str]) -> Pipeline:
    """From raw columns to a matrix: of Ames by what they mean, else by their type.

    Of Ames numbers are clipped to 96 % of the houses: the largest ones are the odd ones.
    """
    if is_ames(columns):
        return make_pipeline(HouseFeatures(), TabularEncoder(min_count=5, clip=0.02))
    return make_pipeline(TabularEncoder())


def members(n: int, width: int, seed: int) -> Settings:
    """The regressors of a blend, each with the settings that compete, for answers of deviation 1.

    Args:
        n: Number of rows to learn from.
        width: Number of features.
        seed: Seed of the models.
    """
    large = n > LARGE
    booster = LGBMRegressor(
        n_estimators=400, learning_rate=0.04, min_child_samples=5, subsample=0.7, subsample_freq=1,
        colsample_bytree=0.2 if width > 50 else 0.5, reg_lambda=1.0, n_jobs=1, verbose=-1,
        random_state=seed,
    )  # fmt: skip
    found: Settings = {
        "linear": [LinearRegression()],
        "ridge": [Ridge(alpha) for alpha in (3, 10, 30, 100)],
        "lasso": [Lasso(alpha, **DESCENT) for alpha in (0.001, 0.002, 0.005, 0.02)],
        "elastic net": [
            ElasticNet(alpha, l1_ratio=0.3, **DESCENT) for alpha in (0.002, 0.005, 0.02)
        ],
        "svm": [
            SVR(C=C, gamma=gamma / width, epsilon=0.08) for C in (1.0, 3.0) for gamma in (0.3, 0.7)
        ],
        "lightgbm": [
            clone(booster).set_params(num_leaves=leaves)
            for leaves in ((15, 63) if large else (10,))
        ],
    }
    return {name: models for name, models in found.items() if name != "svm" or not large}


class Blend(RegressorMixin, BaseEstimator):
    """Regressors of several kinds, weighted.

    Of each kind the setting with the least squared error over the inner folds is taken. The
    weights are the non-negative least squares of the answer on the members' out-of-fold answers
    (Breiman, 1996, Stacked regressions), and the errors that remain out of fold are what the
    intervals rest on. Everything, the preparation included, is learned anew in each fold.

    Args:
        n_folds: Number of inner folds; copies of a row stay in one.
        seed: Seed of folds and models.

    Attributes:
        log_: Whether the answer is learned as its logarithm.
        centre_: Mean of what is learned.
        scale_: Deviation of what is learned.
        prepare_: Makes the matrix.
        members_: The fitted regressors by name.
        weights_: Weight of each.
        spread_: How far the blend is off.
        scores_: Root of the mean squared error of each member and of the blend in the inner folds,
            in units of `scale_`.
    """

    def __init__(self, n_folds: int = 5, seed: int = 0) -> None:
        self.n_folds = n_folds
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learns from raw columns, shape (n, columns), and numbers, shape (n,)."""
        with warnings.catch_warnings():  # what has not converged is judged by its errors too
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._fit(X, y)

    def _fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        answers = np.asarray(y, dtype=np.float64)
        self.log_ = prefers_log(answers)
        scaled = np.log(answers) if self.log_ else answers
        self.centre_, self.scale_ = float(scaled.mean()), float(scaled.std() or 1.0)
        scaled = (scaled - self.centre_) / self.scale_
        self.prepare_ = preparation(X.columns)
        some = _some(len(X), self.seed)
        chosen, guesses = self._choose(X.iloc[some], scaled[some])
        found, _ = nnls(guesses, scaled[some])
        found = np.where(found < SMALL_WEIGHT, 0.0, found)
        self.weights_ = dict(zip(chosen, found.tolist(), strict=True))
        errors = scaled[some] - guesses @ found
        self.scores_ = {
            name: float(np.sqrt(np.mean((scaled[some] - guess) ** 2)))
            for name, guess in zip(chosen, guesses.T, strict=True)
        } | {"blend": float(np.sqrt(np.mean(errors**2)))}
        M = self.prepare_.fit_transform(X)
        self.members_ = {name: model.fit(M, scaled) for name, model in chosen.items()}
        self.spread_ = Spread(self.seed).fit(M[some], errors)
        return self

    def _choose(self, X: pd.DataFrame, scaled: Floats) -> tuple[dict[str, Any], Floats]:
        """The best setting of each member, unfitted, and its out-of-fold answers (n, members)."""
        splits = folds(X, np.zeros(len(X)), self.n_folds, self.seed)
        guesses: dict[str, Floats] = {}
        settings: Settings = {}
        for train, test in splits:
            prepare = clone(self.prepare_).fit(X.iloc[train])
            M, unseen = prepare.transform(X.iloc[train]), prepare.transform(X.iloc[test])
            settings = settings or members(len(X), M.shape[1], self.seed)
            for name, models in settings.items():
                places = guesses.setdefault(name, np.zeros((len(X), len(models))))
                for place, model in enumerate(models):
                    places[test, place] = clone(model).fit(M, scaled[train]).predict(unseen)
        errors = {name: ((g - scaled[:, None]) ** 2).mean(axis=0) for name, g in guesses.items()}
        best = {name: int(found.argmin()) for name, found in errors.items()}
        answers = np.column_stack([guesses[name][:, place] for name, place in best.items()])
        return {name: clone(settings[name][place]) for name, place in best.items()}, answers

    def predict(self, X: pd.DataFrame) -> Floats:
        """The answers, shape (n,)."""
        return self._unscaled(self._scaled(self._matrix(X)))

    def predict_members(self, X: pd.DataFrame) -> dict[str, Floats]:
        """What each member alone would answer, each of shape (n,)."""
        M = self._matrix(X)
        return {name: self._unscaled(model.predict(M)) for name, model in self.members_.items()}

    def predict_intervals(self, X: pd.DataFrame, level: float) -> tuple[Floats, Floats, Floats]:
        """Answers and the ends of their intervals, each of shape (n,).

        Args:
            X: Raw columns, shape (n, columns).
            level: Share of rows whose truth the interval is to hold, in (0, 1).
        """
        M = self._matrix(X)
        middle = self._scaled(M)
        half = self.spread_.half_widths(M, level)
        ends = (middle, middle - half, middle + half)
        answer, low, high = (self._unscaled(end) for end in ends)
        return answer, low, high

    def _matrix(self, X: pd.DataFrame) -> Floats:
        check_is_fitted(self)
        found: Any = X
        for _, step in self.prepare_.steps:  # a pipeline's checks cost more than work on one row
            found = step.transform(found)
        return np.asarray(found, dtype=np.float64)

    def _scaled(self, M: Floats) -> Floats:
        used = [(weight, self.members_[name]) for name, weight in self.weights_.items() if weight]
        return sum((weight * model.predict(M) for weight, model in used), np.zeros(len(M)))

    def _unscaled(self, scaled: Floats) -> Floats:
        values: Floats = scaled * self.scale_ + self.centre_
        return np.exp(values) if self.log_ else values


def _some(n: int, seed: int) -> NDArray[np.int64]:
    """Positions of the rows that the search looks at, in order."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(n, SEARCH_ROWS, replace=False) if n > SEARCH_ROWS else np.arange(n)
    return np.sort(drawn).astype(np.int64)
