"""Iris: three simple classifiers compete; the winner is measured in two ways."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames, TableSplit
from mlfolio.data.splits import folds
from mlfolio.parts.stats import mean_score, resampled_ci95
from mlfolio.parts.tabular.model import TabularModel, decide
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.star import keep_points

from . import figures
from .card import CARD
from .data import TARGET, load_flowers

INNER_FOLDS = 5
TRIVIAL, STRONG = "majority class", "Gaussian naive Bayes"


class Iris(System):
    """Which of a few species a flower belongs to, from measurements in centimetres."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = TabularModel

    target: str = Field(TARGET, description="column with the class, in your own data")
    drop: ColumnNames = Field((), description="columns to leave out, separated by commas")
    neighbors: int = Field(11, ge=1, le=50, description="how many neighbours KNN asks")
    depth: int = Field(4, ge=1, le=20, description="depth of the decision tree")
    C: float = Field(
        10.0, gt=0, le=1e6, description="inverse regularisation of logistic regression"
    )
    folds: int = Field(5, ge=2, le=10, description="folds of the outer cross-validation")
    repeats: int = Field(10, ge=1, le=100, description="repetitions of it, each shuffled anew")

    def load(self, source: Source) -> TableSplit:
        """The flowers, split once into 80 % training and 20 % test rows."""
        return load_flowers(source, self.target, self.drop)

    def fit(self, data: TableSplit, run: Run) -> TabularModel:
        """Chooses among the candidates by cross-validation inside the training part."""
        figures.describe(data, run)
        keep_points(data.X, data.y.to_list(), run)
        with threadpool_limits(1):  # tables this small lose more to threads than they gain
            name, estimator, means = self._choose(data.X, data.y, run.seed)
        table = pd.DataFrame({"log loss": means})
        run.table("Candidates", table, f"{INNER_FOLDS}-fold cross-validation; chosen: {name}.")
        schema = Schema.learn(data.X, complete=True)
        estimator.fit(schema.conform(data.X), data.y)
        return TabularModel(schema, estimator, data.classes, ignored=data.ignored)

    def evaluate(self, model: TabularModel, data: TableSplit, run: Run) -> Evaluation:
        """Repeated cross-validation for the claim, the hold-out for the story."""
        figures.held_out(model, data, run)
        with threadpool_limits(1):
            claim = self._cross_validated(model, data, run)
        return Evaluation(scores=(claim, self._held_out(model, data)))

    def _candidates(self, seed: int) -> dict[str, BaseEstimator]:
        return {
            # Not scaled: all measurements are centimetres, and distances mean something as such.
            "k nearest neighbours": KNeighborsClassifier(self.neighbors, algorithm="brute"),
            "decision tree": DecisionTreeClassifier(max_depth=self.depth, random_state=seed),
            "logistic regression": make_pipeline(
                StandardScaler(), LogisticRegression(C=self.C, max_iter=1000)
            ),
        }

    def _choose(
        self, X: pd.DataFrame, y: pd.Series, seed: int
    ) -> tuple[str, BaseEstimator, dict[str, float]]:
        """The best candidate by cross-validated log loss on these rows alone, not yet fitted.

        Not by accuracy: on so few rows good candidates differ by a flower or two, which is chance,
        while the log loss also hears how sure they were.
        """
        candidates = self._candidates(seed)
        splits, rows = folds(X, y, INNER_FOLDS, seed), X.to_numpy()
        losses = {}
        for name, candidate in candidates.items():
            chances = cross_val_predict(candidate, rows, y, cv=splits, method="predict_proba")
            losses[name] = float(log_loss(y, chances))
        best = min(losses, key=lambda name: losses[name])
        return best, candidates[best], losses

    def _cross_validated(self, model: TabularModel, data: TableSplit, run: Run) -> Score:
        """Mean accuracy of the whole procedure, choice included, over repeated folds."""
        table = data.everything()
        X, y = table[list(data.features)], table[data.target]
        rows, truth = X.to_numpy(), y.to_numpy()
        right: dict[str, NDArray[np.float64]] = {}
        per_fold: list[float] = []
        unseen = np.zeros((len(y), len(model.classes)))  # what the first repetition gave each row
        splits = [s for r in range(self.repeats) for s in folds(X, y, self.folds, run.seed + r)]
        for number, (train, test) in enumerate(run.progress(splits, "folds")):
            chosen, _, _ = self._choose(X.iloc[train], y.iloc[train], run.seed)
            fitted = {
                name: rival.fit(rows[train], truth[train])
                for name, rival in {**self._candidates(run.seed), **_rivals()}.items()
            }
            hits = {
                name: _answers(each, rows[test]) == truth[test] for name, each in fitted.items()
            }
            if number < self.folds:
                unseen[test] = fitted[chosen].predict_proba(rows[test])
            for name, hit in {"the chosen one": hits[chosen], **hits}.items():
                right.setdefault(name, np.zeros(len(y)))[test] += hit / self.repeats
            per_fold.append(float(hits[chosen].mean()))
            run.log(number, accuracy=per_fold[-1])
        asked = model.schema.inputs(X)
        run.keep_reference(asked, model.answer(asked, unseen), y.to_list(), out_of_fold=True)
        protocol = f"{self.repeats} x {self.folds}-fold stratified cross-validation, choice inside"
        means = pd.DataFrame({"accuracy": {name: hits.mean() for name, hits in right.items()}})
        run.table("All candidates, cross-validated", means, protocol)
        return mean_score(
            "accuracy", right, "the chosen one", trivial=TRIVIAL, strong=STRONG, protocol=protocol,
            ci95=resampled_ci95(per_fold, 1 / (self.folds - 1)), seed=run.seed,
        )  # fmt: skip

    def _held_out(self, model: TabularModel, data: TableSplit) -> Score:
        """Accuracy of the model itself on the test part."""
        truth, rows = data.test[data.target].to_numpy(), model.schema.conform(data.test)
        right = {"the model": _answers(model.estimator, rows) == truth}
        for name, rival in _rivals().items():
            right[name] = _answers(rival.fit(data.X, data.y), rows) == truth
        return mean_score(
            "hold-out accuracy", right, "the model", trivial=TRIVIAL, strong=STRONG,
            protocol="20 % stratified hold-out",
        )  # fmt: skip


def _rivals() -> dict[str, BaseEstimator]:
    return {TRIVIAL: DummyClassifier(), STRONG: GaussianNB()}


def _answers(fitted: BaseEstimator, rows: ArrayLike) -> NDArray[np.object_]:
    """The classes that a model with this classifier answers, shape (n,)."""
    found: NDArray[np.object_] = fitted.classes_[decide(fitted.predict_proba(rows))]
    return found
