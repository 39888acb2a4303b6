"""The pictures of segments: the columns, the evidence for k, the segments in a plane."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from mlfolio.core.run import Run
from mlfolio.parts.tabular.star import COLOURS

from .choose import Evidence
from .clusters import Floats

BLUE, ORANGE = COLOURS[0], COLOURS[5]


def look(rows: pd.DataFrame, run: Run) -> None:
    """How each column of numbers is distributed, and how they go together."""
    numbers = rows.select_dtypes("number")
    shown = list(numbers)[:8]
    figure = Figure(figsize=(2.4 * len(shown), 2.2), layout="constrained")
    for axis, column in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        axis.hist(numbers[column].dropna(), bins=20, color=BLUE)
        axis.set_title(column, fontsize=9)
    run.figure("The columns", figure, "All customers.")
    run.table("Rank correlations", numbers.corr(method="spearman").round(2))


def evidence(found: Evidence, k: int, said: str, run: Run) -> None:
    """The four criteria for every number of segments; the line is the number that was taken."""
    figure = Figure(figsize=(12, 2.8), layout="constrained")
    table = found.table
    for axis, (criterion, vote) in zip(figure.subplots(1, 4), found.votes.items(), strict=True):
        column = "inertia" if criterion == "elbow" else criterion
        error = table["gap error"] if criterion == "gap" else None
        axis.errorbar(table.index, table[column], yerr=error, marker="o", color=BLUE)
        axis.axvline(k, color=ORANGE, linewidth=1)
        axis.set_title(f"{criterion}: {vote}", fontsize=10)
        axis.set_xlabel("k")
    run.figure("How many segments", figure, said)
    run.table("Evidence for each k", table.round(4), said)


def plane(points: Floats, names: pd.Series, columns: list[str], run: Run) -> None:
    """The customers in the plane in which they differ most, with the columns as arrows."""
    pca = PCA(2).fit(points)
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axis = figure.subplots()
    for number, name in enumerate(sorted(names.unique())):
        here = pca.transform(points[(names == name).to_numpy()])
        colour = COLOURS[number % len(COLOURS)]
        axis.scatter(here[:, 0], here[:, 1], s=10, color=colour, label=name)
    for column, (x, y) in zip(columns, 2 * pca.components_.T, strict=True):
        axis.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->"})
        axis.text(1.1 * x, 1.1 * y, column, fontsize=8, ha="center")
    share = pca.explained_variance_ratio_
    axis.set(xlabel=f"first component ({share[0]:.0%})", ylabel=f"second ({share[1]:.0%})")
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    said = f"Principal components; they show {share.sum():.0%} of the variance."
    run.figure("The segments in a plane", figure, said)
