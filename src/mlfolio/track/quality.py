"""How a served system does, day by day: read from the prediction log and what was said of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from mlfolio.track import log

MOST = 50_000  # answers that are looked at


@dataclass(frozen=True, slots=True)
class Day:
    """The answers of one day, UTC.

    Attributes:
        day: Which.
        answers: How many there were.
        not_found: Share of them that said that they do not know; None of systems that always do.
        confidence: Mean; None where none was told.
        up: Answers that somebody called good, or told the same as the truth.
        down: Answers that somebody called bad, or told another truth.
        p50: Median of the time to answer, in ms.
        p95: Nineteen of twenty answers took less, in ms.
        input_tokens: That language models read, as far as they told.
        output_tokens: That they wrote, likewise.
        cost: In dollars, of the answers whose cost is known; None where there is none.
        unpriced: Answers whose cost is not known.
        remembered: Answers that had been given before.
    """

    day: date
    answers: int
    not_found: float | None
    confidence: float | None
    up: int
    down: int
    p50: float
    p95: float
    input_tokens: int
    output_tokens: int
    cost: float | None
    unpriced: int
    remembered: int


def days(system: str, since: float, tenant: str | None = None, url: str | None = None) -> list[Day]:
    """The days on which a system answered, the first one first.

    Args:
        system: Its name.
        since: Seconds since 1970; before that nothing is looked at, and of more than `MOST` answers
            only the last ones.
        tenant: To whom; None for the answers that no tenant got.
        url: SQLAlchemy URL of the log; None for the usual one.

    Raises:
        UserError: There is a log that cannot be read.
    """
    rows = defaultdict[date, list[Mapping[Any, Any]]](list)
    for row in log.told(system, since, MOST, tenant, url):
        rows[datetime.fromtimestamp(row["time"], UTC).date()].append(row)
    return [_day(day, rows[day]) for day in sorted(rows)]


def _day(day: date, rows: Sequence[Mapping[Any, Any]]) -> Day:
    outputs = [json.loads(row["output"]) for row in rows]
    found = [output["found"] for output in outputs if "found" in output]
    sure = [output["confidence"] for output in outputs if output.get("confidence") is not None]
    verdicts = [_verdict(row, output) for row, output in zip(rows, outputs, strict=True)]
    p50, p95 = np.percentile([row["latency_ms"] for row in rows], [50, 95])
    used = [output["usage"] for output in outputs if output.get("usage")]
    costs = [each["cost"] for each in used if each["cost"] is not None]
    return Day(
        day=day,
        answers=len(rows),
        not_found=1 - sum(found) / len(found) if found else None,
        confidence=sum(sure) / len(sure) if sure else None,
        up=verdicts.count(True),
        down=verdicts.count(False),
        p50=float(p50),
        p95=float(p95),
        input_tokens=sum(each["input_tokens"] or 0 for each in used),
        output_tokens=sum(each["output_tokens"] or 0 for each in used),
        cost=sum(costs) if costs else None,
        unpriced=len(used) - len(costs),
        remembered=sum(each["remembered"] for each in used),
    )


def _verdict(row: Mapping[Any, Any], output: Mapping[str, Any]) -> bool | None:
    """Whether an answer was good; None where nobody said, or what was answered is not kept."""
    if row["good"] is not None:
        return bool(row["good"])
    if row["truth"] is None or output["answer"] in ("", None):
        return None
    return str(json.loads(row["truth"])) == str(output["answer"])  # the class 1 may come as text
