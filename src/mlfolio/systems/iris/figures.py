"""The pictures of iris: how the species lie, where the borders run, what is confused."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.metrics import ConfusionMatrixDisplay

from mlfolio.core.run import Run
from mlfolio.data.labelled import TableSplit
from mlfolio.parts.tabular.model import TabularModel
from mlfolio.parts.tabular.star import COLOURS


def describe(data: TableSplit, run: Run) -> None:
    """Means by species and every pair of measurements, training part only."""
    means = data.train.groupby(data.target)[list(data.features)].mean().round(2)
    run.table("Mean of each measurement by class", means)
    names = list(data.features)[:4]
    figure = Figure(figsize=(2.2 * len(names), 2.2 * len(names)))
    axes = np.atleast_2d(figure.subplots(len(names), len(names)))
    for row, down in enumerate(names):
        for col, across in enumerate(names):
            _pair(axes[row, col], data.train, data.target, across, down)
            if row == len(names) - 1:
                axes[row, col].set_xlabel(across)
            if col == 0:
                axes[row, col].set_ylabel(down)
    figure.tight_layout()
    run.figure("Every pair of measurements", figure, "Training part, one colour a class.")


def held_out(model: TabularModel, data: TableSplit, run: Run) -> None:
    """Confusion matrix on the test part, and the regions of the model in two measurements."""
    figure = Figure(figsize=(4.5, 4))
    chances = model.estimator.predict_proba(model.schema.conform(data.test))
    answers = np.asarray(model.classes)[model.decide(chances)]
    ConfusionMatrixDisplay.from_predictions(
        data.test[data.target], answers, ax=figure.subplots(), colorbar=False, cmap="Blues"
    )
    run.figure("Confusion matrix", figure, "Hold-out: true class down, answer across.")
    caption = "The chosen classifier refitted on two measurements; dots are training rows."
    run.figure("Decision regions", _regions(model, data), caption)


def _pair(axis: object, rows: pd.DataFrame, target: str, across: str, down: str) -> None:
    for colour, (name, group) in zip(COLOURS, rows.groupby(target), strict=False):
        if across == down:
            axis.hist(group[across], color=colour, alpha=0.6, bins=12, label=str(name))  # type: ignore[attr-defined]
        else:
            axis.scatter(group[across], group[down], s=8, color=colour, label=str(name))  # type: ignore[attr-defined]


def _regions(model: TabularModel, data: TableSplit) -> Figure:
    """The chosen classifier on two measurements, the only number of them that can be drawn."""
    groups = data.X.groupby(data.y)
    ratio = groups.mean().var() / groups.var().mean()
    across, down = ratio.sort_values(ascending=False).index[:2]
    flat = clone(model.estimator).fit(data.X[[across, down]].to_numpy(), data.y)
    grid = [
        np.linspace(data.X[name].min() - 0.5, data.X[name].max() + 0.5, 200)
        for name in (across, down)
    ]
    x, y = np.meshgrid(*grid)
    codes = model.decide(flat.predict_proba(np.column_stack([x.ravel(), y.ravel()])))
    figure = Figure(figsize=(5.5, 4))
    axis = figure.subplots()
    levels, colours = np.arange(-0.5, len(model.classes)), COLOURS[: len(model.classes)]
    axis.contourf(x, y, codes.reshape(x.shape), levels=levels, colors=colours, alpha=0.25)
    _pair(axis, data.train, data.target, across, down)
    axis.set(xlabel=across, ylabel=down)
    axis.legend(fontsize=8)
    return figure
