"""A segment in words, by rule: what is low or high in it compared with everybody, in units."""

from __future__ import annotations

import re

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
        suggestion: What could be tried, by rule: an idea to test, not a finding.
    """

    number: int
    name: str
    customers: int
    share: float
    description: str
    suggestion: str


def describe(rows: pd.DataFrame, labels: Labels, k: int) -> list[Segment]:
    """Words for each of k segments.

    Args:
        rows: The customers with all columns that say something, shape (n, columns).
        labels: The number of each one's segment, from 0, shape (n,).
        k: How many segments there are.
    """
    groups = [rows[labels == number] for number in range(k)]
    ranks = [_ranks(rows.select_dtypes("number"), group) for group in groups]
    names = [_name(found) for found in ranks]
    return [
        Segment(
            number=number + 1,
            name=f"{name} (segment {number + 1})" if names.count(name) > 1 else name,
            customers=len(group),
            share=len(group) / len(rows),
            description=_describe(rows, group),
            suggestion=_suggest(ranks[number]),
        )
        for number, (name, group) in enumerate(zip(names, groups, strict=True))
    ]


def _ranks(numbers: pd.DataFrame, group: pd.DataFrame) -> dict[str, float]:
    """The rank of the group's median among all customers, by column, from -0.5 to 0.5."""
    found = {}
    for column, everybody in numbers.items():
        known, middle = everybody.dropna(), group[column].median()
        if middle == middle:  # somebody's value is known
            rank = np.mean(known < middle) + np.mean(known == middle) / 2
            found[str(column)] = float(rank - 0.5)
    return found


def _level(rank: float) -> str:
    return "low" if rank <= -APART else "high" if rank >= APART else ""


def _name(ranks: dict[str, float]) -> str:
    """What is low or high, in the order of the columns, age first; of many the farthest apart."""
    told = sorted(filter(lambda c: _level(ranks[c]), ranks), key=lambda c: -abs(ranks[c]))[:PARTS]
    told.sort(key=lambda c: (_kind(c) != KINDS["age"], list(ranks).index(c)))
    return ", ".join(dict.fromkeys(phrase(c, _level(ranks[c])) for c in told)) or "near the average"


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


def _describe(rows: pd.DataFrame, group: pd.DataFrame) -> str:
    """The size, then each column: the median and the middle half, beside everybody's median."""
    parts = [f"{len(group) / len(rows):.0%} of customers ({len(group):,})"]
    for column, everybody in rows.items():
        if not pd.api.types.is_numeric_dtype(everybody):
            parts += _categories(everybody, group[column])
        elif group[column].notna().any():
            low, middle, high = group[column].quantile([0.25, 0.5, 0.75])
            parts.append(
                f"{column}: median {middle:.4g}{UNITS.get(str(column), '')}, half of them "
                f"{low:.4g} to {high:.4g} (everybody {everybody.median():.4g})"
            )
    return "; ".join(parts) + "."


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


def _suggest(ranks: dict[str, float]) -> str:
    """The first rule that fits; of two columns of one kind the one that is farther apart counts."""
    standing = {
        kind[0]: _level(ranks[column])
        for column in sorted(ranks, key=lambda c: abs(ranks[c]))
        if (kind := _kind(column))
    }
    return next(
        (text for conditions, text in SUGGESTIONS if conditions.items() <= standing.items()),
        OTHERWISE,
    )
