"""House prices: columns read by their meaning, a blend of six regressors, honest intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from pydantic import Field
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card, Direction
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames, TableSplit
from mlfolio.data.splits import folds
from mlfolio.parts.stats import bootstrap_ci95, mean_score
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.parts.tabular.schema import Column, Schema

from . import figures
from .blend import Blend, prefers_log
from .card import CARD
from .data import TARGET, load_houses
from .features import unfinished_giants
from .figures import SYSTEM, OutOfFold
from .model import PriceModel

Metric = Callable[[Floats, Floats], float]
TRIVIAL, STRONG = "median", "LightGBM defaults"
INNER_SEED = 1000  # added to the run's seed, so that inner folds are not the outer ones


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
        model = PriceModel(
            schema, blend, Column.of(data.y), float(answers.std()), self.level, data.ignored
        )
        _submit(model, data, run)
        return model

    def evaluate(self, model: PriceModel, data: TableSplit, run: Run) -> Evaluation:
        """Nested cross-validation: the whole of `fit` is repeated on each outer training part."""
        rows, truth = model.schema.conform(data.X), data.y.to_numpy()
        found = self._out_of_fold(rows, truth, run)
        figures.judge(data, found, run)
        protocol = f"nested {self.folds}x{self.inner_folds}-fold cross-validation"
        measure = partial(_measure, protocol=protocol, seed=run.seed)
        scores = [
            measure("RMSE", root_mean_squared_error, truth, found.answers),
            measure("MAE", mean_absolute_error, truth, found.answers),
            measure("R2", r2_score, truth, found.answers, direction="higher"),
            *self._of_intervals(truth, found, protocol, run.seed),
        ]
        if found.logs:
            logs = {name: np.log(guess) for name, guess in found.answers.items()}
            scores.insert(0, measure("RMSLE", root_mean_squared_error, np.log(truth), logs))
            usual = ~unfinished_giants(data.train)
            if not usual.all():
                name = f"RMSLE without {len(usual) - usual.sum()} unfinished giants"
                logs = {rival: guess[usual] for rival, guess in logs.items()}
                scores.append(measure(name, root_mean_squared_error, np.log(truth[usual]), logs))
        return Evaluation(scores=tuple(scores))

    def _out_of_fold(self, rows: pd.DataFrame, truth: Floats, run: Run) -> OutOfFold:
        """For each row what it was given by models that did not see it."""
        found = OutOfFold.empty(len(truth))
        splits = folds(rows, np.zeros(len(rows)), self.folds, run.seed)
        for number, (train, test) in enumerate(run.progress(splits, "outer fold")):
            X, y, unseen = rows.iloc[train], truth[train], rows.iloc[test]
            with threadpool_limits(1):
                blend = Blend(self.inner_folds, run.seed + INNER_SEED).fit(X, y)
                guess, found.low[test], found.high[test] = blend.predict_intervals(
                    unseen, self.level
                )
                guesses = {SYSTEM: guess, **blend.predict_members(unseen)}
                guesses[STRONG] = _lightgbm(X, y, unseen, run.seed)
                found.importances.append(figures.importances(blend, unseen, truth[test], run.seed))
            guesses[TRIVIAL] = np.full(len(test), np.median(y))
            tails = ((1 - self.level) / 2, (1 + self.level) / 2)
            found.quantiles[test] = np.quantile(y, tails)
            for name, values in guesses.items():
                found.answers.setdefault(name, np.zeros(len(truth)))[test] = values
            found.logs &= blend.log_
            run.log(number, RMSE=root_mean_squared_error(truth[test], guess), **blend.weights_)
        found.logs &= all((guess > 0).all() for guess in found.answers.values())
        return found

    def _of_intervals(
        self, truth: Floats, found: OutOfFold, protocol: str, seed: int
    ) -> tuple[Score, Score]:
        """How often the intervals hold the truth, and how wide they are for that."""
        name, (low, high) = "quantiles of all answers", found.quantiles.T
        inside = {SYSTEM: found.covered(truth), name: (low <= truth) & (truth <= high)}
        unit = found.answers[SYSTEM] if found.logs else truth.std()
        widths = {SYSTEM: (found.high - found.low) / unit, name: (high - low) / unit}
        of = "the answer" if found.logs else "the answers' standard deviation"
        asked = f"{protocol}, {self.level:.0%} asked"
        return (
            mean_score("interval coverage", inside, SYSTEM, trivial=name, protocol=asked),
            mean_score(
                "mean relative interval width", widths, SYSTEM, trivial=name,
                protocol=f"{asked}, width over {of}", direction="lower", seed=seed,
            ),
        )  # fmt: skip


def _measure(
    name: str,
    metric: Metric,
    truth: Floats,
    answers: Mapping[str, Floats],
    *,
    protocol: str,
    seed: int,
    direction: Direction = "lower",
) -> Score:
    """A metric of all answers together, beside that of the baselines on the same rows."""
    mine, theirs = answers[SYSTEM], answers[STRONG]

    def gain(truth: Floats, mine: Floats, theirs: Floats) -> float:
        return metric(truth, mine) - metric(truth, theirs)

    return Score(
        name=name, value=metric(truth, mine), n=len(truth), direction=direction,
        ci95=bootstrap_ci95(metric, truth, mine, seed=seed), protocol=protocol,
        trivial=Baseline(name=TRIVIAL, value=metric(truth, answers[TRIVIAL])),
        strong=Baseline(
            name=STRONG, value=metric(truth, theirs),
            gain_ci95=bootstrap_ci95(gain, truth, mine, theirs, seed=seed),
        ),
    )  # fmt: skip


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


def _submit(model: PriceModel, data: TableSplit, run: Run) -> None:
    """Writes `submission.csv` for the rows without answers, in Kaggle's format."""
    if data.extra is None:
        return
    answers = model.estimator.predict(model.schema.conform(data.extra))
    names = [c for c in data.ignored if c in data.extra and data.extra[c].is_unique]
    table = data.extra[names[:1]].assign(**{data.target: answers})
    table.to_csv(run.folder / "submission.csv", index=False)
    run.note(f"submission.csv: answers to the {len(table):,} rows of test.csv.")
