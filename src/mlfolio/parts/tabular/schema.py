"""The schema of a table: learned from the training rows, it says what an input must look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, Field, create_model

from mlfolio.core.model import Input

MAX_CATEGORIES = 50
MAX_TEXT = 10_000

ColumnKind = Literal["number", "category", "text"]


def _as_text(value: Any) -> Any:
    """Categories are text; a number or a truth value is taken by its name."""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return value


Text = Annotated[str, BeforeValidator(_as_text), Field(max_length=MAX_TEXT)]


def as_numbers(values: pd.Series) -> pd.Series:
    """A column of numbers some of whose cells are blank or dashes, as numbers; others unchanged."""
    if pd.api.types.is_numeric_dtype(values):
        return values
    numbers = pd.to_numeric(values, errors="coerce")
    known = int(values.notna().sum())
    return numbers if known and numbers.notna().sum() >= 0.95 * known else values


class Column(BaseModel):
    """What the training rows say of one column.

    Attributes:
        name: Its name.
        kind: `number`, `category` (few values that repeat) or `text`.
        minimum: Least value seen (numbers).
        maximum: Greatest value seen (numbers).
        categories: All values seen (categories), the most frequent first.
        missing: Share of training rows in which it is missing.
    """

    name: str
    kind: ColumnKind
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str] = []
    missing: float = 0.0

    @classmethod
    def of(cls, values: pd.Series) -> Column:
        """Learns a column from its training values."""
        name = str(values.name)
        values = as_numbers(values)
        missing, known = float(values.isna().mean()), values.dropna()
        if pd.api.types.is_numeric_dtype(values):
            low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
            return cls(name=name, kind="number", minimum=low, maximum=high, missing=missing)
        counts = known.astype(str).value_counts()
        if len(counts) <= MAX_CATEGORIES and len(counts) <= max(2, len(known) / 2):
            return cls(name=name, kind="category", categories=list(counts.index), missing=missing)
        return cls(name=name, kind="text", missing=missing)

    def warning(self, value: Any) -> str | None:
        """What to say of a value that training never saw; None if it is an ordinary one."""
        if value is None:
            return None
        if self.kind == "number" and self.minimum is not None and self.maximum is not None:
            if not self.minimum <= value <= self.maximum:
                seen = f"{self.minimum:g} to {self.maximum:g}"
                return f"{self.name} = {value:g} is outside the training range {seen}"
        elif self.kind == "category" and value not in self.categories:
            known = ", ".join(self.categories[:10])
            return f"{self.name} = {value!r} was never seen in training (seen: {known})"
        return None


class Schema(BaseModel):
    """The columns of a table that a model uses.

    Attributes:
        columns: In the order of the table.
        complete: Whether every value must be given; else missing ones are filled in by the model.
        example: A few training rows, for pages and documentation.
    """

    columns: list[Column]
    complete: bool = False
    example: list[dict[str, Any]] = []

    @classmethod
    def learn(cls, features: pd.DataFrame, complete: bool = False) -> Schema:
        """Learns the schema from training features, shape (n, columns)."""
        schema = cls(columns=[Column.of(features[name]) for name in features], complete=complete)
        rows = schema.conform(features.head(5)).astype(object)
        known = rows.where(rows.notna(), None).to_dict("records")
        return schema.model_copy(
            update={"example": [{str(k): v for k, v in r.items()} for r in known]}
        )

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    def row_type(self) -> type[Input]:
        """The pydantic model of one row; columns that are no Python names keep them as aliases."""
        fields: dict[str, Any] = {}
        for number, column in enumerate(self.columns):
            kind: Any = float if column.kind == "number" else Text
            description = self._describe(column)
            default = ... if self.complete else None
            field = Field(default, alias=column.name, description=description)
            fields[f"column_{number}"] = (kind if self.complete else kind | None, field)
        return create_model("Row", __base__=Input, **fields)

    def frame(self, inputs: Sequence[Input]) -> pd.DataFrame:
        """The rows as a model wants them, shape (n, columns): floats and text."""
        cells = {}
        for number, column in enumerate(self.columns):
            values = [getattr(row, f"column_{number}") for row in inputs]
            if column.kind == "number":
                cells[column.name] = np.array(
                    [math.nan if value is None else value for value in values], dtype=float
                )
            else:
                cells[column.name] = np.array(values, dtype=object)
        return pd.DataFrame(cells)

    def conform(self, features: pd.DataFrame) -> pd.DataFrame:
        """A frame that was read from a file, in the types that `frame` gives."""
        cells: dict[str, Any] = {}
        for column in self.columns:
            values = features[column.name]
            if column.kind == "number":
                cells[column.name] = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
            else:
                texts = values.map(_as_text, na_action="ignore").astype(object)
                cells[column.name] = texts.where(values.notna(), None).to_numpy()
        return pd.DataFrame(cells)

    def warnings(self, row: Input) -> list[str]:
        """What the caller should know of a row before trusting the answer."""
        values = [getattr(row, f"column_{number}") for number in range(len(self.columns))]
        pairs = list(zip(self.columns, values, strict=True))
        found = [warning for column, value in pairs if (warning := column.warning(value))]
        # What was sometimes missing in training is nothing strange.
        absent = [column.name for column, value in pairs if value is None and not column.missing]
        if absent:
            found.append(f"not given, so typical values are assumed: {', '.join(absent)}")
        return found

    def _describe(self, column: Column) -> str:
        if column.kind == "number":
            return f"number, in training {column.minimum:g} to {column.maximum:g}"
        if column.kind == "category":
            return f"one of {', '.join(column.categories[:20])}"
        return "text"
