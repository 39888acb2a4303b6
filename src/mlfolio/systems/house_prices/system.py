"""House prices: columns read by their meaning, a blend of six regressors, honest intervals."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from pydantic import Field
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames, TableSplit
from mlfolio.data.splits import Split, folds
from mlfolio.parts.stats import mean_score, metric_score
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.parts.tabular.schema import Column, Schema

from . import figures
from .blend import Blend, prefers_log
from .card import CARD
from .data import TARGET, load_houses
from .figures import SYSTEM, OutOfFold
from .model import PriceModel

TRIVIAL, STRONG, QUANTILES = "median", "LightGBM defaults", "quantiles of all answers"
INNER_SEED = 1000  # added to the run's seed, so that inner folds are not the outer ones


class Fold(NamedTuple):
    """What comes of one outer fold; of everything see `OutOfFold`.

    Attributes:
        answers: To the rows of the test part, each of shape (n,).
        intervals: Their ends, each of shape (n, 2).
        importances: How much worse the answers are with one column shuffled.
        logs: Whether all answers are positive and were learned as logarithms.
        weights: Of the members.
    """

    answers: dict[str, Floats]
    intervals: dict[str, Floats]
    importances: pd.Series
    logs: bool
    weights: dict[str, float]


class HousePrices(System):
    """A number with an interval, from a table of any kind of columns."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = PriceModel

    target: str = Field(TARGET, description="column with the number to predict")
    drop: ColumnNames = Field((), description="columns to leave out, separated by commas")
    folds: int = Field(10, ge=2, le=20, description="outer folds of the nested cross-validation")
    inner_folds: int = Field(5, ge=2, le=20, description="folds that choose settings and weights")
    level: float = Field(0.8, ge=0.5, le=0.99, description="share that the intervals are to cover")

    def load(self, source: Source) -> TableSplit:
        """All rows with a price, and Kaggle's others where they lie beside them."""
        return load_houses(source, self.target, self.drop)

    def fit(self, data: TableSplit, run: Run) -> PriceModel:
        """Chooses settings and weights on inner folds and refits on all rows."""
        answers = data.y.to_numpy()
        schema = Schema.learn(data.X)
        with threadpool_limits(1):
            blend = Blend(self.inner_folds, run.seed).fit(schema.conform(data.X), answers)
        figures.weights(blend, run)
        data.submit(lambda rows: blend.predict(schema.conform(rows)), run)
        return PriceModel(
            schema, blend, Column.of(data.y), float(answers.std()), self.level, data.ignored
        )

    def evaluate(self, model: PriceModel, data: TableSplit, run: Run) -> Evaluation:
        """Nested cross-validation: the whole of `fit` is repeated on each outer training part."""
        truth = data.y.to_numpy()
        found = self._out_of_fold(model.schema.conform(data.X), truth, run)
        figures.judge(data, found, run)
        asked = model.schema.inputs(data.X)
        told = model.answer(asked, found.answers[SYSTEM], *found.intervals[SYSTEM].T)
        run.keep_reference(asked, told, truth.tolist(), out_of_fold=True)
        protocol = f"nested {self.folds}x{self.inner_folds}-fold cross-validation"
        metrics = {
            "RMSE": root_mean_squared_error,
            "MAE": mean_absolute_error,
            "R2": r2_score,
        }
        if found.logs:
            metrics = {"RMSLE": root_mean_squared_log, **metrics}
        scores = [
            metric_score(
                name, metric, truth, found.answers, SYSTEM, trivial=TRIVIAL, strong=STRONG,
                protocol=protocol, direction="higher" if name == "R2" else "lower", seed=run.seed,
            )
            for name, metric in metrics.items()
        ]  # fmt: skip
        return Evaluation(scores=(*scores, *self._of_intervals(truth, found, protocol, run.seed)))

    def _out_of_fold(self, rows: pd.DataFrame, truth: Floats, run: Run) -> OutOfFold:
        """For each row what it was given by models that did not see it."""
        found = OutOfFold()
        splits = folds(rows, np.zeros(len(rows)), self.folds, run.seed)
        answer = partial(self._answer_fold, rows, truth, run.seed)
        done = run.progress(run.workers.map(answer, splits), "outer fold", total=len(splits))
        for number, ((_, test), fold) in enumerate(zip(splits, done, strict=True)):
            found.importances.append(fold.importances)
            found.logs &= fold.logs
            for kept, parts in ((found.answers, fold.answers), (found.intervals, fold.intervals)):
                for name, part in parts.items():
                    kept.setdefault(name, np.zeros((len(truth), *part.shape[1:])))[test] = part
            error = root_mean_squared_error(truth[test], fold.answers[SYSTEM])
            run.log(number, RMSE=error, **fold.weights)
        return found

    def _answer_fold(self, rows: pd.DataFrame, truth: Floats, seed: int, split: Split) -> Fold:
        """The whole of `fit` on one outer training part, and what it answers to the rest."""
        train, test = split
        X, y, unseen = rows.iloc[train], truth[train], rows.iloc[test]
        with threadpool_limits(1):
            blend = Blend(self.inner_folds, seed + INNER_SEED).fit(X, y)
            guess, *ends = blend.predict_intervals(unseen, self.level)
            answers = {SYSTEM: guess, **blend.predict_members(unseen)}
            answers[STRONG] = _lightgbm(X, y, unseen, seed)
            importances = figures.importances(blend, unseen, truth[test], seed)
        answers[TRIVIAL] = np.full(len(test), np.median(y))
        tails = np.quantile(y, [(1 - self.level) / 2, (1 + self.level) / 2])
        intervals = {SYSTEM: np.column_stack(ends), QUANTILES: np.tile(tails, (len(test), 1))}
        logs = blend.log_ and all(bool((guess > 0).all()) for guess in answers.values())
        return Fold(answers, intervals, importances, logs, blend.weights_)

    def _of_intervals(
        self, truth: Floats, found: OutOfFold, protocol: str, seed: int
    ) -> tuple[Score, Score]:
        """How often the intervals hold the truth, and how wide they are for that."""
        unit = found.answers[SYSTEM] if found.logs else truth.std()
        widths = {name: np.ptp(ends, axis=1) / unit for name, ends in found.intervals.items()}
        inside = {name: found.covered(truth, name) for name in found.intervals}
        of = "the answer" if found.logs else "the answers' standard deviation"
        asked = f"{protocol}, {self.level:.0%} asked"
        return (
            mean_score("interval coverage", inside, SYSTEM, trivial=QUANTILES, protocol=asked),
            mean_score(
                "mean relative interval width", widths, SYSTEM, trivial=QUANTILES,
                protocol=f"{asked}, width over {of}", direction="lower", seed=seed,
            ),
        )  # fmt: skip


def root_mean_squared_log(truth: Floats, guess: Floats) -> float:
    """RMSLE without the one that is added for noughts: prices have none."""
    return float(root_mean_squared_error(np.log(truth), np.log(guess)))


def _lightgbm(X: pd.DataFrame, y: Floats, unseen: pd.DataFrame, seed: int) -> Floats:
    """What LightGBM gives with its defaults and its own categories, in logarithms as the blend."""
    log = prefers_log(y)
    kinds = {
        c: pd.CategoricalDtype(list(X[c].dropna().unique())) for c in X.select_dtypes("object")
    }
    names = [str(number) for number in range(X.shape[1])]  # not every name is one to LightGBM
    booster = LGBMRegressor(verbose=-1, n_jobs=1, random_state=seed)
    booster.fit(X.astype(kinds).set_axis(names, axis=1), np.log(y) if log else y)
    guess: Floats = booster.predict(unseen.astype(kinds).set_axis(names, axis=1))
    return np.exp(guess) if log else guess
