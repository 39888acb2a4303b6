"""The schema of a table: learned from the training rows, it says what an input must look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field, create_model

from mlfolio.core.model import Input
from mlfolio.data.labelled import is_category

MAX_TEXT = 10_000
FEW = 5  # whole numbers that are a choice rather than a range
STEPS = (1.0, 0.1, 0.01)  # that numbers may be multiples of
EXAMPLES = 5
TOLD = 12  # columns that a warning names
BLANKS = frozenset(("", "-", "--", "?", ".", "na", "n/a", "#n/a", "nan", "none", "null"))

ColumnKind = Literal["number", "category", "text"]


def _as_text(value: Any) -> Any:
    """Categories are text; a number or a truth value is taken by its name."""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return value


Text = Annotated[str, BeforeValidator(_as_text), Field(max_length=MAX_TEXT)]


def _blank_as_missing(value: Any) -> Any:
    """What people write into a cell of numbers that they leave empty is missing."""
    return None if isinstance(value, str) and value.strip().lower() in BLANKS else value


class Column(BaseModel):
    """What the training rows say of one column.

    Attributes:
        name: Its name.
        kind: `number`, `category` (few values that repeat) or `text`.
        minimum: Least value seen (numbers).
        maximum: Greatest value seen (numbers).
        step: What all values seen are multiples of: 1 for whole numbers; None for no round number.
        choices: All values seen, where they are whole and few.
        categories: All values seen (categories), the most frequent first.
        missing: Share of training rows in which it is missing.
        typical: The median, or the most frequent category; None for text, and where most rows have
            none.
    """

    name: str
    kind: ColumnKind
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: list[float] = []
    categories: list[str] = []
    missing: float = 0.0
    typical: float | str | None = None

    @classmethod
    def of(cls, values: pd.Series) -> Column:
        """Learns a column from its training values."""
        name, missing = str(values.name), float(values.isna().mean())
        known = values.dropna()
        if pd.api.types.is_numeric_dtype(values):
            distinct = np.unique(known.to_numpy(dtype=float))
            step = _step(distinct)
            return cls(
                name=name, kind="number", missing=missing, minimum=float(known.min()),
                maximum=float(known.max()), step=step,
                typical=float(known.median()) if missing <= 0.5 else None,
                choices=distinct.tolist() if step == 1 and len(distinct) <= FEW else [],
            )  # fmt: skip
        if not is_category(values):
            return cls(name=name, kind="text", missing=missing)
        counts = known.astype(str).value_counts()
        return cls(
            name=name, kind="category", missing=missing, categories=list(counts.index),
            typical=counts.index[0] if missing <= 0.5 else None,
        )  # fmt: skip

    @property
    def assumed(self) -> float | str | None:
        """What stands for a value that is not given.

        Where training never lacked one, a model has learned nothing of that case, and the typical
        value is taken. Where it did, missing is a state that the model knows, and stays.
        """
        return None if self.missing else self.typical

    @property
    def seen(self) -> list[Any]:
        """What a form offers: the range of a number, the values of a category."""
        if self.kind == "number" and self.minimum is not None:
            return [self.minimum, self.maximum]
        return list(self.categories)

    @property
    def hints(self) -> dict[str, Any]:
        """What a form makes of it, beside its JSON type."""
        found = {"seen": self.seen, "step": self.step, "choices": self.choices}
        return {key: value for key, value in found.items() if value}

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
        """Learns the schema from training features, shape (n, columns).

        The examples are spread over the rows: a table that is sorted by class shows every class.
        """
        schema = cls(columns=[Column.of(features[name]) for name in features], complete=complete)
        count = min(EXAMPLES, len(features))
        spread = (np.arange(count) * 2 + 1) * len(features) // (2 * max(count, 1))
        rows = schema.conform(features.iloc[spread]).astype(object)
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
            field = Field(
                default, alias=column.name, description=description,
                json_schema_extra=column.hints or None,
            )  # fmt: skip
            if not self.complete:
                kind = kind | None
                # Of categories only where training knew a missing one: elsewhere "none" is a name.
                if column.kind == "number" or (column.kind == "category" and column.missing):
                    kind = Annotated[kind, BeforeValidator(_blank_as_missing)]
            fields[f"column_{number}"] = (kind, field)
        return create_model("Row", __base__=Input, **fields)

    def inputs(self, features: pd.DataFrame) -> list[Input]:
        """The rows of a frame as the questions that ask the same."""
        kind, rows = self.row_type(), self.conform(features).astype(object)
        known = rows.where(rows.notna(), None).to_dict("records")
        return [kind.model_validate({str(k): v for k, v in row.items()}) for row in known]

    def values(self, row: Input) -> list[Any]:
        """A row's values in the order of the columns, as the model takes them."""
        given = [getattr(row, f"column_{number}") for number in range(len(self.columns))]
        pairs = zip(self.columns, given, strict=True)
        return [column.assumed if value is None else value for column, value in pairs]

    def frame(self, inputs: Sequence[Input]) -> pd.DataFrame:
        """The rows as a model wants them, shape (n, columns): floats and text."""
        rows = [self.values(row) for row in inputs]
        cells = {}
        for number, column in enumerate(self.columns):
            kind = float if column.kind == "number" else object
            cells[column.name] = np.array([row[number] for row in rows], dtype=kind)
        return pd.DataFrame(cells)

    def conform(self, features: pd.DataFrame) -> pd.DataFrame:
        """A frame that was read from a file, in the types and with the values that `frame` gives.

        Training rows pass unchanged: what is filled in here was never missing there.
        """
        cells: dict[str, Any] = {}
        for column in self.columns:
            values = features[column.name]
            if column.kind == "number":
                numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
                assumed = math.nan if column.assumed is None else column.assumed
                cells[column.name] = np.where(np.isnan(numbers), assumed, numbers)
            else:
                texts = values.map(_as_text, na_action="ignore").astype(object)
                cells[column.name] = texts.where(values.notna(), column.assumed).to_numpy()
        return pd.DataFrame(cells)

    def warnings(self, row: Input) -> list[str]:
        """What the caller should know of a row before trusting the answer."""
        values = [getattr(row, f"column_{number}") for number in range(len(self.columns))]
        pairs = list(zip(self.columns, values, strict=True))
        found = [warning for column, value in pairs if (warning := column.warning(value))]
        # What was sometimes missing in training is nothing strange.
        absent = [column for column, value in pairs if value is None and not column.missing]
        filled = [f"{c.name} = {_shown(c.assumed)}" for c in absent if c.assumed is not None]
        if filled:
            found.append(f"not given, so typical values are assumed: {_listed(filled)}")
        texts = [column.name for column in absent if column.assumed is None]
        if texts:
            found.append(f"not given: {_listed(texts)}")
        return found

    def _describe(self, column: Column) -> str:
        if column.kind == "number":
            return f"number, in training {column.minimum:g} to {column.maximum:g}"
        if column.kind == "category":
            return f"one of {', '.join(column.categories[:20])}"
        return "text"


def _step(distinct: NDArray[np.float64]) -> float | None:
    """The largest round number that all values are multiples of."""
    for step in STEPS:
        steps = distinct / step
        if np.allclose(steps, np.round(steps), rtol=0, atol=1e-6):
            return step
    return None


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - TOLD
    return ", ".join(names[:TOLD]) + (f" and {rest} more" if rest > 0 else "")


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
