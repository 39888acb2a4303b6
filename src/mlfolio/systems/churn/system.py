"""Churn: calibrated chances of leaving, offers where they pay, groups compared, whom to call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.errors import UnknownNameError
from mlfolio.core.model import Model, Output
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames, TableSplit
from mlfolio.data.splits import Split, folds
from mlfolio.parts.stats import mean_score, metric_score, roc_area
from mlfolio.parts.tabular import figures
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.search import fit_best, make_pipeline, name_of

from . import report
from .card import CARD
from .data import PEOPLE, TARGET, choices, load_customers
from .learning import candidates, customer_steps
from .model import ChurnModel
from .offer import Offer

SYSTEM, TRIVIAL, STRONG = "this system", "base rate", "logistic regression"
TUNED = "threshold tuned in the folds"
INNER_SEED = 1000  # added to the run's seed, so that inner folds are not the outer ones


@dataclass
class OutOfFold:
    """What every row was given by models that did not see it.

    Attributes:
        chances: Of the second class, by who gave them, each of shape (n,).
        outputs: What the system answers to each row.
        tuned: Who gets an offer by thresholds that were tuned on the training parts, shape (n,).
        fold: Number of the outer fold of each row, shape (n,).
    """

    chances: dict[str, Floats]
    outputs: list[Output]
    tuned: NDArray[np.bool_]
    fold: NDArray[np.int64]


class Fold(NamedTuple):
    """What the rows of one outer fold were given by models of the others.

    Attributes:
        chances: Of the second class, by who gave them, each of shape (rows,).
        outputs: What the system answers.
        tuned: Who gets an offer by a threshold that was tuned on the training part.
        chosen: Name of the model.
    """

    chances: dict[str, Floats]
    outputs: list[Output]
    tuned: NDArray[np.bool_]
    chosen: str


class Churn(System):
    """The chance that a customer leaves, and what to do about it."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = ChurnModel

    target: str = Field(TARGET, description="column with the two classes")
    drop: ColumnNames = Field((), description="columns to leave out, separated by commas")
    folds: int = Field(5, ge=2, le=20, description="outer folds of the nested cross-validation")
    inner_folds: int = Field(5, ge=2, le=20, description="folds of the grid search inside them")
    kept_value: float = Field(500, gt=0, description="what a customer is worth who is kept")
    offer_price: float = Field(50, gt=0, description="what an offer costs, whoever gets it")
    offer_works: float = Field(0.3, gt=0, le=1, description="chance that it keeps who would leave")
    people: ColumnNames = Field(
        (),
        description="columns whose groups are compared; none: known ones, or those of few values",
    )
    levers: ColumnNames = Field(
        (), description="columns of categories that the company can change for a customer"
    )

    @property
    def offer(self) -> Offer:
        """What an offer costs and brings."""
        return Offer(value=self.kept_value, price=self.offer_price, works=self.offer_works)

    def load(self, source: Source) -> TableSplit:
        """All labelled rows, and unlabelled ones where they lie beside them."""
        return load_customers(source, self.target, self.drop)

    def fit(self, data: TableSplit, run: Run) -> ChurnModel:
        """Searches and refits the winner on all rows."""
        figures.describe(data, self._groups(data), run)
        schema = Schema.learn(data.X)
        levers = choices(schema, self.levers)
        estimator, found = self._fit(schema.conform(data.X), _codes(data), run.seed)
        figures.candidates(found, run, candidates(0))
        offer = self.offer
        model = ChurnModel(
            schema, estimator, data.classes, offer.break_even, data.ignored, offer, levers
        )
        data.submit(lambda rows: [output.answer for output in _predict(model, rows)], run)
        return model

    def evaluate(self, model: ChurnModel, data: TableSplit, run: Run) -> Evaluation:
        """Nested cross-validation: the whole of `fit` is repeated on each outer training part."""
        truth, offer = _codes(data), model.offer
        found = self._out_of_fold(model, data, run)
        rivals = {name: guess for name, guess in found.chances.items() if name != SYSTEM}
        figures.judge(model, data, found.chances[SYSTEM], rivals, self._groups(data), run)
        offered = {name: each >= offer.break_even for name, each in found.chances.items()}
        everybody = np.ones(len(truth), dtype=bool)
        others = {TUNED: found.tuned, "everybody": everybody, "nobody": ~everybody}
        report.offers(offer, truth, found.chances, offered | others, run)
        self._list_actions(model, data, found.outputs, run)
        run.keep_reference(
            model.schema.inputs(data.X), found.outputs, data.y.to_list(), out_of_fold=True
        )
        return Evaluation(scores=self._scores(truth, found, offered, run.seed))

    def _scores(
        self,
        truth: NDArray[np.int64],
        found: OutOfFold,
        offered: dict[str, NDArray[np.bool_]],
        seed: int,
    ) -> tuple[Score, ...]:
        """How well customers are ordered, how right the chances are, and what that is worth."""
        chances, known = found.chances, np.column_stack([truth, found.fold])
        protocol = f"nested {self.folds}x{self.inner_folds}-fold stratified cross-validation"
        beside: dict[str, Any] = {
            "trivial": TRIVIAL, "strong": STRONG, "protocol": protocol, "seed": seed,
        }  # fmt: skip
        chance = {**chances, TRIVIAL: np.zeros(len(truth))}  # base rates of folds order nobody
        losses = {
            n: -np.log(np.where(truth == 1, p, 1 - p).clip(1e-15)) for n, p in chances.items()
        }
        precision = by_folds(average_precision_score)
        errors = {name: (guess - truth) ** 2 for name, guess in chances.items()}
        offer = self.offer
        profits = {name: offer.profits(truth, chosen) for name, chosen in offered.items()}
        return (
            metric_score("AUC", by_folds(roc_area), known, chance, SYSTEM, **beside),
            metric_score("PR-AUC", precision, known, chance, SYSTEM, **beside),
            mean_score("log loss", losses, SYSTEM, direction="lower", **beside),
            mean_score("Brier score", errors, SYSTEM, direction="lower", **beside),
            mean_score("profit per customer", profits, SYSTEM, **beside),
        )

    def _out_of_fold(self, model: ChurnModel, data: TableSplit, run: Run) -> OutOfFold:
        truth = _codes(data)
        outputs = np.empty(len(truth), dtype=object)
        chances = {name: np.zeros(len(truth)) for name in (SYSTEM, STRONG, TRIVIAL)}
        tuned, fold = np.zeros(len(truth), dtype=bool), np.zeros(len(truth), dtype=np.int64)
        splits = folds(model.schema.conform(data.X), data.y, self.folds, run.seed)
        # `replace` leaves out what a model has made on the way and cannot go to another machine.
        answer = partial(self._answer_fold, replace(model), data.X, truth, run.seed)
        found = run.progress(run.workers.map(answer, splits), "outer fold", total=len(splits))
        for number, ((_, test), told) in enumerate(zip(splits, found, strict=True)):
            fold[test], outputs[test], tuned[test] = number, told.outputs, told.tuned
            for name, guess in told.chances.items():
                chances[name][test] = guess
            run.log(number, AUC=roc_area(truth[test], told.chances[SYSTEM]))
            run.note(f"Outer fold {number + 1} chose {told.chosen}.")
        return OutOfFold(chances, outputs.tolist(), tuned, fold)

    def _answer_fold(
        self, model: ChurnModel, X: pd.DataFrame, truth: NDArray[np.int64], seed: int, split: Split
    ) -> Fold:
        """The whole of `fit` on one outer training part, and what it answers to the rest."""
        train, test = split
        rows, seed = model.schema.conform(X), seed + INNER_SEED
        known, y, unseen = rows.iloc[train], truth[train], rows.iloc[test]
        estimator, search = self._fit(known, y, seed)
        found = estimator.predict_proba(unseen)
        chances = {
            SYSTEM: found[:, 1],
            STRONG: _plain(known, y, unseen),
            TRIVIAL: np.full(len(test), y.mean()),
        }
        inputs = model.schema.inputs(X.iloc[test])
        return Fold(
            chances,
            replace(model, estimator=estimator).answer(inputs, found),
            found[:, 1] >= self._tune(estimator, known, y, seed),
            name_of(search.best_params_["model"], candidates(0)),
        )

    def _fit(
        self, X: pd.DataFrame, y: NDArray[np.int64], seed: int
    ) -> tuple[BaseEstimator, GridSearchCV]:
        with threadpool_limits(1):
            return fit_best(
                X, y, self.inner_folds, seed, customer_steps(X.columns), candidates(seed, len(X))
            )

    def _tune(
        self, estimator: BaseEstimator, X: pd.DataFrame, y: NDArray[np.int64], seed: int
    ) -> float:
        """The threshold that would have brought most on the training rows, out of inner folds."""
        splits = folds(X, y, self.inner_folds, seed)
        with threadpool_limits(1):
            found = cross_val_predict(estimator, X, y, cv=splits, method="predict_proba")
        return self.offer.best_threshold(y, found[:, 1])

    def _list_actions(
        self, model: ChurnModel, data: TableSplit, outputs: Sequence[Output], run: Run
    ) -> None:
        """Of the unlabelled customers, or of those who stayed, as they looked out of fold."""
        if data.extra is not None:
            report.actions(data.extra, data, _predict(model, data.extra), run)
            return
        stayed = np.flatnonzero(_codes(data) == 0).tolist()
        report.actions(data.train.iloc[stayed], data, [outputs[at] for at in stayed], run)

    def _groups(self, data: TableSplit) -> list[pd.Series]:
        """The columns whose groups are compared."""
        for name in self.people:
            if name not in data.features:
                raise UnknownNameError("column", name, data.features)
        known = [name for name in PEOPLE if name in data.features]
        names = self.people or (known if len(known) == len(PEOPLE) else ())
        return [data.X[name] for name in names] or figures.few_valued(data.X)[:8]


