"""What a row of a batch must be: as the champion's training rows were, or those that came first."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from mlfolio.core.errors import Problem, UserError
from mlfolio.core.inputs import field_names, problems_of
from mlfolio.core.model import Input, Output
from mlfolio.data.labelled import GREATEST, NUMBERS, why_left_out
from mlfolio.data.versions import EXACT, TRUTHS
from mlfolio.parts.tabular.model import TabularModel
from mlfolio.parts.tabular.schema import Schema

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlfolio.lifecycle import Predictor

Cell = str | int | float
PLAIN = frozenset(("string", "number", "integer", "boolean", "null"))


class Founded(BaseModel):
    """What the first batch said of a table, for the later ones, while there is no champion.

    Attributes:
        target: The column to predict.
        columns: All columns that it had.
        schema: Of those that a model may use.
    """

    target: str | None
    columns: list[str]
    table: Schema


@dataclass(frozen=True)
class Rules:
    """What a row must be.

    Attributes:
        by: Whose rules these are, in words.
        kind: The type of a row without the column to predict.
        target: That column; None for systems that predict none.
        classes: What it may hold, as text; empty where that is not known.
        numeric: Whether it holds numbers.
        further: Other columns that are nothing new.
    """

    by: str
    kind: type[Input]
    target: str | None
    classes: tuple[str, ...] = ()
    numeric: bool = False
    further: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        return tuple(field_names(self.kind))

    @cached_property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What the JSON schema says of each of them."""
        found: dict[str, dict[str, Any]] = self.kind.model_json_schema(by_alias=True)["properties"]
        return found

    @cached_property
    def numbers(self) -> dict[str, str]:
        """The columns of numbers, each with the name of its attribute in a row."""
        attributes = {f.alias or name: name for name, f in self.kind.model_fields.items()}
        return {
            column: attributes[column]
            for column, facts in self.facts.items()
            if _types(facts) <= {"number", "integer", "null"}
        }

    @cached_property
    def truths(self) -> frozenset[str]:
        """The columns of truth values: they are text, True and False however they are written."""
        words = set(TRUTHS.values())
        seen = {column: set(facts.get("seen", ())) for column, facts in self.facts.items()}
        return frozenset(column for column, values in seen.items() if values and values <= words)

    def row_problems(
        self, number: int, row: Mapping[str, Cell]
    ) -> tuple[dict[str, float | None], list[Problem]]:
        """Looks at a row.

        Args:
            number: Its number, from 0.
            row: Its cells by column, without those that are empty.

        Returns:
            Its numbers by column, and what is wrong with it.
        """
        try:
            valid = self.kind.model_validate({c: row[c] for c in self.fields if c in row}).__dict__
        except ValidationError as error:
            return {}, problems_of(self.kind, number, error)
        values = {column: valid[attribute] for column, attribute in self.numbers.items()}
        return values, [
            Problem(number, column, f"is no number to learn from, beyond {GREATEST:g}", repr(value))
            for column, value in values.items()
            if value is not None and abs(value) > GREATEST
        ]

    def label_problem(self, number: int, label: Cell) -> Problem | None:
        """What is wrong with what a row has in the column to predict."""
        target = str(self.target)
        if self.numeric:
            known = _number(label)
            if known is None or not abs(known) <= GREATEST:
                return Problem(number, target, "should be a number", repr(label))
        elif self.classes and self.label(label) not in self.classes:
            few = ", ".join(map(repr, self.classes[:10]))
            return Problem(number, target, f"should be one of {few}", repr(label))
        return None

    def label(self, cell: Cell) -> str:
        """What is in the column to predict, as the classes have it: 1.0 as 1, TRUE as True."""
        text, whole = as_text(cell), _whole(cell)
        if self.numeric:
            return whole or text
        forms = (text, whole, TRUTHS.get(text))
        return next((form for form in forms if form is not None and form in self.classes), text)

    def strange(self, frame: DataFrame) -> dict[str, int]:
        """In how many rows each column has a value that training never saw: drift, no error."""
        found = {}
        for column in self.fields:
            seen, values = self.facts[column].get("seen"), frame[column].dropna()
            if not seen:
                continue
            if column in self.numbers:
                count = int((~values.between(*seen)).sum())
            else:
                count = int((~values.isin(seen)).sum())
            if count:
                found[column] = count
        return found


