"""From what people type or send to a model's `Input`: the one door that every caller uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError

from mlfolio.core.errors import InputError, Problem, nearest
from mlfolio.core.model import Input, Model

MAX_PROBLEMS = 100  # that are told of one call
Given = TypeVar("Given", bound=Input)


def parse_inputs(
    model: Model, rows: Sequence[Mapping[str, Any] | Input], first_row: int = 0
) -> list[Input]:
    """Validates rows against the model's input type.

    Field names are matched without regard to case where that leaves no doubt, so `sex=female`
    finds the column `Sex`.

    Args:
        model: The model that will answer.
        rows: Mappings of field to value, or inputs that are valid already.
        first_row: Number of the first of them, for the problems, where they are part of more.

    Raises:
        InputError: The problems of the rows, each with row, field, value and rule.
    """
    return parse_as(model.input_type, rows, first_row)


def parse_as(
    kind: type[Given], rows: Sequence[Mapping[str, Any] | Input], first_row: int = 0
) -> list[Given]:
    """As `parse_inputs`, for a type of input."""
    inputs: list[Given] = []
    problems: list[Problem] = []
    names = field_names(kind)
    folded = Counter(name.lower() for name in names)
    by_lower = {name.lower(): name for name in names if folded[name.lower()] == 1}
    for number, row in enumerate(rows, start=first_row):
        if len(problems) >= MAX_PROBLEMS:
            break
        if isinstance(row, kind):
            inputs.append(row)
            continue
        if isinstance(row, Input):  # of another model: its fields may be the same
            row = row.model_dump(by_alias=True)
        if not isinstance(row, Mapping):
            problems.append(
                Problem(number, "(row)", "is no mapping of field to value", _shown(row))
            )
            continue
        if len(row) > len(names) + MAX_PROBLEMS:  # each would be looked up among the names
            rule = f"has {len(row):,} fields; there are {len(names):,}"
            problems.append(Problem(number, "(row)", rule))
            continue
        try:
            inputs.append(kind.model_validate(_named(row, by_lower)))
        except ValidationError as error:
            problems += problems_of(kind, number, error)
    if problems:
        raise InputError(problems, f"fields: {', '.join(names)}")
    return inputs


def problems_of(kind: type[Input], row: int, error: ValidationError) -> list[Problem]:
    """What pydantic found in a row of this number, from 0."""
    found = error.errors(include_url=False)[:MAX_PROBLEMS]
    return [_problem(kind, row, details) for details in found]


def field_names(kind: type[Input]) -> list[str]:
    """The names under which an input's fields are given (their aliases where they have one)."""
    return [field.alias or name for name, field in kind.model_fields.items()]


@lru_cache(maxsize=256)  # a server asks for every request; a model's type is its own
def file_fields(kind: type[Input]) -> tuple[str, ...]:
    """The fields that are files, by the names under which they are given: base64 in JSON."""

    def is_file(facts: Mapping[str, Any]) -> bool:
        parts = (facts, *facts.get("anyOf", []))
        return any(part.get("contentEncoding") == "base64" for part in parts)

    fields = kind.model_json_schema(by_alias=True)["properties"]
    return tuple(name for name, facts in fields.items() if is_file(facts))


def _named(row: Mapping[str, Any], by_lower: Mapping[str, str]) -> dict[str, Any]:
    """The row under the fields' own names; a key that stands for none of them stays as it is."""
    named: dict[str, Any] = {}
    for key, value in row.items():
        field = by_lower.get(str(key).lower(), str(key))
        # "Age" and "age" beside each other: the second is no other way to give the first.
        named[str(key) if field in row or field in named else field] = value
    return named


def _problem(kind: type[Input], row: int, details: Any) -> Problem:
    """One problem that pydantic found."""
    field = ".".join(str(part) for part in details["loc"]) or "(row)"
    if details["type"] == "extra_forbidden":
        near = nearest(field, field_names(kind))
        return Problem(row, field, "no such field" + (f"; did you mean {near!r}?" if near else ""))
    if details["type"] == "missing":
        return Problem(row, field, "required and not given")
    rule = details["msg"].removeprefix("Value error, ")
    return Problem(row, field, rule, _shown(details["input"]))


def _shown(value: Any) -> str:
    """A value, cut where it is long; bytes say nothing to anybody."""
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
