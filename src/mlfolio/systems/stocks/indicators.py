"""What is computed of a series up to a day, and of no later day (a test shifts the future).

All take and give arrays of one value a day, shape (days,); where an indicator needs more days than
there have been it begins with what there is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .bars import Bars

Floats = NDArray[np.float64]

FEATURES = (
    "return", "above 7-day mean", "above 30-day mean", "RSI", "MACD", "range", "opening gap",
    "volume", "volatility",
)  # fmt: skip
WARM_UP = 100  # days after which the beginning of a series has no say in its indicators any more
CALM = 1e-4  # a day's volatility is taken as no less
DECAY = 0.94  # of the volatility, as RiskMetrics (1996) has it


def log_returns(close: Floats) -> Floats:
    """Logarithm of each close over the one before; nought on the first day."""
    return np.diff(np.log(close), prepend=np.log(close[0]))


def moving_average(values: Floats, days: int) -> Floats:
    """The mean of the last days, today's included."""
    return pd.Series(values).rolling(days, min_periods=1).mean().to_numpy()


def exponential_average(values: Floats, weight: float) -> Floats:
    """Today's value by its weight and yesterday's average by the rest, in (0, 1]."""
    return pd.Series(values).ewm(alpha=weight, adjust=False).mean().to_numpy()


def rsi(close: Floats, days: int = 14) -> Floats:
    """Relative strength index, 0 to 100; 50 where nothing moved.

    Wilder (1978), New concepts in technical trading systems: the first average is a plain one of
    that many changes, later ones are smoothed with a weight of 1 / days.
    """
    change = np.diff(close)
    up, down = (_wilder(np.maximum(side * change, 0.0), days) for side in (1, -1))
    both = up + down
    strength = np.divide(up, both, out=np.full_like(both, 0.5), where=both > 0)
    return np.concatenate([[50.0], 100 * strength])


def _wilder(moves: Floats, days: int) -> Floats:
    means = moving_average(moves, days)
    start = moves[days - 1 :].copy()
    if len(start):
        start[0] = means[days - 1]
        means[days - 1 :] = exponential_average(start, 1 / days)
    return means


def macd(close: Floats, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[Floats, Floats]:
    """MACD line and its signal line, in the unit of the price (Appel, 2005)."""
    line = exponential_average(close, 2 / (fast + 1)) - exponential_average(close, 2 / (slow + 1))
    return line, exponential_average(line, 2 / (signal + 1))


def volatility(returns: Floats) -> Floats:
    """Standard deviation to be expected of the next day's return.

    The exponentially weighted one of RiskMetrics (1996), with a mean of nought.
    """
    squares = exponential_average(returns**2, 1 - DECAY)
    return np.maximum(np.sqrt(squares), CALM)


def features(bars: Bars) -> Floats:
    """All features of each day, shape (days, features); none depends on the price's unit.

    Moves are in units of the volatility, so calm and wild years look alike.
    """
    close, returns = bars.close, log_returns(bars.close)
    unit = volatility(returns)
    before = np.concatenate([close[:1], close[:-1]])
    line, signal = macd(close)
    usual = moving_average(bars.volume, 30)
    columns = (
        returns / unit,
        np.log(close / moving_average(close, 7)) / unit,
        np.log(close / moving_average(close, 30)) / unit,
        (rsi(close) - 50) / 50,
        (line - signal) / close / unit,
        np.log(bars.high / bars.low) / unit,
        np.log(bars.open / before) / unit,
        np.log((bars.volume + 1) / (usual + 1)),
        np.log(unit),
    )
    return np.column_stack(columns)
