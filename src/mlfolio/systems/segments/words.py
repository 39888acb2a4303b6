"""A segment in words, by rule: what is low or high in it compared with everybody, in units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel

from .clusters import Labels

APART = 0.2  # a segment's median is low or high if its rank among all is so far from the middle
MANY_MORE = 0.15  # a category is worth telling if its share differs by so much
PARTS = 4  # of a name

# Words of a column's name -> its kind, and how people say that it is low or high.
KINDS = {
    "age": ("age", "young", "older"),
    "income|salary|earnings": ("income", "low income", "high income"),
    "spending|spend|spent|monetary|revenue|basket": ("spend", "low spenders", "high spenders"),
    "recency": ("recency", "bought lately", "long away"),
    "frequency|orders|purchases": ("often", "rare buyers", "frequent buyers"),
    "visits": ("often", "rare visitors", "frequent visitors"),
}
UNITS = {"recency": " days", "frequency": " purchases"}  # of what is built from purchases
# The first rule whose conditions all hold gives the suggestion.
SUGGESTIONS: list[tuple[dict[str, str], str]] = [
    ({"income": "high", "spend": "low"}, "They could spend more than they do: ask some of them what"
     " they miss, before any price is lowered."),
    ({"income": "low", "spend": "high"}, "They spend much of what they earn: thank them with"
     " service rather than push credit."),
    ({"recency": "high", "spend": "high"}, "They were good customers and stay away: ask why, and"
     " try a reminder on half of them."),
    ({"recency": "low", "often": "high"}, "They come often and were here lately: keep what works;"
     " discounts would go to people who come anyway."),
    ({"recency": "low", "often": "low"}, "They may be new: try a welcome on half of them, and see"
     " who comes a second time."),
    ({"recency": "high"}, "They have been away for long: try one cheap reminder on half of them."),
    ({"spend": "high"}, "They bring much: try early access or a better service on half of them."),
    ({"spend": "low"}, "They bring little: try a small offer on half of them, and expect little."),
]  # fmt: skip
OTHERWISE = "Nothing here says what to do: talk to some of them first."


class Segment(BaseModel):
    """A segment as people read it.

    Attributes:
        number: From 1, the largest first.
        name: Short and its own.
        customers: How many they are.
        share: Of all customers, in (0, 1].
        description: Its size and its columns beside everybody's.
        suggestion: What could be tried, from rules: an idea, not a finding.
    """

    number: int
    name: str
    customers: int
    share: float
    description: str
    suggestion: str


class _Level(NamedTuple):
    """Where a segment stands in one column."""

    column: str
    level: str  # "low", "", "high"
    apart: float  # how far the rank of its median is from the middle, in [0, 0.5]


def describe(rows: pd.DataFrame, labels: Labels, k: int) -> list[Segment]:
    """Words for each of k segments.

    Args:
        rows: The customers with all columns that say something, shape (n, columns).
        labels: The number of each one's segment, from 0, shape (n,).
        k: How many segments there are.
    """
    numbers = [c for c in rows if pd.api.types.is_numeric_dtype(rows[c])]
    groups = [rows[labels == number] for number in range(k)]
    levels = [[_level(rows[c], group[c]) for c in numbers] for group in groups]
    names = _told_apart([_name(found) for found in levels], groups, rows[numbers])
    return [
        Segment(
            number=number + 1,
            name=names[number],
            customers=len(group),
            share=len(group) / len(rows),
            description=_describe(rows, group, levels[number]),
            suggestion=_suggest(levels[number]),
        )
        for number, group in enumerate(groups)
    ]


def _level(everybody: pd.Series, group: pd.Series) -> _Level:
    """Low or high by the rank of the segment's median among all customers."""
    column, known = str(everybody.name), everybody.dropna().to_numpy(dtype=float)
    middle = group.median()
    if not len(known) or middle != middle:  # nobody's value is known
        return _Level(column, "", 0.0)
    rank = float(np.mean(known < middle) + np.mean(known == middle) / 2)
    level = "low" if rank <= 0.5 - APART else "high" if rank >= 0.5 + APART else ""
    return _Level(column, level, abs(rank - 0.5))


