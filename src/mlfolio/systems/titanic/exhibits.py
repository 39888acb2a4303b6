"""What titanic's report shows: the data, the search, how good and how fair, and the submission."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, precision_score, recall_score
from sklearn.model_selection import GridSearchCV

from mlfolio.core.run import Run
from mlfolio.data.tables import TableSplit
from mlfolio.parts.stats import proportion_ci95

from .features import age_group
from .model import TitanicModel
from .models import name_of

Floats = NDArray[np.float64]
FEW_VALUES = 6  # a column with at most so many values is worth a slice
EXPLAINED = 60  # rows whose explanations are averaged into importances


def describe(data: TableSplit, run: Run) -> None:
    """How often the second class occurs, by the columns that have few values and by age."""
    second = sorted(data.y.unique())[1]
    yes = (data.y == second).astype(float)
    figure = Figure(figsize=(9, 2.8))
    groups = _groups(data.X)[:4]
    axes = np.atleast_1d(figure.subplots(1, max(len(groups), 1), sharey=True))
    for axis, group in zip(axes, groups, strict=False):
        rates = yes.groupby(group).mean()
        axis.bar([str(name) for name in rates.index], rates, color="#0072b2")
        axis.set_title(str(group.name), fontsize=9)
        axis.axhline(yes.mean(), color="#d55e00", linewidth=1)
        axis.tick_params(axis="x", labelsize=8, rotation=30)
    figure.tight_layout()
    caption = f"Share of {data.target} = {second}; the line is the mean, {yes.mean():.3f}."
    run.figure(f"{data.target} by group", figure, caption)


def candidates(found: GridSearchCV, run: Run) -> None:
    """The grid search: the best setting of each candidate."""
    results = pd.DataFrame(found.cv_results_)
    results["candidate"] = [name_of(p["model"]) for p in results["params"]]
    best = results.loc[results.groupby("candidate")["mean_test_score"].idxmax()]
    table = best.set_index("candidate")[["mean_test_score", "std_test_score", "mean_fit_time"]]
    table.columns = pd.Index(["accuracy", "deviation over folds", "fit seconds"])
    chosen = name_of(found.best_params_["model"])
    caption = f"Inner folds; chosen, being the simplest within one standard error: {chosen}."
    run.table("Candidates", table.sort_values("accuracy", ascending=False), caption)


def judge(
    model: TitanicModel,
    data: TableSplit,
    chances: Floats,
    rivals: dict[str, Floats],
    run: Run,
) -> None:
    """Everything the out-of-fold answers can tell."""
    truth = np.asarray(data.y == model.classes[1], dtype=np.int64)
    accuracy = {"this system": ((chances >= model.threshold) == truth).mean()}
    accuracy |= {name: ((guess >= 0.5) == truth).mean() for name, guess in rivals.items()}
    run.table("Beside its baselines", pd.DataFrame({"accuracy": accuracy}), "The same folds.")
    run.table("By group", _slices(model, data, chances, truth),
              "Accuracy, and how often the second class is predicted and true.")  # fmt: skip
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
    run.figure("Importance", _importance(model, data), "Mean size of a column's share in the "
               f"log-odds, over {EXPLAINED} rows.")  # fmt: skip


def submission(model: TitanicModel, data: TableSplit, run: Run) -> None:
    """Writes `submission.csv` for the unlabelled rows, in Kaggle's format."""
    if data.extra is None:
        return
    chances = model.estimator.predict_proba(model.schema.conform(data.extra))[:, 1]
    ids = [c for c in data.extra.columns if c not in data.features]
    table = data.extra[ids[:1]].copy()
    table[data.target] = [model.classes[int(chance >= model.threshold)] for chance in chances]
    table.to_csv(run.folder / "submission.csv", index=False)
    run.note(f"submission.csv: answers to the {len(table):,} rows of test.csv.")


def _groups(rows: pd.DataFrame) -> list[pd.Series]:
    """Columns with few values, and age in groups where there is one."""
    few = [rows[c] for c in rows if 2 <= rows[c].nunique() <= FEW_VALUES]
    if "Age" in rows and pd.api.types.is_numeric_dtype(rows["Age"]):
        ages = pd.Series([age_group(age) for age in rows["Age"]], rows.index, name="Age group")
        few = [*few[:2], ages, *few[2:]]
    return few[:8]


def _slices(
    model: TitanicModel, data: TableSplit, chances: Floats, truth: NDArray[np.int64]
) -> pd.DataFrame:
    yes = chances >= model.threshold
    lines = []
    for group in _groups(data.X):
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


def _importance(model: TitanicModel, data: TableSplit) -> Figure:
    """Mean absolute share of each column in the answers to some rows."""
    rows = model.schema.conform(data.X.iloc[:EXPLAINED])
    fields = [
        {f"column_{i}": None if v != v else v for i, v in enumerate(row)}
        for row in rows.itertuples(index=False)
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
