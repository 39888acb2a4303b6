"""What the report of a choice between two classes shows: data, search, how good and how fair."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, precision_score, recall_score
from sklearn.model_selection import GridSearchCV

from mlfolio.core.run import Run
from mlfolio.data.labelled import TableSplit
from mlfolio.parts.stats import proportion_ci95
from mlfolio.parts.tabular import fairness
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.parts.tabular.fairness import Groups
from mlfolio.parts.tabular.model import TabularModel
from mlfolio.parts.tabular.search import Candidates, name_of

FEW_VALUES = 6  # a column with at most so many values is worth a slice
EXPLAINED = 60  # rows whose explanations are averaged into importances


def few_valued(rows: pd.DataFrame) -> list[pd.Series]:
    """The columns with so few values that each is a group worth looking at."""
    return [rows[c] for c in rows if 2 <= rows[c].nunique() <= FEW_VALUES]


def describe(data: TableSplit, groups: Groups, run: Run) -> None:
    """How often the second class occurs, by the first four of the groups."""
    second = sorted(data.y.unique())[1]
    yes = (data.y == second).astype(float)
    figure = Figure(figsize=(9, 2.8))
    axes = np.atleast_1d(figure.subplots(1, min(max(len(groups), 1), 4), sharey=True))
    for axis, group in zip(axes, groups, strict=False):
        rates = yes.groupby(group).mean()
        axis.bar([str(name) for name in rates.index], rates, color="#0072b2")
        axis.set_title(str(group.name), fontsize=9)
        axis.axhline(yes.mean(), color="#d55e00", linewidth=1)
        axis.tick_params(axis="x", labelsize=8, rotation=30)
    figure.tight_layout()
    caption = f"Share of {data.target} = {second}; the line is the mean, {yes.mean():.3f}."
    run.figure(f"{data.target} by group", figure, caption)


def candidates(found: GridSearchCV, run: Run, known: Candidates | None = None) -> None:
    """The grid search: the best setting of each candidate.

    Args:
        found: The search.
        run: Takes the table.
        known: Candidates of the system's own, if they competed.
    """
    results = pd.DataFrame(found.cv_results_)
    results["candidate"] = [name_of(p["model"], known) for p in results["params"]]
    best = results.loc[results.groupby("candidate")["mean_test_score"].idxmax()]
    table = best.set_index("candidate")[["mean_test_score", "std_test_score", "mean_fit_time"]]
    score = "accuracy" if found.scoring == "accuracy" else "log loss (negative)"
    table.columns = pd.Index([score, "deviation over folds", "fit seconds"])
    rule = "simplest within one standard error" if score == "accuracy" else "best"
    caption = (
        f"Inner folds; chosen, being the {rule}: {name_of(found.best_params_['model'], known)}."
    )
    run.table("Candidates", table.sort_values(score, ascending=False), caption)


def judge(
    model: TabularModel,
    data: TableSplit,
    chances: Floats,
    rivals: dict[str, Floats],
    groups: Groups,
    run: Run,
) -> None:
    """Everything the out-of-fold answers can tell.

    Args:
        model: The model that was fitted on all rows.
        data: The rows.
        chances: Out-of-fold probability of the second class, shape (n,).
        rivals: The same of each baseline.
        groups: What to show accuracy by, each of shape (n,).
        run: Takes the tables and figures.
    """
    truth = np.asarray(data.y == model.classes[1], dtype=np.int64)
    beside = _accuracies({"this system": chances, **rivals}, truth, model.threshold)
    run.table("Beside its baselines", beside, "The same folds, and the same threshold for all.")
    yes = chances >= model.threshold
    caption = "Accuracy, and how often the second class is predicted and true."
    run.table("By group", _slices(groups, yes, truth), caption)
    rates, gaps = fairness.by_group(groups, chances, yes, truth)
    caption = "Means with 95 % intervals; calibration is the mean chance less what happened."
    run.table("How groups are treated", rates, caption)
    caption = (
        "p (Holm) below 0.05: such a gap is no chance. The 95 % intervals count how many pairs of "
        "groups there were to pick from. Not all measures can be equal at once."
    )
    run.table("Gaps between groups", gaps, caption)
    run.table("Thresholds", _thresholds(truth, chances), "Out of fold; choose by what errors cost.")
    figure = Figure(figsize=(11, 3.4))
    left, middle, right = figure.subplots(1, 3)
    names = [str(label) for label in model.classes]
    ConfusionMatrixDisplay.from_predictions(
        truth, chances >= model.threshold, display_labels=names, ax=left, colorbar=False,
        cmap="Blues",
    )  # fmt: skip
    RocCurveDisplay.from_predictions(truth, chances, ax=middle)
    CalibrationDisplay.from_predictions(truth, chances, n_bins=8, strategy="quantile", ax=right)
    middle.legend(fontsize=7)
    right.legend(fontsize=7)
    figure.tight_layout()
    run.figure("Out-of-fold answers", figure, "Confusion matrix, ROC curve, calibration.")
    some = data.X.sample(_explained(data), random_state=run.seed)
    caption = f"Mean size of a column's share in the log-odds, over {len(some)} rows at random."
    run.figure("Importance", _importance(model, some), caption)


def _accuracies(
    chances: dict[str, Floats], truth: NDArray[np.int64], threshold: float
) -> pd.DataFrame:
    """How often each is right, by a model's own threshold, which money may say, and by a half."""
    return pd.DataFrame(
        {
            f"accuracy, a yes from {cut:.3g}": {
                name: ((guess >= cut) == truth).mean() for name, guess in chances.items()
            }
            for cut in (threshold, 0.5)
        }
    )


