"""The columns that can be compared: what kind each one is, told from the values themselves.

No model is loaded for it and nothing here knows a system, so that a look takes a moment, and rows
of any table can be compared.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlfolio.data.labelled import MAX_CATEGORIES

Floats = NDArray[np.float64]
ColumnKind = Literal["number", "category", "text", "picture"]
PICTURES = (b"\x89PNG", b"\xff\xd8\xff")  # how their files begin


class Column(NamedTuple):
    """The values of one column, then and now; None where one is missing.

    Attributes:
        name: Its name.
        kind: What its known values are.
        before: Of the reference.
        now: Of the rows that are compared with it.
    """

    name: str
    kind: ColumnKind
    before: list[Any]
    now: list[Any]

    @property
    def known(self) -> tuple[list[Any], list[Any]]:
        """The values that are not missing, before and now."""
        return _known(self.before), _known(self.now)


def columns_of(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> list[Column]:
    """The columns of rows, in their order; of a list its length is one, of an object nothing is.

    Args:
        before: Rows of the reference, by field.
        now: Those that are compared with it.
    """
    found = []
    for name in dict.fromkeys(field for rows in (before, now) for row in rows[:1] for field in row):
        old, new = ([row.get(name) for row in rows] for rows in (before, now))
        title = name
        if list in {*map(type, old), *map(type, new)}:
            title = f"length of {name}"
            old, new = ([None if v is None else len(v) for v in values] for values in (old, new))
        kind = _kind(old) or _kind(new)
        if kind is not None:
            found.append(Column(title, kind, old, new))
    return found


def numbers(values: Sequence[Any]) -> Floats:
    """Known values as floats."""
    return np.asarray(values, dtype=float)


def _known(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _kind(values: Sequence[Any]) -> ColumnKind | None:
    """What the known ones are; None for what cannot be compared, or where there are none."""
    types = set(map(type, values)) - {type(None)}
    if not types or types & {dict, list}:
        return None
    if types <= {int, float}:
        return "number"
    known = _known(values)
    if isinstance(known[0], str) and _is_picture(known[0]):
        return "picture"
    distinct = len(set(map(str, known)))
    few = distinct <= MAX_CATEGORIES and distinct <= max(2, len(known) / 2)
    return "category" if few else "text"


def _is_picture(value: str) -> bool:
    try:
        return base64.b64decode(value[:8], validate=True).startswith(PICTURES)
    except (binascii.Error, ValueError):
        return False
