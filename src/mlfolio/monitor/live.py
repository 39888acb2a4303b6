"""Whether a version that is tried beside the champion does worse than it, told while it serves.

It is looked at again and again, so a test at 5 % each time would take away every version some day.
The chance of 5 % is spent instead (Lan and DeMets, 1983, Discrete sequential boundaries for
clinical trials): half of it on errors, half on answers that were judged, and of each half the look
number k gets 1/(k (k + 1)), which over all looks adds up to one. Looks are at 10, 20, 40, ...
requests. What a look sees depends on the log alone, so that every server comes to the same end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sqlalchemy import RowMapping

from mlfolio.monitor import losses
from mlfolio.parts.stats import p_paired
from mlfolio.track import log
from mlfolio.track.history import Staged
from mlfolio.track.log import Opinion

ALPHA = 0.05  # the chance that a version no worse than the champion is ever taken away
FIRST_ERRORS, FIRST_JUDGED = 10, 20  # requests, and judged answers, of the first look

Floats = NDArray[np.float64]
Counts = NDArray[np.int_]


@dataclass(frozen=True)
class Stream:
    """Losses as they came.

    Attributes:
        times: When, in seconds since 1970, in order, shape (n,).
        losses: Shape (n,).
        counts: How many were so at that time, shape (n,): requests are counted, not listed.
    """

    times: Floats
    losses: Floats
    counts: Counts

    @classmethod
    def of(cls, times: Floats, losses: Floats) -> Stream:
        """One at a time."""
        return cls(times, losses, np.ones(len(losses), dtype=int))

    def until(self, time: float) -> Stream:
        """Those up to a time."""
        end = int(np.searchsorted(self.times, time, side="right"))
        return Stream(self.times[:end], self.losses[:end], self.counts[:end])

    @property
    def n(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def total(self) -> float:
        """Their sum."""
        return float(self.losses @ self.counts)

    @property
    def is_binary(self) -> bool:
        """Whether they tell only right from wrong."""
        return bool(np.isin(self.losses, (0, 1)).all())


class Fall(NamedTuple):
    """A look at which a version was worse than the champion, beyond chance.

    Attributes:
        mine: The version's losses until then.
        theirs: The champion's.
        p_value: The chance of such a difference, or a greater one, between equals.
    """

    mine: Stream
    theirs: Stream
    p_value: float


def reason_to_end(system: str, staged: Staged, champion: int, url: str | None = None) -> str | None:
    """Why what is tried has to end; None while nothing speaks against it.

    Args:
        system: Its system.
        staged: What is tried.
        champion: Number of the champion that it is tried beside.
        url: SQLAlchemy URL of the prediction log; None for the usual one.

    Raises:
        UserError: There is a log that cannot be read.
    """
    counted = log.tallies(system, staged.since, url)
    mine, theirs = (_failures(counted, number) for number in (staged.number, champion))
    if fall := first_fall(mine, theirs, FIRST_ERRORS, ALPHA / 2):
        return _in_words("failed", "requests", fall, champion)
    told = log.opinions(system, staged.since, url)
    if staged.is_shadow:
        mine, theirs = _paired(told, staged.number)
    else:
        mine, theirs = (
            _judged(told, number, is_shadow=False) for number in (staged.number, champion)
        )
    fall = first_fall(mine, theirs, FIRST_JUDGED, ALPHA / 2, paired=staged.is_shadow)
    return _in_words("was wrong in", "judged answers", fall, champion) if fall else None


def first_fall(
    mine: Stream, theirs: Stream, first: int, alpha: float, paired: bool = False
) -> Fall | None:
    """The first look at which one stream's losses are greater than another's, beyond chance.

    Args:
        mine: Those of the version that is tried.
        theirs: Those of the champion.
        first: How many of mine the first look waits for; each later one for twice as many.
        alpha: The chance of a false fall, over all looks.
        paired: Whether each is about the same request as the other's in its place.
    """
    size, number = first, 1
    came = np.cumsum(mine.counts)
    while size <= mine.n:
        until = mine.times[np.searchsorted(came, size)]
        one, other = mine.until(until), theirs.until(until)
        p = p_paired(one.losses - other.losses) if paired else _p_apart(one, other)
        if p < alpha / (number * (number + 1)):
            return Fall(one, other, p)
        size, number = 2 * size, number + 1
    return None


def _p_apart(mine: Stream, theirs: Stream) -> float:
    """One-sided: Fisher's exact test of failures; of other losses Mann and Whitney's."""
    if not theirs.n:
        return 1.0
    if mine.is_binary and theirs.is_binary:
        table = [[int(each.total), each.n - int(each.total)] for each in (mine, theirs)]
        return float(stats.fisher_exact(table, alternative="greater").pvalue)
    one, other = (np.repeat(each.losses, each.counts) for each in (mine, theirs))
    return float(stats.mannwhitneyu(one, other, alternative="greater").pvalue)


def _failures(counted: Iterable[RowMapping], version: int) -> Stream:
    """1 for each request that a version failed, and 0 for the others."""
    rows = [row for row in counted if row["version"] == version]
    times = np.repeat(np.array([row["time"] for row in rows], dtype=float), 2)
    counts = [(row["failed"], row["asked"] - row["failed"]) for row in rows]
    return Stream(times, np.tile([1.0, 0.0], len(rows)), np.array(counts, dtype=int).ravel())


def _judged(told: Iterable[Opinion], version: int, is_shadow: bool) -> Stream:
    found = [
        (opinion.time, loss)
        for opinion in told
        if (opinion.version, opinion.is_shadow) == (version, is_shadow)
        and (loss := _loss(opinion)) is not None
    ]
    times, values = zip(*found, strict=True) if found else ((), ())
    return Stream.of(np.array(times, dtype=float), np.array(values, dtype=float))


def _paired(told: Sequence[Opinion], version: int) -> tuple[Stream, Stream]:
    """A shadow's losses, and those of the answers that were given beside it."""
    given = {o.given: loss for o in told if not o.is_shadow and (loss := _loss(o)) is not None}
    pairs = list(_pairs(told, version, given))
    times = np.array([time for time, _, _ in pairs], dtype=float)
    mine, theirs = (np.array([pair[at] for pair in pairs], dtype=float) for at in (1, 2))
    return Stream.of(times, mine), Stream.of(times, theirs)


