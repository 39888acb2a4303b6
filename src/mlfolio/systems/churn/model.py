"""The stored model of churn: chances, what an offer gains, and what would lower a chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import pandas as pd
from pydantic import BaseModel, ConfigDict

from mlfolio.core.model import Input, Output
from mlfolio.parts.tabular.encoder import Floats
from mlfolio.parts.tabular.model import ClassOutput, TabularModel

from .learning import Bends, CustomerFeatures
from .offer import Offer

TOLD: Final = 3  # changes of a customer
WORTH_TELLING: Final = 0.01  # of a chance


class Change(BaseModel):
    """What the company could change for a customer, as far as the model can tell.

    Attributes:
        column: The column.
        value: What it is.
        to: The value with which the chance would be least.
        chance: The chance of leaving with that value, all else being as it is.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    value: str
    to: str
    chance: float


class ChurnOutput(ClassOutput):
    """The class of a customer, and what to do.

    Attributes:
        gain: What an offer to stay is expected to gain, in the money of the table; negative where
            it costs more than it brings.
        changes: What would lower the chance most, the best first. An association in the data, not
            the effect of changing it.
    """

    gain: float
    changes: list[Change]


@dataclass(eq=False)
class ChurnModel(TabularModel):
    """A calibrated classifier of two classes that knows what an offer costs.

    Attributes:
        offer: What an offer costs and brings; the threshold is its break-even.
        levers: Columns that the company can change, each with the values that it can choose.
    """

    output_type: ClassVar[type[Output]] = ChurnOutput
    trusted: ClassVar[tuple[type | str, ...]] = (*TabularModel.trusted, Bends, CustomerFeatures)

    offer: Offer = field(default_factory=lambda: Offer(value=1, price=1, works=1))
    levers: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.offer = Offer.model_validate(self.offer)  # stored it is JSON

    def answer(self, inputs: Sequence[Input], chances: Floats) -> list[Output]:
        """The answers that probabilities of shape (n, classes) give to rows."""
        leaves = chances[:, 1]
        found = zip(
            super().answer(inputs, chances),
            self.offer.gains(leaves).tolist(),
            self._changes(self.schema.frame(inputs), leaves),
            strict=True,
        )
        return [
            ChurnOutput(**dict(output), gain=round(gain, 2), changes=changes)
            for output, gain, changes in found
        ]

    def _changes(self, rows: pd.DataFrame, chances: Floats) -> list[list[Change]]:
        """For each row what would lower its chance, each lever with its best value."""
        asked = [  # a row whose own value is not offered has no choice
            (at, column, given, value)
            for column, offered in self.levers.items()
            for at, given in enumerate(rows[column])
            if given in offered
            for value in offered
            if value != given
        ]
        tried = rows.iloc[[at for at, *_ in asked]]
        changed = {
            column: [
                value if column == lever else kept
                for (_, lever, _, value), kept in zip(asked, tried[column], strict=True)
            ]
            for column in self.levers
        }
        best: dict[tuple[int, str], Change] = {}
        tried = tried.assign(**changed)
        after = self.estimator.predict_proba(tried)[:, 1].tolist() if asked else []
        for (at, column, given, value), chance in zip(asked, after, strict=True):
            known = best.get((at, column))
            if chance < (known.chance if known else chances[at] - WORTH_TELLING):
                best[at, column] = Change(column=column, value=given, to=value, chance=chance)
        found: list[list[Change]] = [[] for _ in range(len(rows))]
        for (at, _), change in sorted(best.items(), key=lambda item: item[1].chance):
            found[at].append(change)
        return [changes[:TOLD] for changes in found]
