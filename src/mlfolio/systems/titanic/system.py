"""Titanic: a messy table, an honest choice among five models, and nested cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from pydantic import Field
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames, TableSplit
from mlfolio.data.splits import Split, folds
from mlfolio.parts.stats import mean_score, metric_score, roc_area
from mlfolio.parts.tabular import figures
from mlfolio.parts.tabular.encoder import Floats, TabularEncoder
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.search import fit_best, name_of

from .card import CARD
from .data import TARGET, load_passengers
from .features import age_group, is_passenger_list, parties, passenger_steps
from .model import TitanicModel

SYSTEM, TRIVIAL, STRONG = "this system", "base rate (majority class)", "LightGBM defaults"
INNER_SEED = 1000  # added to the run's seed, so that inner folds are not the outer ones


class Fold(NamedTuple):
    """What comes of one outer fold.

    Attributes:
        guesses: The chance that each way gives to each row of the test part, shape (n,).
        inner: The score of the search inside.
        chosen: Which candidate it chose.
    """

    guesses: dict[str, Floats]
    inner: float
    chosen: str


class Titanic(System):
    """The chance of the second of two classes, from a table of any kind of columns."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = TitanicModel

    target: str = Field(TARGET, description="column with the two classes")
    drop: ColumnNames = Field((), description="columns to leave out, separated by commas")
    folds: int = Field(5, ge=2, le=20, description="outer folds of the nested cross-validation")
    inner_folds: int = Field(5, ge=2, le=20, description="folds of the grid search inside them")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability that counts as a yes")

    def load(self, source: Source) -> TableSplit:
        """All labelled rows, and Kaggle's unlabelled ones where they lie beside them."""
        return load_passengers(source, self.target, self.drop)

    def fit(self, data: TableSplit, run: Run) -> TitanicModel:
        """Searches, refits the winner on all rows and calibrates it."""
        figures.describe(data, _groups(data.X), run)
        schema = Schema.learn(data.X)
        rows = schema.conform(data.X)
        with threadpool_limits(1):
            estimator, found = fit_best(
                rows, _codes(data), self.inner_folds, run.seed, passenger_steps(rows.columns)
            )
        figures.candidates(found, run)
        model = TitanicModel(schema, estimator, data.classes, self.threshold, ignored=data.ignored)
        data.submit(lambda rows: _answers(model, rows), run)
        return model

    def evaluate(self, model: TitanicModel, data: TableSplit, run: Run) -> Evaluation:
        """Nested cross-validation: the whole of `fit` is repeated on each outer training part."""
        rows, truth = model.schema.conform(data.X), _codes(data)
        splits = folds(rows, data.y, self.folds, run.seed)
        answers = self._out_of_fold(rows, truth, splits, run)
        chances = answers[SYSTEM]
        rivals = {name: guess for name, guess in answers.items() if name != SYSTEM}
        figures.judge(model, data, chances, rivals, _groups(data.X), run)
        asked = model.schema.inputs(data.X)
        told = model.answer(asked, np.column_stack([1 - chances, chances]))
        run.keep_reference(asked, told, data.y.to_list(), out_of_fold=True)
        protocol = f"nested {self.folds}x{self.inner_folds}-fold stratified cross-validation"
        accuracy = self._accuracy("accuracy", answers, truth, protocol)
        auc = metric_score(
            "AUC", roc_area, truth, {**answers, "chance": np.zeros(len(truth))}, SYSTEM,
            trivial="chance", strong=STRONG, protocol=protocol, seed=run.seed,
        )  # fmt: skip
        errors = {name: (guess - truth) ** 2 for name, guess in answers.items()}
        brier = mean_score(
            "Brier score", errors, SYSTEM, trivial=TRIVIAL, strong=STRONG,
            protocol=protocol, direction="lower", seed=run.seed,
        )  # fmt: skip
        scores = [accuracy, auc, brier]
        if is_passenger_list(rows.columns):
            scores.append(self._among_strangers(rows, truth, protocol, run))
        return Evaluation(scores=tuple(scores))

    def _accuracy(
        self, name: str, answers: dict[str, Floats], truth: NDArray[np.int64], protocol: str
    ) -> Score:
        """The share of right answers beside that of the baselines, which say yes from 0.5."""
        right = {
            rival: (guess >= (self.threshold if rival == SYSTEM else 0.5)) == truth
            for rival, guess in answers.items()
        }
        return mean_score(name, right, SYSTEM, trivial=TRIVIAL, strong=STRONG, protocol=protocol)

    def _among_strangers(
        self, rows: pd.DataFrame, truth: NDArray[np.int64], protocol: str, run: Run
    ) -> Score:
        """Accuracy for passengers none of whose party was seen: the same, parties kept apart."""
        splitter = StratifiedGroupKFold(self.folds, shuffle=True, random_state=run.seed)
        splits = list(splitter.split(rows, truth, parties(rows)))
        answers = self._out_of_fold(rows, truth, splits, run, "Fold of strangers")
        return self._accuracy(
            "accuracy on strangers", answers, truth, f"{protocol}, each party in one outer fold"
        )

    def _out_of_fold(
        self,
        rows: pd.DataFrame,
        truth: NDArray[np.int64],
        splits: Sequence[Split],
        run: Run,
        what: str = "Outer fold",
    ) -> dict[str, Floats]:
        """For each row the chance it was given by models that did not see it, shape (n,)."""
        answers: dict[str, Floats] = {}
        answer = partial(self._answer_fold, rows, truth, run.seed)
        folds = run.progress(run.workers.map(answer, splits), what.lower(), total=len(splits))
        for number, ((_, test), fold) in enumerate(zip(splits, folds, strict=True)):
            for name, guess in fold.guesses.items():
                answers.setdefault(name, np.zeros(len(truth)))[test] = guess
            right = (fold.guesses[SYSTEM] >= self.threshold) == truth[test]
            run.log(number, accuracy=float(right.mean()), inner=fold.inner)
            run.note(f"{what} {number + 1} chose {fold.chosen}.")
        return answers

    def _answer_fold(
        self, rows: pd.DataFrame, truth: NDArray[np.int64], seed: int, split: Split
    ) -> Fold:
        """The whole of `fit` on one outer training part, and what it answers to the rest."""
        train, test = split
        X, y, unseen = rows.iloc[train], truth[train], rows.iloc[test]
        steps = passenger_steps(rows.columns)
        with threadpool_limits(1):
            estimator, found = fit_best(X, y, self.inner_folds, seed + INNER_SEED, steps)
            guesses = {
                SYSTEM: estimator.predict_proba(unseen)[:, 1],
                STRONG: _lightgbm(X, y, unseen, seed),
                TRIVIAL: np.full(len(test), y.mean()),
            }
        if is_passenger_list(rows.columns):
            guesses["women survive"] = (unseen["Sex"] == "female").to_numpy(dtype=float)
        return Fold(guesses, _best_score(found), name_of(found.best_params_["model"]))


