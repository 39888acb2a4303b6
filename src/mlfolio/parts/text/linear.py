"""Linear classifiers as arrays: whatever scikit-learn fitted, stored without its classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Scores that are weighted sums of features: the decision function of a linear classifier.

    Attributes:
        weights: Shape (features, outputs): one output for two classes, else one for each class.
        bias: Shape (outputs,).
        classes: The classes; of two, a score above nought speaks for the second.
    """

    weights: Floats
    bias: Floats
    classes: tuple[str, ...]

    @classmethod
    def of(cls, fitted: BaseEstimator) -> Self:
        """The arrays of a fitted linear classifier (`LinearSVC`, `LogisticRegression`, ...)."""
        return cls(
            weights=np.asarray(fitted.coef_, dtype=np.float64).T.copy(),
            bias=np.atleast_1d(np.asarray(fitted.intercept_, dtype=np.float64)),
            classes=tuple(map(str, fitted.classes_)),
        )

    def scores(self, X: csr_array) -> Floats:
        """The decision function, shape (n, outputs)."""
        return np.asarray(X @ self.weights + self.bias)

    def best(self, X: csr_array) -> NDArray[np.int64]:
        """Positions of the classes with the highest scores, shape (n,)."""
        found = self.scores(X)
        if len(self.classes) == 2:
            return (found[:, 0] > 0).astype(np.int64)
        return np.asarray(found.argmax(axis=1), dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Writes `linear.npz`."""
        np.savez_compressed(
            folder / "linear.npz", weights=self.weights, bias=self.bias,
            classes=np.array(self.classes),
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        with np.load(folder / "linear.npz", allow_pickle=False) as arrays:
            classes = tuple(arrays["classes"].tolist())
            return cls(arrays["weights"], arrays["bias"], classes)
