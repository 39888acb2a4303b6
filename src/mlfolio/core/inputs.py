"""From what people type or send to a model's `Input`: the one door that every caller uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mlfolio.core.errors import InputError, Problem, nearest
from mlfolio.core.model import Input, Model


def parse_inputs(model: Model, rows: Sequence[Mapping[str, Any] | Input]) -> list[Input]:
    """Validates rows against the model's input type.

    Field names are matched without regard to case where that leaves no doubt, so `sex=female`
    finds the column `Sex`.

    Args:
        model: The model that will answer.
        rows: Mappings of field to value, or inputs that are valid already.

    Raises:
        InputError: All problems of all rows, each with row, field, value and rule.
    """
    inputs: list[Input] = []
    problems: list[Problem] = []
    names = field_names(model.input_type)
    folded = Counter(name.lower() for name in names)
    by_lower = {name.lower(): name for name in names if folded[name.lower()] == 1}
    for number, row in enumerate(rows):
        if isinstance(row, model.input_type):
            inputs.append(row)
            continue
        if isinstance(row, Input):  # of another model: its fields may be the same
            row = row.model_dump(by_alias=True)
        if not isinstance(row, Mapping):
            problems.append(
                Problem(number, "(row)", "is no mapping of field to value", _shown(row))
            )
            continue
        try:
            inputs.append(model.input_type.model_validate(_named(row, by_lower)))
        except ValidationError as error:
            problems += [_problem(model.input_type, number, details) for details in error.errors()]
    if problems:
        raise InputError(problems, f"fields: {', '.join(names)}")
    return inputs


def field_names(kind: type[Input]) -> list[str]:
    """The names under which an input's fields are given (their aliases where they have one)."""
    return [field.alias or name for name, field in kind.model_fields.items()]


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
    return Problem(row, field, details["msg"], _shown(details["input"]))


def _shown(value: Any) -> str:
    """A value, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
