"""Walk-forward evaluation: learn from the past, answer the stretch that follows, learn anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mlfolio.core.run import Run
from mlfolio.parts.conformal import conformal_quantile
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.training import Recipe

from .bands import Band, adaptive_reaches
from .bars import Floats
from .net import Forecaster, fit_net
from .rivals import LSTM, forecasts
from .windows import Panel, Rows

MEASURED = 0.4  # share of the days that is answered, the last ones
HELD_OUT = 0.15  # share of what is known that says when to stop and how far off answers are
PURGE = 5  # days between parts, so that no part ends in the middle of what the next begins with
NORMALISED, CONSTANT, ADAPTIVE = "normalised", "constant width", "adaptive (ACI)"


class Learned(NamedTuple):
    """What a fit gives."""

    forecaster: Forecaster
    band: Band
    history: History


@dataclass(frozen=True)
class Learner:
    """How a model is made from the rows that are known.

    Attributes:
        window: Days that the net reads.
        hidden: Its width.
        recipe: How it learns.
    """

    window: int
    hidden: int
    recipe: Recipe

    def learn(self, panel: Panel, known: Rows, run: Run, name: str) -> Learned:
        """Trains on the earlier rows; the later ones say when to stop and how far off it is."""
        seen, unseen = part_by_time(panel, known)
        forecaster, history = fit_net(
            panel, seen, unseen, self.window, self.hidden, self.recipe, run, name
        )
        said = forecaster.moves(panel.features, panel.ends[unseen])
        return Learned(forecaster, Band.of(panel.moves[unseen], said), history)


def part_by_time(panel: Panel, known: Rows) -> tuple[Rows, Rows]:
    """The earlier rows and the last 15 % of the days, with a gap between them."""
    days = np.unique(panel.dates[known])
    start = int(len(days) * (1 - HELD_OUT))
    dates = panel.dates[known]
    return known[dates < days[start - PURGE]], known[dates >= days[start]]


def stretches(panel: Panel, folds: int) -> Iterator[tuple[Rows, Rows]]:
    """For each stretch of days the rows that are known before it, and its own."""
    days = np.unique(panel.dates)
    bounds = np.linspace(int(len(days) * (1 - MEASURED)), len(days), folds + 1).astype(int)
    for start, end in pairwise(bounds):
        inside = (panel.dates >= days[start]) & (panel.dates <= days[end - 1])
        yield np.flatnonzero(panel.dates < days[start - PURGE]), np.flatnonzero(inside)


@dataclass
class Walk:
    """What was said of each row that was answered.

    Attributes:
        rows: Their places in the panel, shape (n,).
        closes: The next close by each model.
        bands: Lower and upper ends by each kind of band, shape (n, 2).
        usual: Mean absolute log-return of the row's series before its stretch: MASE's unit.
        chances: Of a rise, by the model.
    """

    rows: Rows
    closes: dict[str, Floats] = field(default_factory=dict)
    bands: dict[str, Floats] = field(default_factory=dict)
    usual: Floats = field(default_factory=lambda: np.zeros(0))
    chances: Floats = field(default_factory=lambda: np.zeros(0))


def walk(panel: Panel, learner: Learner, folds: int, level: float, run: Run, name: str) -> Walk:
    """Answers the last two fifths of the days, each stretch by what was learned before it.

    Args:
        panel: All rows.
        learner: How a model is made.
        folds: Number of stretches.
        level: Share of days that the bands are to cover.
        run: Whose.
        name: What the trainings are called.
    """
    parts = [
        _answer(panel, learner, known, asked, level, run, f"{name} {number}")
        for number, (known, asked) in enumerate(stretches(panel, folds), start=1)
    ]

    def joined(key: str) -> Floats:
        return np.concatenate([getattr(part, key) for part in parts])

    found = Walk(
        rows=np.concatenate([part.rows for part in parts]),
        usual=joined("usual"),
        chances=joined("chances"),
    )
    for key in ("closes", "bands"):
        for who in getattr(parts[0], key):
            getattr(found, key)[who] = np.concatenate([getattr(p, key)[who] for p in parts])
    return found


def _answer(
    panel: Panel, learner: Learner, known: Rows, asked: Rows, level: float, run: Run, name: str
) -> Walk:
    """One stretch."""
    forecaster, band, _ = learner.learn(panel, known, run, name)
    seen, unseen = part_by_time(panel, known)
    said = forecaster.moves(panel.features, panel.ends[asked])
    found = Walk(asked)
    found.closes = {LSTM: panel.prices(said, asked)}
    found.closes |= forecasts(panel, seen, unseen, asked, run.seed)
    found.usual = _usual_moves(panel, known)[panel.series[asked]]
    found.chances = band.above(said)
    found.bands = _bands(panel, forecaster, band, unseen, asked, said, level)
    return found


def _usual_moves(panel: Panel, known: Rows) -> Floats:
    """Of each series its mean absolute log-return; that of all where a series begins later."""
    moves, owner = np.abs(panel.moves * panel.unit)[known], panel.series[known]
    days = np.bincount(owner, minlength=len(panel.names))
    sums = np.bincount(owner, moves, len(panel.names))
    return np.where(days > 0, sums / np.maximum(days, 1), moves.mean())


def _bands(
    panel: Panel, forecaster: Forecaster, band: Band, unseen: Rows, asked: Rows, said: Floats,
    level: float,
) -> dict[str, Floats]:  # fmt: skip
    """The ends of each kind of band around the same forecasts."""
    reaches = {NORMALISED: np.full(len(asked), band.reach(level))}
    before = forecaster.moves(panel.features, panel.ends[unseen])
    plain = np.abs(panel.moves[unseen] - before) * panel.unit[unseen]
    reaches[CONSTANT] = conformal_quantile(plain, level) / panel.unit[asked]
    reaches[ADAPTIVE] = np.zeros(len(asked))
    off = np.abs(panel.moves[asked] - said)
    for series in np.unique(panel.series[asked]):
        mine = panel.series[asked] == series
        reaches[ADAPTIVE][mine] = adaptive_reaches(np.abs(band.errors), off[mine], level)
    return {
        name: np.column_stack([panel.prices(said + side * reach, asked) for side in (-1, 1)])
        for name, reach in reaches.items()
    }