def _slices(groups: Groups, yes: NDArray[np.bool_], truth: NDArray[np.int64]) -> pd.DataFrame:
    lines = []
    for group in groups:
        for name in sorted(group.dropna().unique(), key=str):
            inside = (group == name).to_numpy()
            low, high = proportion_ci95(yes[inside] == truth[inside])
            lines.append(
                {
                    "group": f"{group.name} = {name}",
                    "n": int(inside.sum()),
                    "accuracy": (yes[inside] == truth[inside]).mean(),
                    "low": low,
                    "high": high,
                    "predicted": yes[inside].mean(),
                    "true": truth[inside].mean(),
                }
            )
    return pd.DataFrame(lines, columns=["group", "n", "accuracy", "low", "high", "predicted",
                                        "true"]).set_index("group")  # fmt: skip


def _thresholds(truth: NDArray[np.int64], chances: Floats) -> pd.DataFrame:
    steps = np.round(np.arange(0.2, 0.81, 0.1), 1)
    return pd.DataFrame(
        {
            "accuracy": [((chances >= t) == truth).mean() for t in steps],
            "precision": [precision_score(truth, chances >= t, zero_division=0) for t in steps],
            "recall": [recall_score(truth, chances >= t) for t in steps],
        },
        index=pd.Index(steps, name="threshold"),
    )


def _explained(data: TableSplit) -> int:
    """How many rows are explained: few of a table with hundreds of columns, each being slow."""
    few = max(5, 100 * EXPLAINED // len(data.features))
    return min(EXPLAINED, few, len(data.X))


def _importance(model: TabularModel, some: pd.DataFrame) -> Figure:
    """Mean absolute share of each column in the answers to some rows."""
    fields = [
        {f"column_{i}": None if v != v else v for i, v in enumerate(row)}
        for row in model.schema.conform(some).itertuples(index=False)
    ]
    inputs = [model.input_type.model_construct(**row) for row in fields]
    sizes = dict.fromkeys(model.schema.names, 0.0)
    for reasons in model.explain(inputs):
        for reason in reasons:
            sizes[reason.feature] += abs(reason.effect) / len(inputs)
    shares = pd.Series(sizes).sort_values().tail(15)
    figure = Figure(figsize=(6, 0.3 * len(shares) + 0.8))
    axis = figure.subplots()
    axis.barh(list(shares.index), shares, color="#0072b2")
    axis.set_xlabel("mean share in the log-odds")
    return figure
