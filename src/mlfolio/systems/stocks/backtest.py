"""What forecasts would have been worth to somebody who followed them, after costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.score import Score
from mlfolio.parts.stats import grouped_score

from .bars import Floats
from .rivals import BOOST, LINEAR, LSTM
from .walk import Walk
from .windows import Panel, Rows

HOLD, COIN = "buy and hold", "coin"
YEAR = 252  # trading days
BLOCK = 20  # days that the bootstrap draws together: what moves one day moves the next


@dataclass(frozen=True)
class Account:
    """What became of one unit of money, shared equally among the tickers each day.

    Attributes:
        returns: Of each day, after costs, by date.
        turnover: Share of the money that was moved on each day, by date.
    """

    returns: pd.Series
    turnover: pd.Series

    @property
    def facts(self) -> dict[str, float]:
        """Return, risk and costs, in a year."""
        wealth = (1 + self.returns).cumprod()
        return {
            "return a year": float(wealth.iloc[-1] ** (YEAR / len(wealth)) - 1),
            "volatility": float(self.returns.std() * np.sqrt(YEAR)),
            "Sharpe ratio": sharpe(*self.sums),
            "worst drawdown": float((wealth / wealth.cummax().clip(lower=1) - 1).min()),
            "turnover a year": float(self.turnover.mean() * YEAR),
        }

    @property
    def sums(self) -> tuple[float, float, float]:
        """What `sharpe` takes."""
        return len(self.returns), float(self.returns.sum()), float((self.returns**2).sum())


def sharpe(days: float, total: float, squares: float) -> float:
    """Mean return over its standard deviation, in a year (Sharpe, 1994), cash at nought.

    Args:
        days: How many.
        total: Sum of the daily returns.
        squares: Sum of their squares.
    """
    mean = total / days
    variance = squares / days - mean**2
    return float(np.sqrt(YEAR) * mean / np.sqrt(variance)) if variance > 1e-18 else 0.0


def accounts(panel: Panel, walk: Walk, cost_bps: float, seed: int) -> dict[str, Account]:
    """Those who hold a ticker for a day when a forecast is above its price, and nothing else.

    Args:
        panel: All rows.
        walk: What was said.
        cost_bps: What each change costs, in hundredths of a percent of the money moved.
        seed: Of the coin.
    """
    rows = walk.rows
    coin = np.random.default_rng(seed).random(len(rows)) < 0.5
    held = {name: walk.closes[name] > panel.last[rows] for name in (LSTM, LINEAR, BOOST)}
    held |= {HOLD: np.ones(len(rows), dtype=bool), COIN: coin}
    moves = panel.truth[rows] / panel.last[rows] - 1
    return {
        name: trade(panel.dates[rows], panel.series[rows], each, moves, cost_bps)
        for name, each in held.items()
    }


def trade(
    dates: NDArray[np.datetime64], series: Rows, held: NDArray[np.bool_], moves: Floats,
    cost_bps: float,
) -> Account:  # fmt: skip
    """An account that holds tickers on some days.

    Args:
        dates: Of each row, shape (n,).
        series: Whose row it is, shape (n,).
        held: Whether the ticker is held on that day, shape (n,).
        moves: Simple return of the day, shape (n,).
        cost_bps: As in `accounts`.
    """

    def wide(values: Floats) -> pd.DataFrame:  # a row a day, a column a ticker
        table = pd.DataFrame({"date": dates, "series": series, "value": values})
        return table.pivot_table(index="date", columns="series", values="value")

    now, move = wide(held.astype(float)), wide(moves)
    # Over a day on which only others trade a ticker is kept, not bought again.
    before = now.ffill().fillna(0.0).shift(1, fill_value=0.0)
    changes = (now - before).abs()
    gains = now * move - changes * cost_bps / 1e4
    return Account(gains.mean(axis=1), changes.mean(axis=1))


def sharpe_score(found: Mapping[str, Account], protocol: str, seed: int) -> Score:
    """The Sharpe ratio of the net's account beside a coin's and buy-and-hold."""

    def columns(account: Account) -> list[Floats]:
        returns = account.returns.to_numpy()
        return [np.ones(len(returns)), returns, returns**2]

    return grouped_score(
        "Sharpe ratio after costs", sharpe, {name: columns(each) for name, each in found.items()},
        LSTM, np.arange(len(found[LSTM].returns)) // BLOCK, trivial=COIN, strong=HOLD,
        protocol=protocol, seed=seed,
    )  # fmt: skip
