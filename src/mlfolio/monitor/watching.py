"""A look at how a served system does: what it is asked and answers now, beside what it knew.

Rows are compared with the reference of the champion's run, rows that its model had not seen when
it was measured. `watch` compares any two lists of rows, `gather` takes them from run and log, and
`look` does both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from mlfolio.core.errors import FileError, MissingExtraError, NotTrainedError
from mlfolio.core.run import read_json
from mlfolio.monitor import drift, quality
from mlfolio.monitor.checks import FEWEST, FEWEST_BEFORE, Alarm, Check, alarms
from mlfolio.monitor.columns import Column, columns_of
from mlfolio.monitor.embedding import embed, spread
from mlfolio.monitor.quality import Latency, Live
from mlfolio.monitor.rows import (
    Row,
    first_rows,
    inputs_of,
    last_rows,
    outputs_of,
    read_reference,
)
from mlfolio.track import connection, log, registry

LAST: Final = 1_000  # answers that are looked at, if nothing else is said
MOST: Final = 50_000  # at most
SHOWN: Final = 5  # rows that look newest
FEEDBACK_IS_BIASED = (
    "people tell the truth of some answers and not of others, so the quality of those need not be "
    "that of all"
)
Source = Literal["the run's reference", "its first answers"]
FROM_RUN: Final[Source] = "the run's reference"
FROM_LOG: Final[Source] = "its first answers"


class Newest(BaseModel):
    """The rows by which texts or pictures of now differ most from the reference.

    Attributes:
        column: Of which column.
        predictions: Their ids in the log, the newest-looking first.
        texts: How they begin; empty for pictures.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    predictions: tuple[str, ...]
    texts: tuple[str, ...] = ()


