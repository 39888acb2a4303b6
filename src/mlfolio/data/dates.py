"""Dates in tables, as people write them."""

from __future__ import annotations

import re
import warnings

import pandas as pd

from mlfolio.core.errors import FileError

MANY_UNREAD = 0.05  # share of a column's cells that may be unreadable
_PARTS = re.compile(r"\s*(\d{1,2})([./-])(\d{1,2})\2\d{2,4}\b")

_ZONE = re.compile(r"(:\d\d(?:\.\d+)?)\s*(?:Z|[+-]\d\d:?\d\d)$")


def read_dates(column: pd.Series, name: str) -> pd.Series:
    """When each row was by the clock of where it was; NaT where it cannot be read.

    Dates are ISO, or days and months in the order that all of them allow. Where all allow both,
    `01.02.` is a day first, as in most of Europe, and `01/02/` a month first, as in America.

    Args:
        column: Texts, or whole numbers like 20241231.
        name: What to call the table in errors.

    Raises:
        FileError: More than a twentieth cannot be read, or no order fits all of them.
    """
    texts = column.where(column.notna(), None).map(_text_of, na_action="ignore")
    parts = [m for text in texts.dropna().unique() if (m := _PARTS.match(text))]
    first, second = (max((int(m[at]) for m in parts), default=0) for at in (1, 3))
    if first > 12 and second > 12:
        raise FileError(
            f"{name}: in column {column.name!r} neither the first nor the second number of the "
            "dates is always a month",
            "write dates as 2024-12-31",
        )
    days_first = first > 12 or (second <= 12 and bool(parts) and parts[0][2] == ".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a format was inferred, or was not
        read = pd.to_datetime(texts, dayfirst=days_first, errors="coerce", utc=True)
    require_read(column, read, name, "a date: 2024-12-31, or 2024-12-31 23:59")
    return read.dt.tz_localize(None)


def require_read(column: pd.Series, read: pd.Series, name: str, rule: str) -> None:
    """Checks that of a column hardly anything was lost in reading it.

    Args:
        column: As it was written.
        read: As it was read, missing where it could not be.
        name: What to call the table in errors.
        rule: What its cells should look like.

    Raises:
        FileError: More than a twentieth was lost.
    """
    bad = column[read.isna() & column.notna()]
    if len(bad) > MANY_UNREAD * max(1, column.notna().sum()):
        raise FileError(
            f"{name}: {len(bad):,} of {len(column):,} values of column {column.name!r} cannot be "
            f"read: {', '.join(repr(str(value)[:40]) for value in bad.unique()[:3])}",
            f"write {rule}; or name another column",
        )


def _text_of(value: object) -> str:
    """Without its time zone: midnight in Berlin is of that day, not of the one before.

    20101201.0 is 20101201, where a missing day made floats of whole numbers.
    """
    return f"{value:.0f}" if isinstance(value, float) else _ZONE.sub(r"\1", str(value))
