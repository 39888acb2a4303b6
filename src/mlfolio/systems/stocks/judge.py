"""What the forecasts were worth: errors, directions and bands beside those of the rivals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mlfolio.core.card import Direction
from mlfolio.core.score import Baseline, Score
from mlfolio.parts.stats import grouped_score
from mlfolio.report.words import interval, number

from .backtest import BLOCK
from .bars import Floats, rounded
from .rivals import BOOST, LAST, LINEAR, LSTM, SEASON
from .walk import ADAPTIVE, CONSTANT, NORMALISED, Walk
from .windows import Panel

UP = "always up"
RMSE, MAE, MASE, DIRECTION = "relative RMSE", "relative MAE", "MASE", "direction accuracy"
COVERAGE, WIDTH = "interval coverage", "relative interval width"
PROTOCOL = (
    "walk-forward: {folds} stretches of the last two fifths of the days, the whole of fit repeated "
    "on the days before each; intervals by bootstrap over blocks of 20 days"
)


class DieboldMariano(NamedTuple):
    """Whether one forecast is better than another.

    Attributes:
        statistic: Below nought where the first one's losses are smaller.
        p: Two-sided.
    """

    statistic: float
    p: float


def diebold_mariano(mine: NDArray[Any], theirs: NDArray[Any]) -> DieboldMariano:
    """Diebold and Mariano (1995), Comparing predictive accuracy, for forecasts of one day ahead.

    The variance is that of Newey and West (1987), with the correction and the t distribution of
    Harvey, Leybourne and Newbold (1997).

    Args:
        mine: Loss of each day, shape (days,).
        theirs: Likewise.
    """
    gaps = mine - theirs
    n, centred = len(gaps), gaps - gaps.mean()
    lags = int(4 * (n / 100) ** (2 / 9))
    variance = centred @ centred / n
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / n
    if variance <= 0:
        return DieboldMariano(0.0, 1.0)
    statistic = float(gaps.mean() / np.sqrt(variance / n) * np.sqrt((n - 1) / n))
    return DieboldMariano(statistic, float(2 * stats.t.sf(abs(statistic), n - 1)))


class Judge:
    """Measures one walk.

    Args:
        panel: All rows.
        walk: What was said of some.
        protocol: How.
        seed: Of the bootstrap.
    """

    def __init__(self, panel: Panel, walk: Walk, protocol: str, seed: int) -> None:
        self.panel, self.walk, self.seed = panel, walk, seed
        self.protocol = protocol
        self.truth, self.last = panel.truth[walk.rows], panel.last[walk.rows]
        days = np.unique(panel.dates[walk.rows], return_inverse=True)[1]
        self.blocks = days // BLOCK
        self.off = {name: close / self.truth - 1 for name, close in walk.closes.items()}

    def errors(self) -> list[Score]:
        """Of the price, relative to it."""
        ones = np.ones(len(self.truth))
        return [
            self._score(RMSE, _root, {k: [off**2, ones] for k, off in self.off.items()}),
            self._score(MAE, _mean, {k: [np.abs(off), ones] for k, off in self.off.items()}),
            self.mase(MASE, LAST),
        ]

    def mase(self, name: str, strong: str) -> Score:
        """Errors over those of copying in the days before (Hyndman and Koehler, 2006).

        Of logarithms: a price that rose a hundredfold has no usual error in its own unit.
        """
        ones = np.ones(len(self.truth))
        sizes = {k: np.abs(np.log1p(off)) / self.walk.usual for k, off in self.off.items()}
        return self._score(name, _mean, {k: [v, ones] for k, v in sizes.items()}, strong)

    def direction(self) -> Score:
        """How often the price went where it was said to go, on days when it moved."""
        moved = self.truth != self.last
        rose = (self.truth > self.last)[moved]
        right = {UP: rose}
        for name in (LSTM, LINEAR, BOOST, SEASON):
            right[name] = (self.walk.closes[name] > self.last)[moved] == rose
        ones = np.ones(len(rose))
        columns = {name: [hits.astype(float), ones] for name, hits in right.items()}
        return self._score(DIRECTION, _mean, columns, BOOST, UP, "higher", self.blocks[moved])

    def bands(self, level: float) -> list[Score]:
        """How often the bands hold the truth, and how wide they are for that."""
        ones = np.ones(len(self.truth))
        inside = {name: self.inside(name).astype(float) for name in self.walk.bands}
        widths = {name: np.ptp(ends, axis=1) / self.last for name, ends in self.walk.bands.items()}
        protocol = f"{self.protocol}; {level:.0%} asked"
        return [
            grouped_score(
                name, _mean, {kind: [each, ones] for kind, each in values.items()}, NORMALISED,
                self.blocks, trivial=CONSTANT, strong=ADAPTIVE, protocol=protocol,
                direction="higher" if name == COVERAGE else "lower", seed=self.seed,
            )
            for name, values in ((COVERAGE, inside), (WIDTH, widths))
        ]  # fmt: skip

    def inside(self, kind: str) -> NDArray[np.bool_]:
        """Which rows a kind of band covers, shape (n,)."""
        low, high = self.walk.bands[kind].T
        return np.asarray((self.truth >= low) & (self.truth <= high))

    def tests(self) -> dict[str, DieboldMariano]:
        """Each rival against copying, by squared errors, the mean of all tickers for each day."""
        days = self.panel.dates[self.walk.rows]
        daily = {
            k: pd.Series(off**2).groupby(days).mean().to_numpy() for k, off in self.off.items()
        }
        return {
            name: diebold_mariano(each, daily[LAST]) for name, each in daily.items() if name != LAST
        }

    def table(self, level: float) -> pd.DataFrame:
        """Errors by ticker, in the unit of the price and relative to it."""
        table = pd.DataFrame({
            "ticker": np.array(self.panel.names)[self.panel.series[self.walk.rows]],
            "RMSE": (self.walk.closes[LSTM] - self.truth) ** 2,
            "MAE": np.abs(self.walk.closes[LSTM] - self.truth),
            RMSE: self.off[LSTM] ** 2,
            f"{RMSE}, {LAST}": self.off[LAST] ** 2,
            DIRECTION: (self.walk.closes[LSTM] > self.last) == (self.truth > self.last),
            f"covered of {level:.0%}": self.inside(NORMALISED),
        })  # fmt: skip
        found = table.groupby("ticker").mean()
        roots = ["RMSE", RMSE, f"{RMSE}, {LAST}"]
        found[roots] = np.sqrt(found[roots])
        found = found.map(rounded)  # to digits: the unit of a price may be very small
        return found.assign(days=table.groupby("ticker").size())

    def by_year(self, level: float) -> pd.DataFrame:
        """Coverage of each kind of band, year by year: averages hide the wild ones."""
        years = self.panel.dates[self.walk.rows].astype("datetime64[Y]").astype(str)
        inside = pd.DataFrame({name: self.inside(name) for name in self.walk.bands})
        found = inside.groupby(years).mean().assign(days=pd.Series(years).value_counts())
        return found.rename_axis(f"coverage of {level:.0%} in").round(4)

    def _score(
        self, name: str, metric: Callable[..., float], columns: dict[str, list[Floats]],
        strong: str = LAST, trivial: str = SEASON, direction: Direction = "lower",
        blocks: NDArray[np.int64] | None = None,
    ) -> Score:  # fmt: skip
        return grouped_score(
            name, metric, columns, LSTM, self.blocks if blocks is None else blocks,
            trivial=trivial, strong=strong, protocol=self.protocol,
            direction=direction, seed=self.seed,
        )  # fmt: skip


def in_words(rmse: Score, copying: Baseline, test: DieboldMariano, goal: float) -> str:
    """What a small error of the price means, whatever it is.

    Args:
        rmse: The net's.
        copying: That of yesterday's price.
        test: Of the two.
        goal: What the error is promised to be below.
    """
    met = "meets" if copying.value < goal else "does not meet"
    better = "better than" if rmse.value < copying.value else "worse than"
    word = better if copying.differs else "not measurably better or worse than"
    return (
        f"Copying yesterday's price has an RMSE of {copying.value:.3%} of the price, so it "
        f"{met} the target of {goal:.0%} without any model. The LSTM has {rmse.value:.3%}: {word} "
        f"copying (95 % interval of the difference {interval(copying.gain_ci95)}; "
        f"Diebold-Mariano p = {number(test.p, 2)}). A small error of a price says that prices "
        "move little in a day, not that a model knows where they go."
    )


def diebold_table(judge: Judge, tests: dict[str, DieboldMariano]) -> pd.DataFrame:
    """Every model's errors, and whether they are other than copying's."""
    rows = {}
    for name, off in judge.off.items():
        test = tests.get(name)
        rows[name] = {
            RMSE: np.sqrt((off**2).mean()).round(5),
            MAE: np.abs(off).mean().round(5),
            "statistic": "" if test is None else round(test.statistic, 2),
            "p": "" if test is None else round(test.p, 4),
        }
    return pd.DataFrame(rows).T


def _mean(total: float, count: float) -> float:
    return total / count


def _root(total: float, count: float) -> float:
    return float(np.sqrt(total / count))
