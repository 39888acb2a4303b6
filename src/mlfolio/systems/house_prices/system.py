"""House prices: columns read by their meaning, a blend of six regressors, honest intervals."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from pydantic import Field
from sklearn.metrics import r2_score, root_mean_squared_error
from threadpoolctl import threadpool_limits

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.data.labelled import ColumnNames, TableSplit
from mlfolio.data.splits import folds
from mlfolio.parts.stats import bootstrap_ci95, mean_score
from mlfolio.parts.tabular.encoder import Floats, TabularEncoder
from mlfolio.parts.tabular.schema import Column, Schema

from . import figures
from .blend import Blend, prefers_log
from .card import CARD
from .data import TARGET, load_houses
from .features import unfinished_giants
from .figures import SYSTEM, OutOfFold
from .model import PriceModel

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
        figures.describe(data, run)
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
        errors = {name: truth - guess for name, guess in found.answers.items()}
        scores = [
            _root_score("RMSE", errors, protocol, run.seed),
            mean_score(
                "MAE", {name: np.abs(error) for name, error in errors.items()}, SYSTEM,
                trivial=TRIVIAL, strong=STRONG, protocol=protocol, direction="lower", seed=run.seed,
            ),
            _r2(truth, found.answers, protocol, run.seed),
            *self._of_intervals(truth, found, protocol, run.seed),
        ]  # fmt: skip
        if found.logs:
            errors = {name: np.log(truth / guess) for name, guess in found.answers.items()}
            scores.insert(0, _root_score("RMSLE", errors, protocol, run.seed))
            odd = unfinished_giants(data.train)
            if odd.any():
                name = f"RMSLE without {odd.sum()} unfinished giants"
                errors = {rival: error[~odd] for rival, error in errors.items()}
                scores.append(_root_score(name, errors, protocol, run.seed))
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


def _root_score(name: str, errors: dict[str, Floats], protocol: str, seed: int) -> Score:
    """The root of the mean squared error, beside the same of the baselines on the same rows."""
    squares = {rival: errors[rival] ** 2 for rival in (SYSTEM, STRONG, TRIVIAL)}

    def baseline(rival: str) -> Baseline:
        gain = bootstrap_ci95(_root_gain, squares[SYSTEM], squares[rival], seed=seed)
        return Baseline(name=rival, value=_root(squares[rival]), gain_ci95=gain)

    return Score(
        name=name, value=_root(squares[SYSTEM]), n=len(squares[SYSTEM]), direction="lower",
        ci95=bootstrap_ci95(_root, squares[SYSTEM], seed=seed), protocol=protocol,
        trivial=baseline(TRIVIAL), strong=baseline(STRONG),
    )  # fmt: skip


def _r2(truth: Floats, answers: dict[str, Floats], protocol: str, seed: int) -> Score:
    def baseline(rival: str) -> Baseline:
        gain = bootstrap_ci95(_r2_gain, truth, answers[SYSTEM], answers[rival], seed=seed)
        return Baseline(name=rival, value=r2_score(truth, answers[rival]), gain_ci95=gain)

    return Score(
        name="R2", value=r2_score(truth, answers[SYSTEM]), n=len(truth),
        ci95=bootstrap_ci95(r2_score, truth, answers[SYSTEM], seed=seed), protocol=protocol,
        trivial=baseline(TRIVIAL), strong=baseline(STRONG),
    )  # fmt: skip


def _root(squares: Floats) -> float:
    return float(np.sqrt(squares.mean()))


def _root_gain(mine: Floats, theirs: Floats) -> float:
    return _root(mine) - _root(theirs)


def _r2_gain(truth: Floats, mine: Floats, theirs: Floats) -> float:
    return float(r2_score(truth, mine) - r2_score(truth, theirs))


def _lightgbm(X: pd.DataFrame, y: Floats, unseen: pd.DataFrame, seed: int) -> Floats:
    """What LightGBM gives with its defaults on the encoded columns, in logarithms as the blend."""
    log = prefers_log(y)
    encoder = TabularEncoder().fit(X)
    booster = LGBMRegressor(verbose=-1, n_jobs=1, random_state=seed)
    booster.fit(pd.DataFrame(encoder.transform(X)), np.log(y) if log else y)
    guess: Floats = booster.predict(pd.DataFrame(encoder.transform(unseen)))
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
