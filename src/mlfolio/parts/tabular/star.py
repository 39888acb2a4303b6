"""A row as a star among those that a model was fitted on: what a page shows beside an answer."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mlfolio.core.run import Run
from mlfolio.report.words import png_url

POINTS = "points.csv"  # in the run's folder, because a model holds no data
MOST = 1000  # rows that are kept
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")


def keep_points(rows: pd.DataFrame, groups: Sequence[Any], run: Run) -> None:
    """Keeps rows, a thousand at most, for the page of a run.

    Args:
        rows: Columns of numbers, shape (n, columns).
        groups: The name of each row's group, shape (n,).
        run: Keeps them in its folder.
    """
    points = rows.assign(**{"the group": pd.Series(groups, index=rows.index)})
    if len(points) > MOST:
        points = points.sample(MOST, random_state=run.seed)
    points.to_csv(run.folder / POINTS, index=False)


def star(run: Path, row: Mapping[str, Any], alt: str) -> str:
    """A picture of a row among those of a run, as HTML; empty if the row lacks a number.

    Args:
        run: The run's folder.
        row: The row, by column.
        alt: What the picture shows.
    """
    if not (run / POINTS).is_file():
        return ""
    points = pd.read_csv(run / POINTS)
    if any(not isinstance(row.get(name), int | float) for name in points.columns[:-1]):
        return ""
    buffer = io.BytesIO()
    _draw(points.iloc[:, :-1], points.iloc[:, -1].astype(str), row).savefig(buffer, dpi=110)
    return f'<img alt="{alt}" src="{png_url(buffer.getvalue())}">'


def _draw(rows: pd.DataFrame, groups: pd.Series, row: Mapping[str, Any]) -> Figure:
    """The rows and the star in the two columns in which the groups differ most."""
    parted = rows.groupby(groups)
    ratio = parted.mean().var() / parted.var().mean()
    across, down = ratio.sort_values(ascending=False).index[:2]
    figure = Figure(figsize=(5, 4), layout="constrained")
    axis = figure.subplots()
    for number, (name, group) in enumerate(parted):
        colour = COLOURS[number % len(COLOURS)]
        axis.scatter(group[across], group[down], s=8, color=colour, label=name)
    axis.plot(row[across], row[down], marker="*", markersize=18, color="black", linestyle="none")
    axis.set(xlabel=across, ylabel=down)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    return figure
