"""From a data frame to a matrix of floats, by plain dictionaries and arrays.

One row costs microseconds, and everything learned is plain enough to be stored without pickle.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mlfolio.data.labelled import MAX_CATEGORIES

Kind = Literal["number", "category", "ignored"]
Floats = NDArray[np.float64]


def texts(X: pd.DataFrame, column: str) -> list[str]:
    """A column as strings, the empty string where the value is missing."""
    return ["" if value is None or value != value else str(value) for value in X[column].tolist()]


def numbers(X: pd.DataFrame, column: str) -> Floats:
    """A column as floats, NaN where the value is missing or no number."""
    values = X[column]
    if values.dtype.kind not in "iufb":
        values = pd.to_numeric(values, errors="coerce")
    return np.asarray(values, dtype=np.float64)


def kind_of(column: pd.Series, max_categories: int) -> Kind:
    """How to treat a column: constants and free text are ignored."""
    if column.nunique(dropna=False) < 2:
        return "ignored"
    if column.dtype.kind in "iuf":
        return "number"
    return "category" if column.nunique() <= max_categories else "ignored"


class TabularEncoder(TransformerMixin, BaseEstimator):
    """Encodes each column by its kind.

    Numbers are imputed by the median (with an indicator), clipped to the bulk of what was seen
    and standardised; categories are one-hot encoded, rare and unknown ones as all zeros.

    Args:
        max_categories: A text column with more values than that is ignored.
        min_count: A category seen less often is encoded as if it were unknown.
        clip: Share of the rows at each end that numbers are clipped to, in [0, 0.5).

    Attributes:
        kinds_: The kind of each column of the training table.
        scales_: Median, lower and upper clip, mean and standard deviation of each number.
        categories_: The frequent values of each category.
        incomplete_: The numbers that had missing values.
    """

    def __init__(
        self, max_categories: int = MAX_CATEGORIES, min_count: int = 10, clip: float = 0.005
    ) -> None:
        self.max_categories = max_categories
        self.min_count = min_count
        self.clip = clip

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Learns the kinds, scales and categories of the columns, shape (n, columns)."""
        self.kinds_: dict[str, Kind] = {c: kind_of(X[c], self.max_categories) for c in X.columns}
        self.scales_: dict[str, tuple[float, ...]] = {}
        self.categories_: dict[str, list[str]] = {}
        self.incomplete_: list[str] = []
        for column, kind in self.kinds_.items():
            if kind == "number":
                self._fit_number(column, numbers(X, column))
            elif kind == "category":
                counts = pd.Series(texts(X, column)).value_counts()
                frequent = counts[counts >= self.min_count].index
                self.categories_[column] = sorted(str(value) for value in frequent)
        return self

    def _fit_number(self, column: str, values: Floats) -> None:
        if np.isnan(values).any():
            self.incomplete_.append(column)
        low, median, high = np.nanquantile(values, [self.clip, 0.5, 1 - self.clip])
        bulk = np.clip(np.where(np.isnan(values), median, values), low, high)
        scale = (median, low, high, bulk.mean(), bulk.std() or 1.0)
        self.scales_[column] = tuple(map(float, scale))

    def transform(self, X: pd.DataFrame) -> Floats:
        """The matrix whose columns `get_feature_names_out` names, shape (n, features)."""
        check_is_fitted(self)
        parts: list[NDArray[Any]] = [np.zeros((len(X), 0))]
        for column, (median, low, high, mean, deviation) in self.scales_.items():
            values = numbers(X, column)
            missing = np.isnan(values)
            parts.append((np.where(missing, median, values).clip(low, high) - mean) / deviation)
            if column in self.incomplete_:
                parts.append(missing)
        for column, categories in self.categories_.items():
            values_as_text = np.array(texts(X, column), dtype=object)
            parts.extend(values_as_text == category for category in categories)
        return np.column_stack(parts).astype(np.float64, copy=False)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Names of the matrix's columns."""
        names: list[str] = []
        for column in self.scales_:
            names += [column, f"{column} missing"] if column in self.incomplete_ else [column]
        for column, categories in self.categories_.items():
            names += [f"{column}={category}" for category in categories]
        return np.array(names, dtype=object)