def by_folds(metric: Callable[[Any, Any], float]) -> Callable[[Any, Any], float]:
    """The mean of a metric over folds.

    Each model orders its own customers: pooled, the chances of several models would be compared,
    which costs AUC (Forman and Scholz, 2010, Apples-to-apples in cross-validation studies).

    Args:
        metric: Takes classes and scores of one fold.

    Returns:
        Takes classes and folds, shape (n, 2), and scores, shape (n,); NaN where a fold has one
        class only, as in some draws of a bootstrap.
    """

    def mean(known: NDArray[np.int64], scores: Floats) -> float:
        found = []
        for fold in np.unique(known[:, 1]):
            inside = known[:, 1] == fold
            truth = known[inside, 0]
            both = 0 < truth.sum() < len(truth)
            found.append(metric(truth, scores[inside]) if both else np.nan)
        return float(np.mean(found))

    return mean


def _plain(X: pd.DataFrame, y: NDArray[np.int64], unseen: pd.DataFrame) -> Floats:
    """What logistic regression gives on the encoded columns, without bends and features."""
    with threadpool_limits(1):
        plain = make_pipeline(LogisticRegression(max_iter=2_000)).fit(X, y)
        chances: Floats = plain.predict_proba(unseen)[:, 1]
    return chances


def _predict(model: ChurnModel, rows: pd.DataFrame) -> list[Output]:
    return model.predict(model.schema.inputs(rows))


def _codes(data: TableSplit) -> NDArray[np.int64]:
    """0 for the first class, 1 for the second, shape (n,)."""
    return np.asarray(data.y == data.classes[1], dtype=np.int64)
