"""What is compared: rows that a model had not seen when it was measured, and those of now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlfolio.core.errors import FileError
from mlfolio.core.run import DAMAGED, REFERENCE
from mlfolio.monitor import losses
from mlfolio.track import log

FIRST = 1_000  # answers since a release that stand for a reference where there is none


class Row(NamedTuple):
    """One answer.

    Attributes:
        input: What was asked, by field; None where it is not kept.
        output: What was answered, by field.
        truth: What would have been right; None where nobody knows.
        good: Whether somebody called the answer good; None where nobody did.
        time: When it was given, in seconds since 1970; None of a reference.
        latency_ms: How long it took; None likewise.
        told: When somebody told the truth, or a verdict.
        id: Of the prediction in the log; None of a reference.
    """

    input: Mapping[str, Any] | None
    output: Mapping[str, Any]
    truth: Any = None
    good: bool | None = None
    time: float | None = None
    latency_ms: float | None = None
    told: float | None = None
    id: str | None = None

    @property
    def is_judged(self) -> bool:
        """Whether anything is known of how good the answer was."""
        return self.truth is not None or self.good is not None


def read_reference(run: Path) -> list[Row]:
    """What the model of a run answered to rows that it had not seen; none where it kept none.

    Args:
        run: The run's folder.

    Raises:
        FileError: They are damaged.
    """
    path = run / REFERENCE
    if not path.is_file():
        return []
    try:
        lines = map(json.loads, path.read_text("utf-8").splitlines())
        return [Row(line["input"], line["output"], line["truth"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} is damaged: {type(error).__name__}: {error}", DAMAGED) from None


def last_rows(
    system: str, version: int, since: float, most: int, judged: bool = False, url: str | None = None
) -> list[Row]:
    """What a version of a system answered last, oldest first; those of tenants are left out.

    Args:
        system: Its name.
        version: The version's number.
        since: Seconds since 1970.
        most: How many at most.
        judged: Only those of which somebody told how good they were.
        url: SQLAlchemy URL of the log; None for the usual one.

    Raises:
        UserError: There is a log that cannot be read.
    """
    return _rows(reversed(log.answers(system, version, since, most, judged=judged, url=url)))


def first_rows(system: str, version: int, most: int = FIRST, url: str | None = None) -> list[Row]:
    """What a version of a system answered first, oldest first; otherwise as `last_rows`."""
    return _rows(log.answers(system, version, 0.0, most, newest=False, url=url))


def inputs_of(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    """The inputs that were kept."""
    return [row.input for row in rows if row.input is not None]


def outputs_of(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    """The outputs; an answer as a text where it is a class, whose name may be a number."""
    return [
        {**output, "answer": str(output["answer"])} if losses.is_class(output) else output
        for output in (row.output for row in rows)
    ]


def _rows(found: Iterable[Mapping[Any, Any]]) -> list[Row]:
    return [
        Row(
            input=json.loads(row["input"]) if row["input"] else None,
            output=json.loads(row["output"]),
            truth=json.loads(row["truth"]) if row["truth"] else None,
            good=None if row["good"] is None else bool(row["good"]),
            time=row["time"],
            latency_ms=row["latency_ms"],
            told=row["told"],
            id=row["id"],
        )
        for row in found
    ]
