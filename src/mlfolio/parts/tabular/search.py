"""The choice among classifiers of two classes: candidates, grids, and what is fitted in the end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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

from mlfolio.data.splits import folds
from mlfolio.parts.tabular.encoder import TabularEncoder

LARGE: Final = 5_000  # more rows tell good candidates apart, and are too many for slow ones
WIDE: Final = 500  # more columns take a forest, and the stack it is in, minutes for each search
SEARCH_ROWS: Final = 20_000  # candidates are compared on at most so many, then refitted on all

Steps = Sequence[tuple[str, BaseEstimator]]
Candidates = dict[str, tuple[ClassifierMixin, dict[str, list[Any]]]]


def make_pipeline(model: ClassifierMixin, before: Steps = ()) -> Pipeline:
    """The way from raw columns to a model: steps of the system's own, the encoder, the model."""
    return Pipeline([*before, ("encode", TabularEncoder()), ("model", model)])


def small_candidates(seed: int) -> Candidates:
    """For small tables: the quickest to serve first, the stack of all others last; with grids."""
    models: Candidates = {
        "logistic regression": (
            LogisticRegression(C=0.3, max_iter=1_000), {"C": [0.03, 0.3, 3.0]},
        ),
        "svm": (SVC(C=1.0, gamma=0.03), {"C": [0.5, 2.0], "gamma": [0.01, 0.04]}),
        "lightgbm": (
            LGBMClassifier(
                n_estimators=120, num_leaves=7, learning_rate=0.05, min_child_samples=10,
                subsample=0.8, subsample_freq=1, colsample_bytree=0.6, n_jobs=1, verbose=-1,
                random_state=seed,
            ),
            {"num_leaves": [4, 12, 31]},
        ),
        "random forest": (
            RandomForestClassifier(
                100, min_samples_leaf=3, max_features=0.4, max_samples=0.999, random_state=seed
            ),
            {"min_samples_leaf": [3, 8]},
        ),
    }  # fmt: skip
    stack = StackingClassifier(
        [(name, clone(model)) for name, (model, _) in models.items()],
        LogisticRegression(C=0.1),
        cv=StratifiedKFold(3, shuffle=True, random_state=seed),
    )
    return {**models, "stack": (stack, {})}


def large_candidates(seed: int) -> Candidates:
    """For tables beyond `LARGE` rows: one linear model, and boosting with trees of three sizes."""
    boosting = LGBMClassifier(
        n_estimators=300, learning_rate=0.05, subsample=0.8, subsample_freq=1,
        colsample_bytree=0.5, n_jobs=1, verbose=-1, random_state=seed,
    )  # fmt: skip
    return {
        "logistic regression": (LogisticRegression(max_iter=1_000), {"C": [0.03, 0.3, 3.0]}),
        "lightgbm": (boosting, {"num_leaves": [15, 31, 63]}),
    }


def search(
    X: pd.DataFrame,
    y: NDArray[np.int64],
    n_folds: int,
    seed: int,
    before: Steps = (),
    candidates: Candidates | None = None,
) -> GridSearchCV:
    """Compares all candidates and their grids by cross-validation on these rows alone.

    On small tables the simplest is chosen whose accuracy is within one standard error of the
    best; on large ones (more than `LARGE` rows) whatever has the least log loss, and so among
    candidates of a system's own. On more than `WIDE` columns the forest and the stack do not
    compete.

    Args:
        X: Raw columns, shape (n, columns); beyond `SEARCH_ROWS` a stratified part is searched.
        y: 0 or 1, shape (n,).
        n_folds: Number of inner folds; copies of a row stay in one.
        seed: Seed of folds and models.
        before: Steps of the system's own, fitted inside the folds.
        candidates: Of the system's own; None for those that fit the number of rows.
    """
    by_loss = len(X) > LARGE or candidates is not None
    if len(X) > SEARCH_ROWS:
        X, _, y, _ = train_test_split(X, y, train_size=SEARCH_ROWS, stratify=y, random_state=seed)
    if candidates is None:
        candidates = (large_candidates if by_loss else small_candidates)(seed)
    if X.shape[1] > WIDE:
        slow = ("random forest", "stack")
        candidates = {name: made for name, made in candidates.items() if name not in slow}
    grid = [
        {"model": [model], **{f"model__{key}": values for key, values in sizes.items()}}
        for model, sizes in candidates.values()
    ]
    return GridSearchCV(
        make_pipeline(LogisticRegression(), before),
        grid,
        scoring="neg_log_loss" if by_loss else "accuracy",
        cv=folds(X, y, n_folds, seed),
        refit=False if by_loss else simplest_of_the_best,
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


def name_of(model: BaseEstimator, candidates: Candidates | None = None) -> str:
    """The candidate's name for one of its instances."""
    known = small_candidates(0) if candidates is None else candidates
    return {type(one): name for name, (one, _) in known.items()}[type(model)]


def fit_best(
    X: pd.DataFrame,
    y: NDArray[np.int64],
    n_folds: int,
    seed: int,
    before: Steps = (),
    candidates: Candidates | None = None,
) -> tuple[BaseEstimator, GridSearchCV]:
    """The chosen candidate fitted on all rows, with calibrated probabilities, and the search.

    On small tables the calibration is Platt's sigmoid on out-of-fold scores of the same rows. The
    candidates for large ones minimise the log loss on enough rows to be calibrated as they are.
    """
    found = search(X, y, n_folds, seed, before, candidates)
    chosen = {key: clone(value, safe=False) for key, value in found.best_params_.items()}
    pipeline = make_pipeline(LogisticRegression(), before).set_params(**chosen)
    if len(X) > LARGE:
        return clone(pipeline).fit(X, y), found
    splits = folds(X, y, n_folds, seed)
    calibrated = CalibratedClassifierCV(pipeline, method="sigmoid", cv=splits, ensemble=False)
    calibrated.fit(X, y)
    calibrated.cv = n_folds  # the splits are done with: a stored model holds no row numbers
    return calibrated, found
