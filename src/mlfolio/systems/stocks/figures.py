"""What the report of stocks shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlfolio.core.run import Run

from .backtest import Account
from .bars import Bars, rounded
from .candles import BAND, DOWN, LINE, SHOWN
from .indicators import macd, moving_average, rsi
from .rivals import LSTM
from .walk import NORMALISED, Walk
from .windows import Panel


def describe(series: Mapping[str, Bars], run: Run) -> None:
    """What there is, and the indicators of the first series."""
    facts = {
        name: {
            "days": len(bars),
            "first": str(bars.dates[0]),
            "last": str(bars.dates[-1]),
            "last close": rounded(float(bars.close[-1])),
            "volatility a year": round(float(np.diff(np.log(bars.close)).std() * 252**0.5), 3),
        }
        for name, bars in series.items()
    }
    run.table("Series", pd.DataFrame(facts).T)
    name, bars = next(iter(series.items()))
    run.figure(f"{name} and its indicators", _indicators(bars), "The last two years.")


def _indicators(bars: Bars, days: int = 500) -> Figure:
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(3, 1, 1, 1))
    line, signal = macd(bars.close)
    dates = bars.dates[-days:]
    for values, label in (
        (bars.close, "close"),
        (moving_average(bars.close, 7), "7-day mean"),
        (moving_average(bars.close, 30), "30-day mean"),
    ):
        axes[0].plot(dates, values[-days:], label=label, linewidth=1)
    axes[1].fill_between(dates, bars.volume[-days:], color=BAND)
    axes[2].plot(dates, rsi(bars.close)[-days:], linewidth=1, color=LINE)
    axes[3].plot(dates, line[-days:], linewidth=1, label="line")
    axes[3].plot(dates, signal[-days:], linewidth=1, label="signal")
    for axis, label in zip(axes, ("price", "volume", "RSI", "MACD"), strict=True):
        axis.set_ylabel(label)
    axes[0].legend()
    axes[3].legend()
    return figure


def beside_truth(panel: Panel, found: Walk, run: Run) -> None:
    """What was said of the last days that were answered, of the first series, and what came."""
    mine = np.flatnonzero(panel.series[found.rows] == 0)[-SHOWN:]
    rows = found.rows[mine]
    low, high = found.bands[NORMALISED][mine].T
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    axis.fill_between(panel.dates[rows], low, high, color=BAND, alpha=0.35, label="band")
    axis.plot(panel.dates[rows], panel.truth[rows], color=LINE, marker=".", label="close")
    axis.plot(panel.dates[rows], found.closes[LSTM][mine], color=DOWN, linewidth=1, label=LSTM)
    axis.set_ylabel("price")
    axis.set_title(panel.names[0], parse_math=False)  # a file's name
    axis.legend()
    caption = "Days not learned from. The forecast is the close of a day before, shifted: copying."
    run.figure("Forecast and truth", figure, caption)


def fortunes(found: Mapping[str, Account], cost_bps: float, run: Run) -> None:
    """What became of one unit of money."""
    table = pd.DataFrame({name: account.facts for name, account in found.items()}).T
    run.table(
        "Backtest", table.round(3),
        f"Long where a forecast is above the price, else nothing; {cost_bps:g} basis points for "
        "each change; equal shares of all tickers. Past gains say nothing of later ones.",
    )  # fmt: skip
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    for name, account in found.items():
        wealth = (1 + account.returns).cumprod()
        axis.plot(wealth.index, wealth, label=name, linewidth=1)
    axis.set(ylabel="one unit of money", yscale="log")
    axis.legend()
    run.figure("Backtest beside buy-and-hold", figure, "After costs, on days not learned from.")
