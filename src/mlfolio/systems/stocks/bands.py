"""How far off a forecast may be: conformal bands around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlfolio.parts.conformal import conformal_quantile

from .bars import Floats

PACE = 0.005  # of the adaptive band, as its authors have it


@dataclass(frozen=True)
class Band:
    """Errors of days that the net did not learn from.

    Divided by the volatility that was expected of the day, they are about equally large in calm
    and in wild times: normalised conformal prediction (see `parts.conformal`).

    Attributes:
        errors: Move minus forecast, in units of volatility, sorted, shape (n,).
    """

    errors: Floats

    @classmethod
    def of(cls, moves: Floats, said: Floats) -> Band:
        """From moves and what was said of them, each of shape (n,)."""
        return cls(np.sort(moves - said))

    def reach(self, level: float) -> float:
        """Half the width of the band, in units of volatility, for a share of days to cover."""
        return conformal_quantile(np.abs(self.errors), level)

    def above(self, moves: Floats) -> Floats:
        """The chance that the next move is above nought, for forecasts of shape (n,).

        The share of errors that would make it so: a conformal predictive distribution (Vovk et
        al., 2017, Nonparametric predictive distributions).
        """
        n = len(self.errors)
        found: Floats = (n - np.searchsorted(self.errors, -moves, side="right") + 0.5) / (n + 1)
        return found


def adaptive_reaches(sizes: Floats, outcomes: Floats, level: float) -> Floats:
    """Half widths that widen after each miss and narrow a little after each hit, shape (n,).

    Gibbs and Candès (2021), Adaptive conformal inference under distribution shift: each day's
    level rests on how the days before it went.

    Args:
        sizes: Absolute errors of the calibration days, in units of volatility, shape (m,).
        outcomes: Absolute errors of the days in question, in their order, shape (n,).
        level: Share of days to cover.
    """
    ordered, miss = np.sort(sizes), 1 - level
    found = np.zeros(len(outcomes))
    for day, outcome in enumerate(outcomes):
        rank = int(np.ceil((len(ordered) + 1) * (1 - miss)))
        found[day] = ordered[np.clip(rank, 1, len(ordered)) - 1]
        miss += PACE * ((1 - level) - (outcome > found[day]))
    return found
