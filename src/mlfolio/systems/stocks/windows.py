"""Windows of days with what came after them, of all series together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bars import Bars, Floats
from .indicators import WARM_UP, features, log_returns, volatility

Rows = NDArray[np.int64]
WIDEST = 5.0  # standard deviations from the mean at which features are cut off


@dataclass(frozen=True)
class Panel:
    """The days of all series, one below the other, and the rows that can be asked about.

    A row is a day on which a forecast of the next is made. What is kept of it from the next day,
    `dates`, `truth` and `moves`, is for training and judging.

    Attributes:
        features: Of each day, shape (days, features).
        ends: Of each row its own day, a place in `features`, shape (n,).
        series: Number of each row's series, shape (n,).
        dates: The next day, whose close is asked for, shape (n,).
        last: The day's close, shape (n,).
        truth: The next close, shape (n,).
        season: The close of the same day of the week before that, shape (n,).
        unit: Volatility that is expected of the next day, shape (n,).
        names: Of the series.
    """

    features: Floats
    ends: Rows
    series: Rows
    dates: NDArray[np.datetime64]
    last: Floats
    truth: Floats
    season: Floats
    unit: Floats
    names: tuple[str, ...]

    @classmethod
    def of(cls, series: Mapping[str, Bars], window: int, season: int = 5) -> Panel:
        """All rows that have a window of days, after a warm-up, and a next day.

        Args:
            series: Prices by ticker.
            window: Days of a window.
            season: Days after which seasonal naive repeats the price.
        """
        found: list[dict[str, Floats | Rows | NDArray[np.datetime64]]] = []
        blocks, above = [], 0
        for number, bars in enumerate(series.values()):
            at = np.arange(WARM_UP + window - 1, len(bars) - 1)
            found.append({
                "ends": above + at,
                "series": np.full(len(at), number),
                "dates": bars.dates[at + 1],
                "last": bars.close[at],
                "truth": bars.close[at + 1],
                "season": bars.close[at + 1 - season],
                "unit": volatility(log_returns(bars.close))[at],
            })  # fmt: skip
            blocks.append(features(bars))
            above += len(bars)
        columns = {key: np.concatenate([part[key] for part in found]) for key in found[0]}
        return cls(np.concatenate(blocks), **columns, names=tuple(series))

    @property
    def everything(self) -> Rows:
        """All rows."""
        return np.arange(len(self.ends))

    @property
    def moves(self) -> Floats:
        """The next day's log-return in units of the volatility, shape (n,): what is learned."""
        found: Floats = np.log(self.truth / self.last) / self.unit
        return found

    def prices(self, moves: Floats, rows: Rows) -> Floats:
        """Closes from moves of some rows."""
        found: Floats = self.last[rows] * np.exp(moves * self.unit[rows])
        return found


@dataclass(frozen=True)
class Scaler:
    """Means and deviations of features, learned from training days.

    Attributes:
        mean: Shape (features,).
        deviation: Likewise.
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, values: Floats) -> Scaler:
        """Learns from days, shape (days, features)."""
        return cls(values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6))

    def __call__(self, values: Floats) -> NDArray[np.float32]:
        """Scaled features, cut off where they are far beyond what training had."""
        scaled = (values - self.mean) / self.deviation
        return np.clip(scaled, -WIDEST, WIDEST).astype(np.float32)
