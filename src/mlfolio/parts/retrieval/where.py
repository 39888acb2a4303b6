"""Filters over the metadata of documents.

A filter becomes groups of labels: a document has one or more of every group. So a store has to find
labels and nothing else; ranges are looked up among the labels that there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    field_validator,
    model_validator,
)

from mlfolio.core.errors import nearest
from mlfolio.parts.retrieval.labels import MAX_KEYS, MAX_VALUE, as_day, as_number, as_text, shown

MAX_VALUES = 100  # in the list of a filter
_ASKED, _KNOWN = 3, 1_000  # values that the nearest one is looked for, and among how many at most

Value = Annotated[str, BeforeValidator(as_text, json_schema_input_type=bool | float | str)]


def _as_bound(given: Any) -> Any:
    """An end of a range: a number, or a day as text."""
    text = as_text(given)
    day, number = as_day(text), as_number(text)
    if day is None and number is None:
        raise ValueError("no number and no day: write 2024 or 2024-12-31")
    return number if day is None else day


Bound = Annotated[int | float | str, BeforeValidator(_as_bound)]


class Between(BaseModel):
    """A range of numbers or of days, both ends included; one may be missing.

    Attributes:
        first: What is called `from`.
        last: What is called `to`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True,
                              serialize_by_alias=True)  # fmt: skip

    first: Bound | None = Field(None, alias="from")
    last: Bound | None = Field(None, alias="to")

    @model_validator(mode="before")
    @classmethod
    def _only_ends(cls, given: Any) -> Any:
        for name in given if isinstance(given, Mapping) else ():
            if name not in ("from", "to"):
                near = nearest(str(name), ["from", "to"])
                hint = f"; did you mean {near!r}?" if near else ""
                raise ValueError(f"{shown(name)} is no end of a range: those are from, to{hint}")
        return given

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        ends = [end for end in (self.first, self.last) if end is not None]
        if not ends:
            raise ValueError('a range has an end: {"from": "2024-01-01"}')
        if len({isinstance(end, str) for end in ends}) > 1:
            raise ValueError("from and to are two numbers, or two days")
        return self

    def holds(self, text: str) -> bool:
        """Whether a value, as labels have it, lies in it; a point in time counts as its day."""
        of_days = isinstance(self.first if self.first is not None else self.last, str)
        value: Any = as_day(text) if of_days else as_number(text)
        if value is None:
            return False
        first: Any = value if self.first is None else self.first
        last: Any = value if self.last is None else self.last
        return bool(first <= value <= last)


def _kind(given: Any) -> str:
    if isinstance(given, Mapping | Between):
        return "range"
    return "list" if isinstance(given, list | tuple) else "value"


OneOf = Annotated[tuple[Value, ...], Field(min_length=1, max_length=MAX_VALUES)]
Condition = Annotated[
    Annotated[Value, Tag("value")]
    | Annotated[OneOf, Tag("list")]
    | Annotated[Between, Tag("range")],
    Discriminator(_kind),
]


class Where(RootModel[dict[str, Condition]]):
    """What the metadata of a document have to be: every key holds.

    A value: the document has it. A list: it has one of them. `{"from": ..., "to": ...}`: it has one
    in this range.
    """

    model_config = ConfigDict(frozen=True)

    root: dict[Annotated[str, Field(max_length=MAX_VALUE)], Condition] = Field(max_length=MAX_KEYS)

    @field_validator("root", mode="before")
    @classmethod
    def _lower(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        lower = {str(key).lower(): condition for key, condition in given.items()}
        if len(lower) < len(given):
            raise ValueError("a key is there twice, but for upper and lower case")
        return lower

    @field_validator("root", mode="after")
    @classmethod
    def _ordered(cls, root: dict[str, Condition]) -> dict[str, Condition]:
        # The same values are the same filter, whatever their order.
        return {
            key: tuple(sorted(set(condition))) if isinstance(condition, tuple) else condition
            for key, condition in root.items()
        }

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.root)

    def __hash__(self) -> int:
        """Of its conditions, in whatever order."""
        return hash(frozenset(self.root.items()))


def keys_of(vocabulary: Iterable[str]) -> list[str]:
    """The keys of labels, in order."""
    return sorted({label.partition("=")[0] for label in vocabulary})


def unknown_keys(where: Where, known: Collection[str]) -> dict[str, str]:
    """The keys of a filter that no document has, and what is wrong with each.

    Args:
        where: The filter.
        known: The keys that some document has; the nearest of them is told.
    """
    found = {}
    for key in where.root:
        if key not in known:
            near = nearest(key, known)
            found[key] = "no document has this key" + (f"; did you mean {near!r}?" if near else "")
    return found


class Resolved(NamedTuple):
    """A filter as a store takes it.

    Attributes:
        groups: Of labels, see `Within`; one a key.
        lacking: Says of each condition that no document meets which one it is.
    """

    groups: tuple[tuple[str, ...], ...]
    lacking: list[str]


def resolve(where: Where, vocabulary: Iterable[str]) -> Resolved:
    """Looks a filter up among the labels that there are.

    Args:
        where: The filter.
        vocabulary: All labels that there are.
    """
    values = defaultdict[str, list[str]](list)
    for label in vocabulary:
        key, _, value = label.partition("=")
        if key in where.root:
            values[key].append(value)
    groups, lacking = [], []
    for key, condition in where.root.items():
        met = sorted(value for value in values[key] if _meets(condition, value))
        groups.append(tuple(f"{key}={value}" for value in met))
        if not met:
            lacking.append(_lack(key, condition, values[key]))
    return Resolved(tuple(groups), lacking)


def _meets(condition: Condition, value: str) -> bool:
    if isinstance(condition, Between):
        return condition.holds(value)
    return value in condition if isinstance(condition, tuple) else value == condition


def _lack(key: str, condition: Condition, known: list[str]) -> str:
    """What no document has, with the nearest value that some have."""
    if isinstance(condition, Between):
        ends = {"from": condition.first, "to": condition.last}
        said = " ".join(f"{name} {end}" for name, end in ends.items() if end is not None)
        return f"no document has a {key} {said}"
    asked = condition if isinstance(condition, tuple) else (condition,)
    few = asked[:_ASKED] if len(known) <= _KNOWN else ()
    near = next(filter(None, (nearest(value, known) for value in few)), None)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"no document has {key} = {' or '.join(asked)}"[:300] + hint
