"""Days as candles with their forecast bands: what the page and the report show."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .bars import Bars

UP, DOWN, BAND, LINE = "#0072b2", "#d55e00", "#56b4e9", "#333333"
SHOWN = 60  # days


def candles(bars: Bars, bands: pd.DataFrame, title: str) -> Figure:
    """The last days as candles, with the band that was forecast for each from the day before.

    Args:
        bars: Prices.
        bands: Columns `forecast`, `low` and `high` of the last days and of the one to come.
        title: Of the figure.
    """
    shown = bars.last(min(SHOWN, len(bars)))
    days = np.arange(len(shown))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axis = figure.subplots()
    ahead = np.arange(len(shown) + 1 - len(bands), len(shown) + 1)
    axis.fill_between(
        ahead, bands["low"], bands["high"], color=BAND, alpha=0.35, step="mid", linewidth=0,
        label="forecast band",
    )  # fmt: skip
    rose = shown.close >= shown.open
    colours = np.where(rose, UP, DOWN)
    axis.vlines(days, shown.low, shown.high, color=colours, linewidth=1)
    body = np.maximum(np.abs(shown.close - shown.open), 1e-3 * (shown.high - shown.low))
    axis.bar(days, body, 0.6, bottom=np.minimum(shown.open, shown.close), color=colours)
    last = bands.iloc[-1]
    off = [[last["forecast"] - last["low"]], [last["high"] - last["forecast"]]]
    axis.errorbar(
        ahead[-1:], [last["forecast"]], yerr=off, fmt="D", color=LINE, capsize=4,
        label="the next day",
    )  # fmt: skip
    ticks = days[:: max(1, len(days) // 6)]
    axis.set_xticks(ticks, [str(shown.dates[tick]) for tick in ticks])
    axis.set_ylabel("price")
    axis.set_title(title, parse_math=False)  # a file's name
    axis.legend(loc="upper left")
    return figure
