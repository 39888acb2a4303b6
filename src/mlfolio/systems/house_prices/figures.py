"""What the report of house-prices shows: members, errors, intervals, what matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from mlfolio.core.run import Run
from mlfolio.data.labelled import TableSplit
from mlfolio.parts.tabular.encoder import Floats

from .blend import Blend

SYSTEM = "this system"
BLUE, ORANGE = "#0072b2", "#d55e00"
SHUFFLED = 1_000  # rows of a fold, and
CELLS = 5_000_000  # cells in all, that importances are measured on at most
WORST = 10  # rows that are shown


@dataclass
class OutOfFold:
    """What every row was given by models that did not see it.

    Attributes:
        answers: Of this system, its members and its baselines, each of shape (n,).
        low: Lower ends of the intervals, shape (n,).
        high: Upper ends.
        quantiles: Interval of all training answers, shape (n, 2).
        importances: By fold: how much worse the answers are with one column shuffled.
        logs: Whether all answers are positive and were learned as logarithms.
    """

    low: Floats
    high: Floats
    quantiles: Floats
    answers: dict[str, Floats] = field(default_factory=dict)
    importances: list[pd.Series] = field(default_factory=list)
    logs: bool = True

    @classmethod
    def empty(cls, n: int) -> Self:
        """Room for n rows."""
        return cls(np.zeros(n), np.zeros(n), np.zeros((n, 2)))

    def covered(self, truth: Floats) -> NDArray[np.bool_]:
        """Which intervals hold the truth, shape (n,)."""
        return (self.low <= truth) & (truth <= self.high)


def weights(blend: Blend, run: Run) -> None:
    """The members on the inner folds, and what each counts."""
    table = pd.DataFrame({"error": blend.scores_, "weight": blend.weights_})
    how = "logarithms" if blend.log_ else "numbers as they are"
    caption = (
        f"Root mean squared error on the inner folds, in standard deviations; learned as {how}."
    )
    run.table("Members", table.sort_values("error"), caption)


def importances(blend: Blend, X: pd.DataFrame, y: Floats, seed: int) -> pd.Series:
    """How much the error grows when one raw column of rows that were not seen is shuffled."""
    rows = X.iloc[: min(SHUFFLED, CELLS // X.shape[1] ** 2 + 1)]
    found = permutation_importance(
        blend, rows, y[: len(rows)], scoring="neg_root_mean_squared_error", n_repeats=1,
        random_state=seed,
    )  # fmt: skip
    return pd.Series(found.importances_mean, index=X.columns)


def judge(data: TableSplit, found: OutOfFold, run: Run) -> None:
    """Everything the out-of-fold answers can tell."""
    truth = data.y.to_numpy()
    lines = {name: _measures(truth, guess, found.logs) for name, guess in found.answers.items()}
    caption = "Each member alone, the blend of them, and the baselines; the same outer folds."
    run.table("Regressors", pd.DataFrame(lines).T.sort_values("RMSE"), caption)
    run.figure("Answers and truth", _against_truth(truth, found), "Out of fold, with intervals.")
    caption = (
        "Rows in fifths by the size of the answer: how often intervals hold, and how wide they are."
    )
    run.table("Intervals", _intervals(truth, found), caption)
    caption = "Of rows that were not seen, one column shuffled; mean over the folds."
    run.figure("Importance", _importance(found, data.target), caption)
    run.table("Furthest off", _worst(data, found), "The rows with the greatest errors.")


def _measures(truth: Floats, guess: Floats, logs: bool) -> dict[str, float]:
    found = {"RMSLE": root_mean_squared_error(np.log(truth), np.log(guess))} if logs else {}
    return found | {
        "RMSE": root_mean_squared_error(truth, guess),
        "MAE": mean_absolute_error(truth, guess),
        "R2": r2_score(truth, guess),
    }


def _against_truth(truth: Floats, found: OutOfFold) -> Figure:
    answers = found.answers[SYSTEM]
    order = np.argsort(answers)
    figure = Figure(figsize=(6, 5))
    axis = figure.subplots()
    axis.fill_between(
        answers[order], found.low[order], found.high[order], color=BLUE, alpha=0.2, linewidth=0,
        label="interval",
    )  # fmt: skip
    axis.scatter(answers, truth, s=5, color=BLUE, label="row")
    axis.axline((answers.mean(), answers.mean()), slope=1, color=ORANGE, linewidth=1)
    if found.logs:
        axis.set_xscale("log")
        axis.set_yscale("log")
    axis.set_xlabel("answer")
    axis.set_ylabel("truth")
    axis.legend()
    return figure


def _intervals(truth: Floats, found: OutOfFold) -> pd.DataFrame:
    answers, width = found.answers[SYSTEM], found.high - found.low
    places = pd.Series(answers).rank(pct=True)
    table = pd.DataFrame(
        {
            "fifth": np.ceil(places * 5).astype(int),
            "rows": 1,
            "mean answer": answers,
            "coverage": found.covered(truth),
            "mean width": width,
            "width / answer": width / np.abs(answers),
        }
    )
    means = table.groupby("fifth").mean()
    return means.assign(rows=table.groupby("fifth")["rows"].sum())


def _importance(found: OutOfFold, target: str) -> Figure:
    shares = pd.concat(found.importances, axis=1).mean(axis=1).sort_values().tail(15)
    figure = Figure(figsize=(6, 0.3 * len(shares) + 0.8))
    axis = figure.subplots()
    axis.barh(list(shares.index), shares, color=BLUE)
    axis.set_xlabel(f"growth of the error (RMSE of {target})")
    return figure


def _worst(data: TableSplit, found: OutOfFold) -> pd.DataFrame:
    truth, answers = data.y.to_numpy(), found.answers[SYSTEM]
    errors = np.log(truth / answers) if found.logs else truth - answers
    order = np.argsort(-np.abs(errors))[:WORST]
    names = [c for c in data.ignored if c != data.target and data.train[c].is_unique][:1]
    table = data.train.iloc[order][names].copy()
    table["truth"], table["answer"] = truth[order], answers[order].round(2)
    table["low"], table["high"] = found.low[order].round(2), found.high[order].round(2)
    return table.set_index(names) if names else table.rename_axis("row")