def _pairs(
    told: Iterable[Opinion], version: int, given: dict[str, float]
) -> Iterator[tuple[float, float, float]]:
    for opinion in told:
        if opinion.is_shadow and opinion.version == version and opinion.given in given:
            loss = _loss(opinion)
            if loss is not None:
                yield opinion.time, loss, given[opinion.given]


def _loss(opinion: Opinion) -> float | None:
    """How far an answer was from what somebody said of it; None where that does not tell it."""
    output: dict[str, Any] = opinion.output
    if opinion.truth is not None:
        return None if output["answer"] in ("", None) else losses.error(output, opinion.truth)
    if opinion.is_shadow or opinion.good is None or losses.is_amount(output):
        return None  # a thumb is about the answer that was given, and about no number
    return float(not opinion.good)


def _in_words(did: str, what: str, fall: Fall, champion: int) -> str:
    mine, theirs = fall.mine, fall.theirs
    by_chance = f"p = {fall.p_value:.1g}"
    if mine.is_binary and theirs.is_binary:
        return (
            f"it {did} {mine.total:,.0f} of {mine.n:,} {what}, version {champion} "
            f"{theirs.total:,.0f} of {theirs.n:,} ({by_chance})"
        )
    return (
        f"its mean absolute error in {mine.n:,} {what} is {mine.total / mine.n:.4g}, that of "
        f"version {champion} in {theirs.n:,} is {theirs.total / theirs.n:.4g} ({by_chance})"
    )