def _name(levels: Sequence[_Level]) -> str:
    """What is low or high, in the order of the columns, age first; of many the farthest apart."""
    strongest = sorted((found for found in levels if found.level), key=lambda f: -f.apart)[:PARTS]
    told = [found for found in levels if found in strongest]
    told.sort(key=lambda found: _kind(found.column) != KINDS["age"])
    return ", ".join(dict.fromkeys(phrase(f.column, f.level) for f in told)) or "near the average"


def phrase(column: str, level: str) -> str:
    """How people say that a column is low or high."""
    if found := _kind(column):
        return found[1] if level == "low" else found[2]
    return f"{level} {plain(column)}"


def plain(column: str) -> str:
    """A column's name without its unit: `Annual Income (k$)` is annual income."""
    return re.sub(r"\s*[(\[].*?[)\]]", "", column.replace("_", " ")).strip().lower() or column


def _kind(column: str) -> tuple[str, str, str] | None:
    for pattern, found in KINDS.items():
        if re.search(rf"\b({pattern})\b", plain(column)):
            return found
    return None


def _told_apart(
    names: list[str], groups: Sequence[pd.DataFrame], numbers: pd.DataFrame
) -> list[str]:
    """The names, each its own: equal ones say the median in which they differ most."""
    spread = numbers.quantile(0.75) - numbers.quantile(0.25)
    unique = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        same = [at for at, other in enumerate(names) if other == name]
        medians = pd.DataFrame([groups[at][list(numbers)].median() for at in same])
        column = ((medians.max() - medians.min()) / spread.where(spread > 0)).fillna(0).idxmax()
        for at, median in zip(same, medians[column], strict=True):
            unique[at] = f"{name} ({plain(str(column))} about {median:.3g})"
    return [
        name if unique.index(name) == at else f"{name} (segment {at + 1})"
        for at, name in enumerate(unique)
    ]


def _describe(rows: pd.DataFrame, group: pd.DataFrame, levels: Sequence[_Level]) -> str:
    """The size, then each column: the median and the middle half, beside everybody's median."""
    parts = []
    for column in (found.column for found in levels):
        low, middle, high = group[column].quantile([0.25, 0.5, 0.75])
        if middle == middle:
            parts.append(
                f"{column}: median {middle:.4g}{UNITS.get(column, '')}, half of them {low:.4g} to "
                f"{high:.4g} (everybody {rows[column].median():.4g})"
            )
    for name in (str(c) for c in rows if not pd.api.types.is_numeric_dtype(rows[c])):
        parts += _categories(rows[name], group[name])
    size = f"{len(group) / len(rows):.0%} of customers ({len(group):,})"
    return "; ".join([size, *parts]) + "."


def _categories(everybody: pd.Series, group: pd.Series) -> list[str]:
    """The category that the segment has most more, or most less, of than everybody."""
    usual, here = (
        values.dropna().astype(str).value_counts(normalize=True) for values in (everybody, group)
    )
    here = here.reindex(usual.index, fill_value=0.0)
    if usual.empty or (here - usual).abs().max() < MANY_MORE:
        return []
    value = str((here - usual).abs().idxmax())
    return [f"{everybody.name}: {value} {here[value]:.0%} (everybody {usual[value]:.0%})"]


def _suggest(levels: Sequence[_Level]) -> str:
    """The first rule that fits; of two columns of one kind the one that is farther apart counts."""
    standing = {
        found[0]: level.level
        for level in sorted(levels, key=lambda each: each.apart)
        if (found := _kind(level.column))
    }
    return next(
        (text for conditions, text in SUGGESTIONS if conditions.items() <= standing.items()),
        OTHERWISE,
    )