def champion_rules(predictor: Predictor, target: str | None) -> Rules:
    """What a row must be for a champion to have been trained on its like.

    Raises:
        UserError: Its questions are no rows of a table.
    """
    model = predictor.model
    classes, numeric = _answers(model.output_type)
    if isinstance(model, TabularModel):
        classes = tuple(map(str, model.classes))
    rules = Rules(
        by=f"the champion, version {predictor.version}", kind=model.input_type, target=target,
        classes=classes, numeric=numeric, further=tuple(getattr(model, "ignored", ())),
    )  # fmt: skip
    for column, facts in rules.facts.items():
        if not _types(facts) <= PLAIN or "contentEncoding" in str(facts):
            raise UserError(
                f"{predictor.system} is asked no rows of a table: {column!r} is no number or text",
                f"mlfolio run {predictor.system} --data PATH takes what it learns from",
            )
    return rules


def found(frame: DataFrame, target: str | None) -> Founded:
    """Learns what a table is from its first rows.

    Args:
        frame: The rows as text, missing cells as None; changed in place.
        target: The column to predict.
    """
    import pandas as pd

    for column in frame:
        if frame[column].dropna().isin(TRUTHS).all():
            frame[column] = frame[column].map(TRUTHS)
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.notna().sum() >= NUMBERS * max(1, frame[column].notna().sum()):
            frame[column] = numbers.where(numbers.abs() <= GREATEST)
    columns = [str(column) for column in frame]
    used = [c for c in columns if c != target and not why_left_out(frame[c], texts=(c,))]
    return Founded(target=target, columns=columns, table=Schema.learn(frame[used]))


def founded_rules(founded: Founded, output: type[Output] | None) -> Rules:
    """What a row must be to be like those of the first batch."""
    classes, numeric = _answers(output) if output else ((), False)
    return Rules(
        by="the first batch", kind=founded.table.row_type(), target=founded.target,
        classes=classes, numeric=numeric, further=tuple(founded.columns),
    )  # fmt: skip


def find_id(columns: Sequence[str], used: Collection[str]) -> str | None:
    """The first column whose name says that it tells rows apart, and that nothing is learned from.

    Args:
        columns: All of them.
        used: Those that a model uses, and the one to predict.
    """
    from mlfolio.data.labelled import is_called_identifier

    return next((c for c in columns if c not in used and is_called_identifier(c)), None)


def as_text(cell: Cell) -> str:
    """A cell as a CSV would have it: 3.0 is written 3."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)


def as_compared(cell: Cell) -> str:
    """A cell in the form in which it is compared: 1.50 is 1.5, TRUE is True, 0042 is itself."""
    text = as_text(cell)
    if re.match(EXACT, text):
        return text
    return TRUTHS.get(text) or _whole(text) or text


def _whole(label: Cell) -> str | None:
    """What `as_text` makes of a number that is written as text."""
    known = _number(label)
    return None if known is None else as_text(known)


def _number(cell: Cell) -> float | None:
    try:
        known = float(cell)
    except ValueError:
        return None
    return known if math.isfinite(known) else None


def _types(facts: Mapping[str, Any]) -> set[str]:
    """The JSON types that a field takes; "any" where that is not said."""
    return {part.get("type", "any") for part in facts.get("anyOf", [facts])}


def _answers(output: type[Output]) -> tuple[tuple[str, ...], bool]:
    """The classes that a model answers with, as far as its type says, and whether with numbers."""
    facts = output.model_json_schema()["properties"]["answer"]
    classes = tuple(map(str, facts.get("enum", ())))
    return classes, _types(facts) <= {"number", "integer"} and "number" in _types(facts)
