"""Titanic: a messy table, an honest choice among five models, and nested cross-validation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.splits import folds
from mlfolio.data.tables import TableSplit
from mlfolio.parts.stats import bootstrap_ci95, mean_score, proportion_ci95
from mlfolio.parts.tabular.encoder import TabularEncoder
from mlfolio.parts.tabular.explain import typical_row
from mlfolio.parts.tabular.schema import Schema

from . import exhibits
from .card import CARD
from .data import load_passengers
from .features import is_passenger_list
from .model import TitanicModel
from .models import fit_best, name_of

Floats = NDArray[np.float64]
SYSTEM, TRIVIAL, STRONG = "this system", "base rate (majority class)", "LightGBM defaults"
INNER_SEED = 1000  # added to the run's seed, so that inner folds are not the outer ones


class Titanic(System):
    """The chance of the second of two classes, from a table of any kind of columns."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = TitanicModel

    target: str = Field("Survived", description="column with the two classes")
    folds: int = Field(5, ge=2, le=20, description="outer folds of the nested cross-validation")
    inner_folds: int = Field(5, ge=2, le=20, description="folds of the grid search inside them")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability that counts as a yes")

    def load(self, source: Source) -> TableSplit:
        """All labelled rows, and Kaggle's unlabelled ones where they lie beside them."""
        return load_passengers(source, self.target)

    def fit(self, data: TableSplit, run: Run) -> TitanicModel:
        """Searches, refits the winner on all rows and calibrates it."""
        exhibits.describe(data, run)
        schema = Schema.learn(data.X)
        rows, classes = schema.conform(data.X), _classes(data.y)
        with threadpool_limits(1):
            estimator, found = fit_best(rows, _codes(data.y), self.inner_folds, run.seed)
        exhibits.candidates(found, run)
        ids = [c for c in data.train.columns if c not in data.features]
        model = TitanicModel(
            schema, estimator, classes, self.threshold,
            ignored=[*ids, data.target], typical=typical_row(schema, data.X),
        )  # fmt: skip
        if data.extra is not None:
            exhibits.submission(model, data, run)
        return model

    def evaluate(self, model: TitanicModel, data: TableSplit, run: Run) -> Evaluation:
        """Nested cross-validation: the whole of `fit` is repeated on each outer training part."""
        rows, truth = model.schema.conform(data.X), _codes(data.y)
        answers = self._out_of_fold(rows, data, run)
        chances = answers[SYSTEM]
        rivals = {name: guess for name, guess in answers.items() if name != SYSTEM}
        exhibits.judge(model, data, chances, rivals, run)
        self._parties_apart(model, rows, data, run)
        protocol = f"nested {self.folds}x{self.inner_folds}-fold stratified cross-validation"
        right = {name: (guess >= 0.5) == truth for name, guess in rivals.items()}
        right[SYSTEM] = (chances >= self.threshold) == truth
        accuracy = mean_score(
            "accuracy", right, SYSTEM, trivial=TRIVIAL, strong=STRONG, protocol=protocol
        )
        auc = Score(
            name="AUC",
            value=float(roc_auc_score(truth, chances)),
            n=len(truth),
            ci95=bootstrap_ci95(roc_auc_score, truth, chances, seed=run.seed),
            protocol=protocol,
            trivial=Baseline(name="chance", value=0.5),
            strong=Baseline(
                name=STRONG,
                value=roc_auc_score(truth, answers[STRONG]),
                gain_ci95=bootstrap_ci95(_auc_gain, truth, chances, answers[STRONG], seed=run.seed),
            ),
        )
        errors = {name: (guess - truth) ** 2 for name, guess in answers.items()}
        brier = mean_score(
            "Brier score", errors, SYSTEM, trivial=TRIVIAL, strong=STRONG,
            protocol=protocol, direction="lower", seed=run.seed,
        )  # fmt: skip
        return Evaluation(scores=(accuracy, auc, brier))

    def _out_of_fold(self, rows: pd.DataFrame, data: TableSplit, run: Run) -> dict[str, Floats]:
        """For each row the chance it was given by models that did not see it, shape (n,)."""
        truth = _codes(data.y)
        answers: dict[str, Floats] = {}
        splits = folds(rows, data.y, self.folds, run.seed)
        for number, (train, test) in enumerate(run.progress(splits, "outer folds")):
            X, y, unseen = rows.iloc[train], truth[train], rows.iloc[test]
            with threadpool_limits(1):
                estimator, found = fit_best(X, y, self.inner_folds, run.seed + INNER_SEED)
            guesses = {
                SYSTEM: estimator.predict_proba(unseen)[:, 1],
                STRONG: _lightgbm(X, y, unseen, run.seed),
                TRIVIAL: np.full(len(test), y.mean()),
            }
            if is_passenger_list(rows.columns):
                guesses["women survive"] = (unseen["Sex"] == "female").to_numpy(dtype=float)
            for name, guess in guesses.items():
                answers.setdefault(name, np.zeros(len(truth)))[test] = guess
            right = (guesses[SYSTEM] >= self.threshold) == truth[test]
            run.log(number, accuracy=float(right.mean()), inner=_best_score(found))
            run.note(f"Outer fold {number + 1} chose {name_of(found.best_params_['model'])}.")
        return answers

    def _parties_apart(
        self, model: TitanicModel, rows: pd.DataFrame, data: TableSplit, run: Run
    ) -> None:
        """What is left of accuracy for passengers none of whose party was seen."""
        if not is_passenger_list(rows.columns):
            return
        from sklearn.base import clone

        truth = _codes(data.y)
        right = np.zeros(len(truth), dtype=bool)
        for train, test in GroupKFold(self.folds).split(rows, truth, rows["Ticket"]):
            with threadpool_limits(1):
                fitted = clone(model.estimator).fit(rows.iloc[train], truth[train])
            chances = fitted.predict_proba(rows.iloc[test])[:, 1]
            right[test] = (chances >= self.threshold) == truth[test]
        low, high = proportion_ci95(right)
        run.note(
            f"With everybody on one ticket kept on one side, accuracy is {right.mean():.3f} "
            f"({low:.3f} to {high:.3f}): what is known of a passenger's party is worth the rest."
        )


def _classes(answers: pd.Series) -> list[int | str]:
    """The two classes in order; the second one is what probabilities are of."""
    return [v.item() if hasattr(v, "item") else v for v in sorted(answers.unique())]


def _codes(answers: pd.Series) -> NDArray[np.int64]:
    """0 for the first class, 1 for the second, shape (n,)."""
    return np.asarray(answers == _classes(answers)[1], dtype=np.int64)


def _best_score(found: GridSearchCV) -> float:
    return float(found.cv_results_["mean_test_score"][found.best_index_])


def _lightgbm(X: pd.DataFrame, y: NDArray[np.int64], unseen: pd.DataFrame, seed: int) -> Floats:
    """What LightGBM gives with its defaults, on the columns as they are."""
    encoder = TabularEncoder().fit(X)
    booster = LGBMClassifier(verbose=-1, n_jobs=1, random_state=seed)
    booster.fit(pd.DataFrame(encoder.transform(X)), y)
    chances: Floats = booster.predict_proba(pd.DataFrame(encoder.transform(unseen)))[:, 1]
    return chances


def _auc_gain(truth: NDArray[np.int64], mine: Floats, theirs: Floats) -> float:
    return float(roc_auc_score(truth, mine) - roc_auc_score(truth, theirs))
