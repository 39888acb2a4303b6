"""The stored model of house-prices: a blend, the schema of its table, and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlfolio.core.model import Input, Output, Reason
from mlfolio.parts.conformal import Spread
from mlfolio.parts.tabular.encoder import TabularEncoder
from mlfolio.parts.tabular.explain import explain_row
from mlfolio.parts.tabular.schema import Column, Schema
from mlfolio.parts.tabular.stored import load_model, save_model

from .blend import Blend
from .features import HouseFeatures

Floats = NDArray[np.float64]
TRUSTED: tuple[type | str, ...] = (
    Blend,
    Spread,
    HouseFeatures,
    TabularEncoder,
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMRegressor",
)


class PriceOutput(Output):
    """A number and how far off it may be.

    Attributes:
        answer: The number, rounded to about a thousandth of what the answers differ by.
        low: The lower end of its interval.
        high: The upper end.
        level: The share of rows whose truth lies within their intervals, in (0, 1).
    """

    answer: int | float
    low: int | float
    high: int | float
    level: float = Field(gt=0, lt=1)


@dataclass(eq=False)
class PriceModel:
    """A fitted blend and the schema of its table.

    Confidence is None: the chance that a price is exactly right is nought. The interval says how
    sure an answer is.

    Attributes:
        schema: The columns it was fitted on.
        estimator: Takes `schema.frame(...)`.
        target: What training says of the answers.
        deviation: Standard deviation of the answers.
        level: Share of rows that the intervals are to cover.
        ignored: Columns of the table that it does not use (ids, the target); allowed in files.
    """

    output_type: ClassVar[type[Output]] = PriceOutput

    schema: Schema
    estimator: Blend
    target: Column
    deviation: float
    level: float
    ignored: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.target = Column.model_validate(self.target)  # stored it is JSON

    @cached_property
    def input_type(self) -> type[Input]:
        """A row of the table."""
        return self.schema.row_type()

    @property
    def digits(self) -> int:
        """The decimals worth telling; negative for tens and hundreds."""
        return -math.floor(math.log10(self.deviation / 1_000))

    def predict(self, inputs: Sequence[Input]) -> list[Output]:
        """Answers each row."""
        if not inputs:
            return []
        return self.answer(
            inputs, *self.estimator.predict_intervals(self.schema.frame(inputs), self.level)
        )

    def answer(
        self, inputs: Sequence[Input], guesses: Floats, lows: Floats, highs: Floats
    ) -> list[Output]:
        """The answers to rows that guesses and the ends of their intervals give, each (n,)."""
        found = zip(inputs, guesses.tolist(), lows.tolist(), highs.tolist(), strict=True)
        return [
            PriceOutput(
                answer=self._rounded(answer),
                low=self._rounded(low),
                high=self._rounded(high),
                level=self.level,
                warnings=[*self.schema.warnings(row), *self._warnings(answer)],
            )
            for row, answer, low, high in found
        ]

    def explain(self, inputs: Sequence[Input]) -> list[list[Reason]]:
        """For each row what each column adds to its answer, in the answer's own unit."""
        digits = max(self.digits, 0)
        return [
            explain_row(self.schema, row, self.estimator.predict, self.target.name, digits)
            for row in inputs
        ]

    def examples(self) -> list[Input]:
        """A few rows of the training table."""
        return [self.input_type.model_validate(row) for row in self.schema.example]

    def save(self, folder: Path) -> None:
        """Writes `model.skops` and `model.json`."""
        save_model(self, folder, TRUSTED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a stored model.

        Raises:
            FileError: The file holds types that this model is not made of.
        """
        return load_model(cls, folder, TRUSTED)

    def _rounded(self, value: float) -> int | float:
        rounded = round(value, self.digits)
        return int(rounded) if self.digits <= 0 else rounded

    def _warnings(self, answer: float) -> list[str]:
        """What to say of an answer beyond every one that training had."""
        warning = self.target.warning(answer)
        return [f"the answer is a guess: {warning}"] if warning else []
