"""What the report of house-prices shows: members, errors, intervals, what matters."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass
class OutOfFold:
    """What every row was given by models that did not see it.

    Attributes:
        answers: Of this system, its members and its baselines, each of shape (n,).
        intervals: Ends of the intervals of this system and of a baseline, each of shape (n, 2).
        importances: By fold: how much worse the answers are with one column shuffled.
        logs: Whether all answers are positive and were learned as logarithms.
    """

    answers: dict[str, Floats] = field(default_factory=dict)
    intervals: dict[str, Floats] = field(default_factory=dict)
    importances: list[pd.Series] = field(default_factory=list)
    logs: bool = True

    def covered(self, truth: Floats, name: str = SYSTEM) -> NDArray[np.bool_]:
        """Which intervals hold the truth, shape (n,)."""
        low, high = self.intervals[name].T
        return np.asarray((low <= truth) & (truth <= high))


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
    run.table("Intervals", _by_fifths(truth, found), caption)
    caption = "Of rows that were not seen, one column shuffled; mean over the folds."
    run.figure("Importance", _importance(found, data.target), caption)


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
    low, high = found.intervals[SYSTEM][order].T
    figure = Figure(figsize=(6, 5))
    axis = figure.subplots()
    axis.fill_between(
        answers[order], low, high, color=BLUE, alpha=0.2, linewidth=0, label="interval"
    )
    axis.scatter(answers, truth, s=5, color=BLUE, label="row")
    axis.axline((answers.mean(), answers.mean()), slope=1, color=ORANGE, linewidth=1)
    scale = "log" if found.logs else "linear"
    axis.set(xlabel="answer", ylabel="truth", xscale=scale, yscale=scale)
    axis.legend()
    return figure


def _by_fifths(truth: Floats, found: OutOfFold) -> pd.DataFrame:
    answers = pd.Series(found.answers[SYSTEM])
    width = np.ptp(found.intervals[SYSTEM], axis=1)
    table = pd.DataFrame(
        {
            "fifth": np.ceil(answers.rank(pct=True) * 5).astype(int),
            "mean answer": answers,
            "coverage": found.covered(truth),
            "mean width": width,
            "width / answer": width / np.abs(answers),
        }
    )
    return table.groupby("fifth").mean()


def _importance(found: OutOfFold, target: str) -> Figure:
    shares = pd.concat(found.importances, axis=1).mean(axis=1).sort_values().tail(15)
    figure = Figure(figsize=(6, 0.3 * len(shares) + 0.8))
    axis = figure.subplots()
    axis.barh(list(shares.index), shares, color=BLUE)
    axis.set_xlabel(f"growth of the error (RMSE of {target})")
    return figure
