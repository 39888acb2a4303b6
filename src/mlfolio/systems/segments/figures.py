"""The pictures of segments: the columns, the evidence for k, the segments in a plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from mlfolio.core.run import Run

from .choose import Evidence
from .clusters import Floats, Scale, mixture_of

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
POINTS = "points.csv"  # customers of the run, for its page
MOST_POINTS = 1000


def look(rows: pd.DataFrame, run: Run) -> None:
    """How each column of numbers is distributed, and how they go together."""
    numbers = rows.select_dtypes("number")
    shown = list(numbers)[:8]
    figure = Figure(figsize=(2.4 * len(shown), 2.2), layout="constrained")
    for axis, column in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        axis.hist(numbers[column].dropna(), bins=20, color="#0072b2")
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
        axis.errorbar(table.index, table[column], yerr=error, marker="o", color="#0072b2")
        axis.axvline(k, color="#d55e00", linewidth=1)
        axis.set_title(f"{criterion}: {vote}", fontsize=10)
        axis.set_xlabel("k")
    run.figure("How many segments", figure, said)
    run.table("Evidence for each k", table.round(4), said)


def mixtures(points: Floats, max_k: int, seed: int, run: Run) -> int:
    """BIC of Gaussian mixtures of 1 to `max_k` components; returns the best number of them."""
    found = {k: mixture_of(points, k, seed).bic(points) for k in range(1, max_k + 1)}
    table = pd.DataFrame({"BIC": found}).rename_axis("components")
    best = min(found, key=found.__getitem__)
    run.table("Gaussian mixtures", table.round(1), f"The least BIC is the best: {best} components.")
    return best


def keep_points(values: pd.DataFrame, names: list[str], run: Run) -> None:
    """Keeps at most a thousand customers with the names of their segments for the page."""
    points = values.assign(segment=names)
    if len(points) > MOST_POINTS:
        points = points.sample(MOST_POINTS, random_state=run.seed)
    points.to_csv(run.folder / POINTS, index=False)


def plane(points: Floats, names: pd.Series, columns: list[str], run: Run) -> None:
    """The customers in the plane in which they differ most, with the columns as arrows."""
    pca = PCA(2).fit(points)
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axis = figure.subplots()
    _scatter(axis, pca.transform(points), names)
    for column, (x, y) in zip(columns, 2 * pca.components_.T, strict=True):
        axis.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->"})
        axis.text(1.1 * x, 1.1 * y, column, fontsize=8, ha="center")
    share = pca.explained_variance_ratio_
    axis.set(xlabel=f"first component ({share[0]:.0%})", ylabel=f"second ({share[1]:.0%})")
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    said = f"Principal components; they show {share.sum():.0%} of the variance."
    run.figure("The segments in a plane", figure, said)


def among(points: pd.DataFrame, row: Mapping[str, Any], scale: Scale) -> Figure:
    """A customer as a star among those of the run.

    Two columns are drawn as they are, more as their two principal components.

    Args:
        points: Customers of the run, the name of the segment in the last column.
        row: The customer.
        scale: What makes points of customers.
    """
    columns, names = list(points.columns[:-1]), points.iloc[:, -1]
    values, star = points[columns].to_numpy(dtype=float), np.array([[row[c] for c in columns]])
    across, down = columns[:2]
    if len(columns) > 2:
        pca = PCA(2).fit(scale.apply(values))
        values, star = (pca.transform(scale.apply(each)) for each in (values, star))
        across, down = "first principal component", "second"
    figure = Figure(figsize=(5, 4), layout="constrained")
    axis = figure.subplots()
    _scatter(axis, values, names)
    axis.plot(*star[0], marker="*", markersize=18, color="black", linestyle="none")
    axis.set(xlabel=across, ylabel=down)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    return figure


def _scatter(axis: Axes, places: Floats, names: pd.Series) -> None:
    for number, name in enumerate(sorted(names.unique())):
        colour = COLOURS[number % len(COLOURS)]
        here = places[(names == name).to_numpy()]
        axis.scatter(here[:, 0], here[:, 1], s=10, color=colour, label=name)
