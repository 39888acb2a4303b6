"""Conformal prediction: intervals hold as often as they say, and alarms are as rare as they say."""

from __future__ import annotations

import numpy as np
import pytest

from mlfolio.parts.conformal import Spread, conformal_quantile, p_values


def test_the_conformal_quantile_counts_the_new_row() -> None:
    scores = np.arange(1, 10, dtype=float)  # with one more there are ten places
    assert conformal_quantile(scores, 0.8) == 8
    assert conformal_quantile(scores, 0.81) == 9
    assert conformal_quantile(scores, 0.99) == 9, "too few rows: the widest there is"


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_intervals_hold_as_often_as_they_say_and_are_as_wide_as_they_must(level: float) -> None:
    rng = np.random.default_rng(0)
    M = rng.uniform(0, 1, (4_000, 2))
    errors = rng.normal(0, np.where(M[:, 0] < 0.5, 1, 4))  # half of the rows are hard
    spread = Spread().fit(M[:2_000], errors[:2_000])

    half = spread.half_widths(M[2_000:], level)

    assert (np.abs(errors[2_000:]) <= half).mean() == pytest.approx(level, abs=0.03)
    easy, hard = (half[M[2_000:, 0] < 0.5].mean(), half[M[2_000:, 0] >= 0.5].mean())
    assert hard > 2.5 * easy


def test_p_values_count_the_new_row() -> None:
    usual = np.arange(1, 10, dtype=float)
    assert p_values(usual, np.array([0.5, 5, 9, 99])).tolist() == [1, 0.6, 0.2, 0.1]


def test_ordinary_rows_are_seldom_strange() -> None:
    rng = np.random.default_rng(0)
    found = p_values(np.sort(rng.exponential(size=999)), rng.exponential(size=20_000))
    assert (found <= 0.05).mean() == pytest.approx(0.05, abs=0.02)
