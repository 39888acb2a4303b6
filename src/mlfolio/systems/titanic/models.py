"""The candidates, how one of them is chosen, and what is fitted in the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from mlfolio.parts.tabular.encoder import TabularEncoder

from .features import PartySurvival, PassengerFeatures, is_passenger_list

KERNEL_ROWS: Final = 5_000  # a kernel SVM takes quadratic time: beyond this it is left out
SEARCH_ROWS: Final = 5_000  # candidates are compared on at most so many rows, then refitted on all

GRIDS: Final[Mapping[str, Mapping[str, list[Any]]]] = {
    "logistic regression": {"C": [0.03, 0.3, 3.0]},
    "svm": {"C": [0.5, 2.0], "gamma": [0.01, 0.04]},
    "lightgbm": {"num_leaves": [4, 12, 31]},
    "random forest": {"min_samples_leaf": [3, 8]},
    "stack": {},
}


def make_pipeline(columns: list[str], model: ClassifierMixin) -> Pipeline:
    """The way from raw columns to a model, with the passengers' features where they apply."""
    steps: list[tuple[str, Any]] = [("encode", TabularEncoder()), ("model", model)]
    if is_passenger_list(columns):
        steps = [("party", PartySurvival()), ("passenger", PassengerFeatures()), *steps]
    return Pipeline(steps)


def candidates(n_rows: int, seed: int) -> dict[str, ClassifierMixin]:
    """Every candidate by name, the quickest to serve first and the stack of all others last."""
    models: dict[str, ClassifierMixin] = {
        "logistic regression": LogisticRegression(C=0.3, max_iter=1_000),
        "svm": SVC(C=1.0, gamma=0.03),
        "lightgbm": LGBMClassifier(
            n_estimators=120, num_leaves=7, learning_rate=0.05, min_child_samples=10,
            subsample=0.8, subsample_freq=1, colsample_bytree=0.6, n_jobs=1, verbose=-1,
            random_state=seed,
        ),
        "random forest": RandomForestClassifier(
            100, min_samples_leaf=3, max_features=0.4,
            max_samples=min(0.999, 10_000 / n_rows), random_state=seed,
        ),
    }  # fmt: skip
    if n_rows > KERNEL_ROWS:
        del models["svm"]
    stack = StackingClassifier(
        [(name, clone(model)) for name, model in models.items()],
        LogisticRegression(C=0.1),
        cv=StratifiedKFold(3, shuffle=True, random_state=seed),
    )
    return {**models, "stack": stack}


def search(X: pd.DataFrame, y: NDArray[np.int64], folds: int, seed: int) -> GridSearchCV:
    """Compares all candidates and their grids by cross-validated accuracy on these rows alone.

    Args:
        X: Raw columns, shape (n, columns); beyond `SEARCH_ROWS` a stratified part is searched.
        y: 0 or 1, shape (n,).
        folds: Number of inner folds.
        seed: Seed of folds and models.
    """
    n_rows = len(X)
    if n_rows > SEARCH_ROWS:
        X, _, y, _ = train_test_split(X, y, train_size=SEARCH_ROWS, stratify=y, random_state=seed)
    grid = [
        {"model": [model], **{f"model__{key}": values for key, values in GRIDS[name].items()}}
        for name, model in candidates(n_rows, seed).items()
    ]
    return GridSearchCV(
        make_pipeline(list(X.columns), LogisticRegression()),
        grid,
        scoring="accuracy",
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        refit=simplest_of_the_best,
        n_jobs=-1,
    ).fit(X, y)


def simplest_of_the_best(results: Mapping[str, Any]) -> int:
    """The best setting of the first candidate within one standard error of the best of all.

    The one-standard-error rule (Breiman et al., 1984), the candidates being in the order of how
    quick they are to serve. The error is that of the paired difference to the best over folds.
    """
    splits = [key for key in results if re.fullmatch(r"split\d+_test_score", key)]
    scores = np.column_stack([results[key] for key in splits])
    means = scores.mean(axis=1)
    error = (scores[means.argmax()] - scores).std(axis=1, ddof=1) / np.sqrt(len(splits))
    kinds = np.array([type(parameters["model"]).__name__ for parameters in results["params"]])
    first = kinds[np.flatnonzero(means.max() - means <= error)[0]]
    return int(np.where(kinds == first, means, -np.inf).argmax())


def name_of(model: BaseEstimator) -> str:
    """The candidate's name for one of its instances."""
    for name, candidate in candidates(1, 0).items():
        if type(candidate) is type(model):
            return name
    raise KeyError(type(model).__name__)


def fit_best(
    X: pd.DataFrame, y: NDArray[np.int64], folds: int, seed: int
) -> tuple[CalibratedClassifierCV, GridSearchCV]:
    """The chosen candidate fitted on all rows with calibrated probabilities, and the search.

    The calibration is Platt's sigmoid on out-of-fold scores of the same rows.
    """
    found = search(X, y, folds, seed)
    chosen = {key: clone(value, safe=False) for key, value in found.best_params_.items()}
    pipeline = make_pipeline(list(X.columns), LogisticRegression()).set_params(**chosen)
    inner = StratifiedKFold(folds, shuffle=True, random_state=seed)
    calibrated = CalibratedClassifierCV(pipeline, method="sigmoid", cv=inner, ensemble=False)
    return calibrated.fit(X, y), found
