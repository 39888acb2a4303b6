"""A classifier over a table, stored without pickle and answering row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from mlfolio.core.model import LOG_ODDS, Input, Output, Reason
from mlfolio.parts.tabular.encoder import Floats, TabularEncoder
from mlfolio.parts.tabular.explain import explain_row
from mlfolio.parts.tabular.schema import Schema
from mlfolio.parts.tabular.stored import load_model, save_model


class ClassOutput(Output):
    """The class of a row.

    Attributes:
        answer: The class, as it is written in the table.
        probabilities: Of each class, by its name; they sum to one.
    """

    answer: int | str
    probabilities: dict[str, float]


def decide(chances: Floats, threshold: float = 0.5) -> NDArray[np.int64]:
    """Positions of the answers among the classes, shape (n,).

    Args:
        chances: Probability of each class, shape (n, classes).
        threshold: For two classes, the probability of the second from which it is the answer.
    """
    if chances.shape[1] == 2:
        return (chances[:, 1] >= threshold).astype(np.int64)
    return np.asarray(chances.argmax(axis=1), dtype=np.int64)


@dataclass(eq=False)
class TabularModel:
    """A fitted scikit-learn classifier and the schema of its table.

    Attributes:
        schema: The columns it was fitted on.
        estimator: Takes `schema.frame(...)`, gives `predict_proba`.
        classes: The classes in the order of the probabilities.
        threshold: For two classes, the probability of the second from which it is the answer.
        ignored: Columns of the table that it does not use (ids, the target); allowed in files.
        trusted: Classes of the estimator's parts beyond scikit-learn's own; only these are ever
            made when a stored model is read.
    """

    output_type: ClassVar[type[Output]] = ClassOutput
    trusted: ClassVar[tuple[type | str, ...]] = (
        TabularEncoder,
        # What scikit-learn's and LightGBM's own classifiers are made of.
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    )

    schema: Schema
    estimator: BaseEstimator
    classes: list[int | str]
    threshold: float = 0.5
    ignored: Sequence[str] = ()

    @cached_property
    def input_type(self) -> type[Input]:
        """A row of the table."""
        return self.schema.row_type()

    def probabilities(self, inputs: Sequence[Input]) -> Floats:
        """Probability of each class, shape (n, classes)."""
        found: Floats = self.estimator.predict_proba(self.schema.frame(inputs))
        return found

    def predict(self, inputs: Sequence[Input]) -> list[Output]:
        """Answers each row."""
        return self.answer(inputs, self.probabilities(inputs)) if inputs else []

    def answer(self, inputs: Sequence[Input], chances: Floats) -> list[Output]:
        """The answers that probabilities of shape (n, classes) give to rows."""
        names = [str(label) for label in self.classes]
        rows = zip(inputs, chances.tolist(), self.decide(chances).tolist(), strict=True)
        return [
            ClassOutput(
                answer=self.classes[best],
                confidence=min(1.0, found[best]),
                probabilities=dict(zip(names, found, strict=True)),
                warnings=self.schema.warnings(row),
            )
            for row, found, best in rows
        ]

    def decide(self, chances: Floats) -> NDArray[np.int64]:
        """Positions of the answers among the classes, for probabilities of shape (n, classes)."""
        return decide(chances, self.threshold)

    def explain(self, inputs: Sequence[Input]) -> list[list[Reason]]:
        """For each row what each column adds to the log-odds of its answer."""
        answers = self.decide(self.probabilities(inputs)).tolist() if inputs else []

        def odds(answer: int) -> Callable[[pd.DataFrame], Floats]:
            return lambda rows: _log_odds(self.estimator.predict_proba(rows)[:, answer])

        return [
            explain_row(self.schema, row, odds(answer), LOG_ODDS)
            for row, answer in zip(inputs, answers, strict=True)
        ]

    def examples(self) -> list[Input]:
        """A few rows of the training table."""
        return [self.input_type.model_validate(row) for row in self.schema.example]

    def save(self, folder: Path) -> None:
        """Writes `model.skops` and `model.json`."""
        save_model(self, folder, self.trusted)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a stored model.

        Raises:
            FileError: The file holds types that this model is not made of.
        """
        return load_model(cls, folder, cls.trusted)


def _log_odds(chances: Floats) -> Floats:
    clipped = np.clip(chances, 1e-6, 1 - 1e-6)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds
