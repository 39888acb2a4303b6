"""What an offer to stay costs and what it brings: from a chance to a decision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mlfolio.parts.tabular.encoder import Floats


class Offer(BaseModel):
    """An offer to a customer who may leave, in the money of the table.

    Attributes:
        value: What a customer is worth who stays because of it.
        price: What it costs, whoever gets it.
        works: Chance that it keeps somebody who would have left.
    """

    model_config = ConfigDict(frozen=True)

    value: float = Field(gt=0)
    price: float = Field(gt=0)
    works: float = Field(gt=0, le=1)

    @property
    def break_even(self) -> float:
        """The chance of leaving from which it pays; beyond 1 it never does.

        That is the best threshold for chances that are calibrated (Elkan, 2001, The foundations
        of cost-sensitive learning).
        """
        return self.price / (self.works * self.value)

    def gains(self, chances: Floats) -> Floats:
        """What it is expected to bring for each customer, shape (n,)."""
        return chances * self.works * self.value - self.price

    def profits(self, truth: NDArray[np.int64], offered: NDArray[np.bool_]) -> Floats:
        """What it would have brought for each customer, shape (n,).

        Args:
            truth: 1 for those who left, shape (n,).
            offered: Who would have got it; the others bring nothing and cost nothing.
        """
        return np.where(offered, self.gains(truth.astype(np.float64)), 0.0)

    def best_threshold(self, truth: NDArray[np.int64], chances: Floats) -> float:
        """The chance from which it would have brought most for these customers."""
        order = np.argsort(-chances, kind="stable")
        earned = np.cumsum(self.gains(truth[order].astype(np.float64)))
        # Equal chances get the same: only the last of them may be where the offers end.
        last = np.append(np.diff(chances[order]) != 0, True)
        best = int(np.where(last, earned, -np.inf).argmax())
        return float(chances[order][best]) if earned[best] > 0 else 1.0
