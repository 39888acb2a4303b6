"""What ends a version that is tried: how often falsely, and how soon where it is worse."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from mlfolio.monitor.live import ALPHA, FIRST_JUDGED, Stream, first_fall, reason_to_end
from mlfolio.parts.stats import proportion_ci95
from mlfolio.track.history import Staged
from mlfolio.track.log import FEEDBACK, PREDICTIONS, TALLIES, prepare

MANY = 600  # simulated canaries


def stream(losses: np.ndarray, seed: int) -> Stream:
    rng = np.random.default_rng(seed)
    return Stream.of(np.sort(rng.random(len(losses))), losses.astype(float))


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
        other = (
            Stream.of(one.times, beside.astype(float)) if paired else stream(beside, seed + MANY)
        )
        if fall := first_fall(one, other, FIRST_JUDGED, ALPHA / 2, paired):
            found.append(fall.mine.n)
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
    assert worse.mine.total / worse.mine.n > worse.theirs.total / worse.theirs.n


def test_nothing_is_told_of_too_few_or_of_one_alone() -> None:
    wrong = stream(np.ones(100), 0)
    assert first_fall(stream(np.ones(19), 0), stream(np.zeros(999), 1), 20, 0.025) is None
    assert first_fall(wrong, stream(np.empty(0), 1), 20, 0.025) is None
    assert first_fall(wrong, wrong, 20, 0.025, paired=True) is None


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'log.db'}"


def tally(url: str, rows: int, asked: int, failed: Mapping[int, int]) -> None:
    """Rows of a log: how many requests each version got at each time, and failed."""
    counted = [
        {"id": f"{at}-{version}", "time": float(at), "system": "toy", "version": version,
         "asked": asked, "failed": failures}
        for at in range(rows) for version, failures in failed.items()
    ]  # fmt: skip
    with prepare(url).begin() as connection:
        connection.execute(insert(TALLIES), counted)


def test_failures_are_counted_and_not_listed(url: str) -> None:
    """A look at ten million requests holds what was tallied of them, which is 1,000 rows."""
    tally(url, 1_000, 5_000, {1: 5, 2: 5})
    canary = Staged(number=2, share=0.5, since=0.0)
    tracemalloc.start()
    try:
        assert reason_to_end("toy", canary, 1, url) is None
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_one_that_fails_goes_at_the_first_look_that_tells(url: str) -> None:
    tally(url, 100, 7, {1: 0, 2: 3})
    canary = Staged(number=2, share=0.5, since=0.0)
    reason = reason_to_end("toy", canary, 1, url)
    assert reason is not None
    assert reason.startswith("it failed 6 of 14 requests, version 1 0 of 14 (p = ")


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_prices_with_chances_are_judged_by_their_errors(url: str, share: float) -> None:
    """As stocks answers: a price, and the chance that it rises, which is none of the price's."""
    rng = np.random.default_rng(0)
    log: list[dict[str, Any]] = []
    said = []
    for at, price in enumerate(rng.normal(100, 10, 400).tolist()):
        chances = {"up": 0.5, "not up": 0.5}
        for version, off in ((1, 0.1), (2, 50.0)):
            is_shadow = version == 2 and not share
            log.append(
                {"id": f"{at}-{version}", "time": float(at), "system": "toy", "version": version,
                 "output": json.dumps({"answer": price + off, "probabilities": chances}),
                 "latency_ms": 1.0, "client": "ann", "shadow_of": f"{at}-1" if is_shadow else None}
            )  # fmt: skip
            if not is_shadow:
                said.append(
                    {"prediction": f"{at}-{version}", "time": 1000.0 + at, "client": "ann",
                     "answer": json.dumps(price)}
                )  # fmt: skip
    with prepare(url).begin() as connection:
        connection.execute(insert(PREDICTIONS), log)
        connection.execute(insert(FEEDBACK), said)

    reason = reason_to_end("toy", Staged(number=2, share=share, since=0.0), 1, url)

    assert reason is not None
    assert reason.startswith("its mean absolute error in 20 judged answers is 50, ")
