"""From what people type or send to a model's `Input`: the one door that every caller uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mlfolio.core.errors import InputError, Problem, nearest
from mlfolio.core.model import Input, Model


def parse_inputs(model: Model, rows: Sequence[Mapping[str, Any] | Input]) -> list[Input]:
    """Validates rows against the model's input type.

    Field names are matched without regard to case, so `sex=female` finds the column `Sex`.

    Args:
        model: The model that will answer.
        rows: Mappings of field to value, or inputs that are valid already.

    Raises:
        InputError: All problems of all rows, each with row, field, value and rule.
    """
    inputs: list[Input] = []
    problems: list[Problem] = []
    by_lower = {name.lower(): name for name in field_names(model.input_type)}
    for number, row in enumerate(rows):
        if isinstance(row, Input):
            inputs.append(row)
            continue
        if not isinstance(row, Mapping):
            problems.append(
                Problem(number, "(row)", "is no mapping of field to value", _shown(row))
            )
            continue
        named = {by_lower.get(str(key).lower(), str(key)): value for key, value in row.items()}
        try:
            inputs.append(model.input_type.model_validate(named))
        except ValidationError as error:
            problems += [_problem(model.input_type, number, details) for details in error.errors()]
    if problems:
        raise InputError(problems, f"fields: {', '.join(field_names(model.input_type))}")
    return inputs


def field_names(kind: type[Input]) -> list[str]:
    """The names under which an input's fields are given (their aliases where they have one)."""
    return [field.alias or name for name, field in kind.model_fields.items()]


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
