"""Made-up prices: some that nobody can foretell, and some that can be."""

from __future__ import annotations

import numpy as np

from .bars import Bars, Floats

CYCLE = 20  # trading days of the wave in the series that can be foretold
SWING, NOISE = 0.06, 0.006  # of its logarithm: the height of the wave, and what chance adds


def unforeseeable(days: int, seed: int = 0) -> Bars:
    """A price whose next move is chance, wild and calm by turns as real ones are.

    Returns follow a GARCH(1,1) process (Bollerslev, 1986) with tails as of Student's t with five
    degrees of freedom.

    Args:
        days: Trading days.
        seed: Seed of the chance.
    """
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(5, days) / np.sqrt(5 / 3)
    variance, returns = 0.015**2, np.zeros(days)
    for day in range(days):
        returns[day] = 0.0004 + np.sqrt(variance) * shocks[day]
        variance = 0.05 * 0.015**2 + 0.08 * returns[day] ** 2 + 0.87 * variance
    return _around(50 * np.exp(np.cumsum(returns)), rng)


def foreseeable(days: int, seed: int = 0) -> tuple[Bars, Floats]:
    """A price that swings in about 20 days, steeply down and slowly up, and a little by chance.

    Args:
        days: Trading days.
        seed: Seed of the chance.

    Returns:
        The series, and of each day what the next close would be without its chance: no forecast
        can be nearer to the truth, on average.
    """
    rng = np.random.default_rng(seed)
    phase = np.cumsum(rng.normal(1, 0.1, days + 1)) / CYCLE  # the cycle is not quite regular
    height = SWING * (1 + 0.3 * np.sin(2 * np.pi * np.arange(days + 1) / 250))
    wave = height * (np.sin(2 * np.pi * phase) + 0.5 * np.sin(4 * np.pi * phase))
    chance = rng.normal(0, NOISE, days + 1)
    close = 50 * np.exp(wave + chance)
    return _around(close[:-1], rng), 50 * np.exp(wave[1:])


def _around(close: Floats, rng: np.random.Generator) -> Bars:
    """Openings, ranges and volumes that go with closes."""
    days = len(close)
    opened = np.concatenate([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.003, days))
    reach = np.exp(np.abs(rng.normal(0, 0.005, (2, days))))
    low, high = np.minimum(opened, close) / reach[0], np.maximum(opened, close) * reach[1]
    moves = np.abs(np.log(close / opened))
    volume = np.round(np.exp(rng.normal(14, 0.3, days) + 10 * moves))
    first = np.datetime64("2010-01-04")
    dates = np.busday_offset(first, np.arange(days), roll="forward").astype("datetime64[D]")
    return Bars(dates, opened, high, low, close, volume)
