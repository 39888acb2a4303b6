"""The stored model of titanic: a table's classifier that knows the passengers' features."""

from __future__ import annotations

from typing import ClassVar

from mlfolio.parts.tabular.model import TabularModel

from .features import PartySurvival, PassengerFeatures


class TitanicModel(TabularModel):
    """A calibrated classifier of two classes; takes Kaggle's raw columns."""

    trusted: ClassVar[tuple[type | str, ...]] = (
        *TabularModel.trusted,
        PartySurvival,
        PassengerFeatures,
    )
