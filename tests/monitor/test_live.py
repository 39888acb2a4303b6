"""What ends a version that is tried: how often falsely, and how soon where it is worse."""

from __future__ import annotations

import numpy as np
import pytest

from mlfolio.monitor.live import ALPHA, FIRST_JUDGED, Stream, first_fall
from mlfolio.parts.stats import proportion_ci95

MANY = 600  # simulated canaries


def stream(losses: np.ndarray, seed: int) -> Stream:
    rng = np.random.default_rng(seed)
    return Stream(np.sort(rng.random(len(losses))), losses.astype(float))


def falls(
    mine: float, theirs: float, n: int = 2000, share: float = 0.1, paired: bool = False
) -> list[int]:
    """Sizes of the looks at which canaries went that are wrong in so many answers."""
    found = []
    for seed in range(MANY):
        rng = np.random.default_rng(seed)
        canary = int(n * share)
        one = stream(rng.random(canary) < mine, seed)
        beside = rng.random(canary if paired else n - canary) < theirs
        other = Stream(one.times, beside.astype(float)) if paired else stream(beside, seed + MANY)
        if fall := first_fall(one, other, FIRST_JUDGED, ALPHA / 2, paired):
            found.append(len(fall.mine))
    return found


@pytest.mark.parametrize("wrong", [0.02, 0.2, 0.5])
@pytest.mark.parametrize("paired", [False, True])
def test_one_that_is_no_worse_is_hardly_ever_taken_away(wrong: float, paired: bool) -> None:
    """Over its whole life, looked at again and again: half of 5 %, the other half is for errors."""
    false = len(falls(wrong, wrong, share=0.5, paired=paired))
    low, _ = proportion_ci95(np.arange(MANY) < false)
    assert low <= ALPHA / 2, f"{false} of {MANY}"


def test_at_five_per_cent_each_time_it_would_be() -> None:
    """The same looks without the spending: what that is for."""
    each_time = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, other = rng.random(10_000) < 0.2, rng.random(10_000) < 0.2
        sizes = [20 * 2**k for k in range(9)]
        gaps = [one[:n].mean() - other[:n].mean() for n in sizes]
        errors = [np.sqrt(2 * 0.16 / n) for n in sizes]
        each_time += any(gap > 1.645 * error for gap, error in zip(gaps, errors, strict=True))
    assert each_time / 200 > 0.1


def test_one_that_is_worse_goes_soon() -> None:
    sizes = falls(mine=0.4, theirs=0.1)
    assert len(sizes) > 0.9 * MANY
    assert np.median(sizes) <= 80, "judged answers of its own"


def test_numbers_are_compared_by_their_ranks() -> None:
    rng = np.random.default_rng(0)
    equal = [
        first_fall(stream(rng.gamma(2, 1, 300), s), stream(rng.gamma(2, 1, 900), s + 1), 20, 0.025)
        for s in range(200)
    ]
    worse = first_fall(stream(rng.gamma(2, 2, 300), 1), stream(rng.gamma(2, 1, 900), 2), 20, 0.025)
    assert sum(fall is not None for fall in equal) <= 10
    assert worse is not None
    assert worse.mine.mean() > worse.theirs.mean()


def test_nothing_is_told_of_too_few_or_of_one_alone() -> None:
    wrong = stream(np.ones(100), 0)
    assert first_fall(stream(np.ones(19), 0), stream(np.zeros(999), 1), 20, 0.025) is None
    assert first_fall(wrong, stream(np.empty(0), 1), 20, 0.025) is None
    assert first_fall(wrong, Stream(wrong.times, wrong.losses), 20, 0.025, paired=True) is None