class Watched(BaseModel):
    """What a look has found.

    Attributes:
        system: The system's name.
        version: The champion's number; None where rows were given.
        reference: What the rows were compared with.
        before: How many rows that has.
        rows: How many answers were looked at.
        since: When the first of them was given, in seconds since 1970; None where that is not
            known.
        until: When the last one was.
        alarms: What has changed, surely and by enough to matter.
        checks: All comparisons, alarms or not.
        live: What is known of how good the answers were.
        latency: How long they took; None where that is not known.
        newest: The rows of texts and pictures that look newest, where those have drifted.
        notes: What could not be looked at, and why.
    """

    model_config = ConfigDict(frozen=True)

    system: str
    version: int | None
    reference: Source
    before: int
    rows: int
    since: float | None = None
    until: float | None = None
    alarms: tuple[Alarm, ...] = ()
    checks: tuple[Check, ...] = ()
    live: Live | None = None
    latency: Latency | None = None
    newest: tuple[Newest, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns whose inputs have drifted."""
        return tuple(alarm.column for alarm in self.alarms if alarm.kind == "input drift")


class Gathered(NamedTuple):
    """What a look is at.

    Attributes:
        version: The champion's number.
        source: Where the reference is from.
        reference: The rows that those of now are compared with.
        rows: The last answers.
        judged: The last answers of which something is known.
        measured_ms: What one answer took in the run; None where that is not known.
        requests: How many were asked since the first of the rows, and how many failed.
    """

    version: int
    source: Source
    reference: list[Row]
    rows: list[Row]
    judged: list[Row]
    measured_ms: float | None
    requests: tuple[int, int] = (0, 0)


def look(
    system: str, gathered: Gathered | None = None, *, since: float | None = None,
    last: int | None = None, url: str | None = None,
) -> Watched:  # fmt: skip
    """Looks at what the champion of a system was asked and has answered.

    Args:
        system: Its name.
        gathered: The rows; None to `gather` them, which is told the rest.
        since: See `gather`.
        last: See `gather`.
        url: See `gather`.

    Raises:
        MlfolioError: See `gather`.
    """
    found = gathered or gather(system, since=since, last=last, url=url)
    watched = watch(
        system, found.reference, found.rows, found.judged, found.measured_ms, found.requests
    )
    notes = list(watched.notes)
    if found.source == "its first answers":
        notes.insert(
            0,
            f"its run kept no reference, so answers are compared with the first "
            f"{len(found.reference):,}: what was wrong from the start is not seen",
        )
    facts = {"version": found.version, "reference": found.source, "notes": tuple(notes)}
    return watched.model_copy(update=facts)


def gather(
    system: str, *, since: float | None = None, last: int | None = None, url: str | None = None
) -> Gathered:
    """The rows of a look: the reference of the champion's run, and what the log has of it.

    Args:
        system: Its name.
        since: Seconds since 1970; None for no such limit.
        last: How many answers at most; the last 1,000 if neither is said. Quality is that of as
            many answers of which something is known, which may be older.
        url: SQLAlchemy URL of the log; None for the usual one.

    Raises:
        NotTrainedError: It has no champion.
        MlfolioError: The registry, the log or the reference cannot be read.
    """
    champion = registry.champion(system)
    if champion is None:
        raise NotTrainedError(system, connection.place())
    folder, number = champion.folder.parent, champion.number
    begin, most = since or 0.0, min(last or (LAST if since is None else MOST), MOST)
    rows = last_rows(system, number, begin, most, url=url)
    judged = last_rows(system, number, begin, most, judged=True, url=url)
    reference = read_reference(folder)
    source = FROM_RUN if reference else FROM_LOG
    if not reference:
        reference = first_rows(system, number, url=url)
        first = {row.id for row in reference}
        rows, judged = ([row for row in each if row.id not in first] for each in (rows, judged))
    begun = min((row.time for row in rows if row.time is not None), default=begin)
    requests = _requests(system, number, max(begin, begun), url)
    return Gathered(number, source, reference, rows, judged, _measured(folder), requests)


def watch(
    system: str, reference: Sequence[Row], rows: Sequence[Row],
    judged: Sequence[Row] | None = None, measured_ms: float | None = None,
    requests: tuple[int, int] = (0, 0),
) -> Watched:  # fmt: skip
    """Compares rows with a reference.

    Args:
        system: Whose they are.
        reference: Rows that the model had not seen when it was measured.
        rows: Rows of now.
        judged: Those whose quality is measured; None for what is known of `rows`.
        measured_ms: What one answer took in the run; None where that is not known.
        requests: How many were asked, and how many of them failed.
    """
    judged = [row for row in (rows if judged is None else judged) if row.is_judged]
    live, checks = quality.live_quality(reference, rows, judged)
    latency, slow = quality.latency(rows, measured_ms)
    checks += slow + quality.errors(*requests)
    notes = list(_too_few(reference, rows))
    newest: list[Newest] = []
    if not notes:
        checks += _of_outputs(reference, rows)
        asked, kept = inputs_of(reference), [row for row in rows if row.input is not None]
        notes += _without_inputs(asked, kept)
        if len(asked) >= FEWEST_BEFORE and len(kept) >= FEWEST:
            for column in columns_of(asked, inputs_of(kept)):
                checks += quality.check_column(column)
                found, told = _of_inputs(column, kept, notes)
                checks += found
                newest += told
    if live.judged:
        notes.append(f"{live.judged:,} answers are judged: {FEEDBACK_IS_BIASED}")
    fired = alarms(checks)
    drifted = {alarm.column for alarm in fired if alarm.kind == "input drift"}
    times = [row.time for row in rows if row.time is not None]
    return Watched(
        system=system, version=None, reference=FROM_RUN, before=len(reference),
        rows=len(rows), since=min(times, default=None), until=max(times, default=None),
        alarms=fired, checks=tuple(checks), live=live, latency=latency,
        newest=tuple(each for each in newest if each.column in drifted), notes=tuple(notes),
    )  # fmt: skip


def _requests(system: str, number: int, since: float, url: str | None) -> tuple[int, int]:
    """How many requests a version was asked since a time, and how many of them failed.

    They are counted by the minute, so a minute more may be in it.
    """
    rows = [row for row in log.tallies(system, since, url) if row["version"] == number]
    return sum(row["asked"] for row in rows), sum(row["failed"] for row in rows)


def _of_outputs(before: Sequence[Row], now: Sequence[Row]) -> Iterator[Check]:
    """Drift of what is answered: answers, confidences, and every yes or no beside them."""
    for column in columns_of(outputs_of(before), outputs_of(now)):
        known = column.known
        is_flag = all(isinstance(value, bool) for value in (*known[0][:1], *known[1][:1]))
        if (column.name in ("answer", "confidence") or is_flag) and _enough(column):
            check = drift.compare(column, "prediction drift")
            if check is not None:
                yield check


def _of_inputs(
    column: Column, rows: Sequence[Row], notes: list[str]
) -> tuple[list[Check], list[Newest]]:
    """Drift of a column, and for texts and pictures the rows of now that look newest."""
    if not _enough(column):
        return [], []
    check = drift.compare(column, "input drift")
    if check is not None:
        return [check], []
    known = [row for row, value in zip(rows, column.now, strict=True) if value is not None]
    before, now = column.known
    chosen = spread(len(now))
    try:
        old = embed(column.kind, [before[at] for at in spread(len(before))])
        new = embed(column.kind, [now[at] for at in chosen])
    except MissingExtraError as error:
        notes.append(f"{column.name} was not looked at: {error.message}")
        return [], []
    check, ranks = drift.compare_vectors(column.name, old, new)
    first = [chosen[at] for at in ranks.argsort()[::-1][:SHOWN]]
    texts = [str(now[at])[:80] for at in first] if column.kind == "text" else []
    ids = [known[at].id or "" for at in first]
    return [check], [Newest(column=column.name, predictions=tuple(ids), texts=tuple(texts))]


def _enough(column: Column) -> bool:
    before, now = column.known
    return len(before) >= FEWEST_BEFORE and len(now) >= FEWEST


def _too_few(before: Sequence[Row], now: Sequence[Row]) -> Iterator[str]:
    if len(now) < FEWEST:
        yield f"too few rows: {len(now):,} answers, and {FEWEST} are needed to compare them"
    elif len(before) < FEWEST_BEFORE:
        yield f"too few rows to compare with: {len(before):,}, and {FEWEST_BEFORE} are needed"


def _without_inputs(before: Sequence[Any], now: Sequence[Any]) -> Iterator[str]:
    """Says that only answers were compared, if so."""
    if len(before) < FEWEST_BEFORE:
        yield "the reference has no inputs: only answers are compared"
    elif len(now) < FEWEST:
        yield "the log keeps no inputs, or too few: only answers are compared"


def _measured(run: Path) -> float | None:
    """What one answer took in a run, in ms; None where that is not written down."""
    try:
        cost = read_json(run / "scores.json", "cost")["cost"]
        return float(cost["predict_ms"])
    except (FileError, KeyError, TypeError, ValueError):
        return None