def _groups(rows: pd.DataFrame) -> list[pd.Series]:
    """What accuracy is shown by: columns with few values, and age in groups where there is one."""
    groups = figures.few_valued(rows)
    if "Age" in rows and pd.api.types.is_numeric_dtype(rows["Age"]):
        ages = [age_group(age) for age in rows["Age"]]
        groups.insert(2, pd.Series(ages, rows.index, name="Age group"))
    return groups[:8]


def _answers(model: TitanicModel, rows: pd.DataFrame) -> list[int | str]:
    chances = model.estimator.predict_proba(model.schema.conform(rows))
    return [model.classes[position] for position in model.decide(chances)]


def _codes(data: TableSplit) -> NDArray[np.int64]:
    """0 for the first class, 1 for the second, shape (n,)."""
    return np.asarray(data.y == data.classes[1], dtype=np.int64)


def _best_score(found: GridSearchCV) -> float:
    return float(found.cv_results_["mean_test_score"][found.best_index_])


def _lightgbm(X: pd.DataFrame, y: NDArray[np.int64], unseen: pd.DataFrame, seed: int) -> Floats:
    """What LightGBM gives with its defaults on the encoded columns.

    Its own categories serve it no better: on Kaggle's passengers it is as accurate with them, and
    its AUC is lower.
    """
    encoder = TabularEncoder().fit(X)
    booster = LGBMClassifier(verbose=-1, n_jobs=1, random_state=seed)
    booster.fit(pd.DataFrame(encoder.transform(X)), y)
    chances: Floats = booster.predict_proba(pd.DataFrame(encoder.transform(unseen)))[:, 1]
    return chances
