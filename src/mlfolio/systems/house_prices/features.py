"""What a row of the Ames table means: grades in order, NA as "there is none", sizes added up.

A transformer from frame to frame, fitted inside the folds. It needs no prices. Columns that it does
not know pass through untouched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mlfolio.parts.tabular.encoder import Floats, numbers, texts

# What tells Ames from any other table; of the other columns any may be absent.
CORE: Final = frozenset((
    "GrLivArea", "TotalBsmtSF", "OverallQual", "OverallCond", "YearBuilt", "YrSold", "Neighborhood",
))  # fmt: skip
_QUALITY: Final = ("Po", "Fa", "TA", "Gd", "Ex")
_FINISH: Final = ("Unf", "LwQ", "Rec", "BLQ", "ALQ", "GLQ")
# Grades from the worst to the best (data_description.txt); with none the grade is nought.
GRADES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("ExterQual", "ExterCond", "HeatingQC", "KitchenQual", "PoolQC"), _QUALITY),
    **dict.fromkeys(("BsmtQual", "BsmtCond", "FireplaceQu", "GarageQual", "GarageCond"), _QUALITY),
    **dict.fromkeys(("BsmtFinType1", "BsmtFinType2"), _FINISH),
    "BsmtExposure": ("No", "Mn", "Av", "Gd"),
    "GarageFinish": ("Unf", "RFn", "Fin"),
    "Functional": ("Sal", "Sev", "Maj2", "Maj1", "Mod", "Min2", "Min1", "Typ"),
    "Fence": ("MnWw", "GdWo", "MnPrv", "GdPrv"),
    "LotShape": ("IR3", "IR2", "IR1", "Reg"),
    "LandSlope": ("Sev", "Mod", "Gtl"),
    "Alley": ("Grvl", "Pave"),
    "Street": ("Grvl", "Pave"),
    "PavedDrive": ("N", "P", "Y"),
    "CentralAir": ("N", "Y"),
    "Electrical": ("Mix", "FuseP", "FuseF", "FuseA", "SBrkr"),
    "Utilities": ("ELO", "NoSeWa", "NoSewr", "AllPub"),
}  # fmt: skip
# Which size says whether the thing is there at all: with none NA means "none", else "not known".
PART_OF: Final[dict[str, str]] = {
    **dict.fromkeys(("BsmtQual", "BsmtCond", "BsmtExposure", "BsmtFinType1"), "TotalBsmtSF"),
    "BsmtFinType2": "TotalBsmtSF",
    **dict.fromkeys(("GarageQual", "GarageCond", "GarageFinish", "GarageType"), "GarageArea"),
    "FireplaceQu": "Fireplaces",
    "PoolQC": "PoolArea",
    "MasVnrType": "MasVnrArea",
}
WHOLES: Final = {
    "GrLivArea": ("1stFlrSF", "2ndFlrSF", "LowQualFinSF"),
    "TotalBsmtSF": ("BsmtFinSF1", "BsmtFinSF2", "BsmtUnfSF"),
}
NONE_IF_MISSING: Final = frozenset(("Fence", "Alley", "MiscFeature"))
KINDS: Final = (
    "MSSubClass", "MSZoning", "LandContour", "LotConfig", "Neighborhood", "Condition1",
    "Condition2", "BldgType", "HouseStyle", "RoofStyle", "RoofMatl", "Exterior1st", "Exterior2nd",
    "MasVnrType", "Foundation", "Heating", "GarageType", "MiscFeature", "MoSold", "SaleType",
    "SaleCondition",
)  # fmt: skip
SIZES: Final = (
    "LotArea", "LotFrontage", "MasVnrArea", "BsmtFinSF1", "BsmtFinSF2", "BsmtUnfSF", "TotalBsmtSF",
    "1stFlrSF", "2ndFlrSF", "LowQualFinSF", "GrLivArea", "GarageArea", "WoodDeckSF", "OpenPorchSF",
    "EnclosedPorch", "3SsnPorch", "ScreenPorch", "PoolArea", "MiscVal",
)  # fmt: skip
COUNTS: Final = (
    "OverallQual", "OverallCond", "BsmtFullBath", "BsmtHalfBath", "FullBath", "HalfBath",
    "BedroomAbvGr", "KitchenAbvGr", "TotRmsAbvGrd", "Fireplaces", "GarageCars", "YrSold",
)  # fmt: skip
YEARS: Final = ("YearBuilt", "YearRemodAdd", "GarageYrBlt")
RATED: Final = ("ExterQual", "BsmtQual", "KitchenQual", "HeatingQC", "FireplaceQu", "GarageFinish")
COMPARED: Final = ("OverallQual", "TotalSF", "GrLivArea", "LotArea", "Age")  # with the neighbours
KNOWN: Final = frozenset((*GRADES, *KINDS, *SIZES, *COUNTS, *YEARS))
GIANT: Final = 4_000  # square feet of living area
BLANKS: Final = frozenset(("", "NA", "None"))
CODES: Final = ("MSSubClass",)  # written as numbers


def is_ames(columns: Iterable[str]) -> bool:
    """Whether a table has the columns of Ames that these features cannot do without."""
    return set(columns) >= CORE


def unfinished_giants(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which houses were sold unfinished and have more than 4,000 square feet, shape (n,).

    They fetched far less than their size says; De Cock (2011), who published the data, advises to
    remove them. Here they stay, and what they cost is told.
    """
    if not {"GrLivArea", "SaleCondition"} <= set(rows.columns):
        return np.zeros(len(rows), dtype=bool)
    partial = np.array([value == "Partial" for value in texts(rows, "SaleCondition")], dtype=bool)
    return np.asarray((numbers(rows, "GrLivArea") > GIANT) & partial)


class HouseFeatures(TransformerMixin, BaseEstimator):
    """Replaces the columns of Ames by what they mean.

    A missing grade or kind is "none" (grade 0) where the size of the thing is nought, as
    data_description.txt has it, and a typical one where the thing is there. Sizes are taken by
    their logarithm, because prices are. What a house is beyond its neighbours is a feature too: the
    finest house of a poor street does not fetch what it would fetch elsewhere.

    Attributes:
        typical_: The most frequent grade or kind among the houses that have the thing, by column.
        around_: Medians by neighbourhood, and under the empty key of them all, of the street
            frontage and of each feature in `COMPARED`.
    """

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Learns what is typical, shape (n, columns)."""
        X = _reconciled(X)
        self.typical_: dict[str, str] = {}
        for column in X.columns.intersection([*GRADES, *KINDS]):
            known = pd.Series([value for value in _plain(X, column) if value], dtype=object)
            self.typical_[column] = str(known.mode().iloc[0]) if len(known) else ""
        places = texts(X, "Neighborhood")
        self.around_ = {"LotFrontage": _medians(_size(X, "LotFrontage", np.nan), places)}
        features = self._features(X)
        for name in filter(features.__contains__, COMPARED):
            self.around_[name] = _medians(features[name], places)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The features of each house, and the columns that are not of Ames."""
        check_is_fitted(self)
        X = _reconciled(X)
        features = self._features(X)
        features |= self._beside_neighbours(X, features)
        return pd.DataFrame(features, X.index)

    def _features(self, X: pd.DataFrame) -> dict[str, Any]:
        """What a row says of its house alone."""
        grades = {c: self._grades(X, c) for c in GRADES if c in X}
        sizes = {c: np.log1p(_size(X, c)) for c in SIZES if c in X}
        sizes["LotFrontage"] = np.log1p(self._frontages(X))
        features: dict[str, Any] = {str(c): X[c].to_numpy() for c in X if c not in KNOWN}
        features |= {c: self._kinds(X, c) for c in KINDS if c in X}
        features |= {c: _size(X, c) for c in COUNTS if c in X}
        return {**features, **grades, **sizes, **_sums(X, grades)}

    def _beside_neighbours(self, X: pd.DataFrame, features: dict[str, Any]) -> dict[str, Floats]:
        """The neighbourhood's medians, and by how much a house is beyond them."""
        found = {}
        for name in filter(features.__contains__, COMPARED):
            found[f"Around{name}"] = self._around(X, name)
            found[f"Beyond{name}"] = features[name] - found[f"Around{name}"]
        finer = found["BeyondOverallQual"].clip(min=0)
        larger = found["BeyondTotalSF"].clip(min=0)
        return {**found, "Finer": finer, "Larger": larger, "Overbuilt": finer * larger}

    def _around(self, X: pd.DataFrame, name: str) -> Floats:
        medians = self.around_[name]
        return np.array([medians.get(place, medians[""]) for place in texts(X, "Neighborhood")])

    def _grades(self, X: pd.DataFrame, column: str) -> Floats:
        places = {name: float(place) for place, name in enumerate(GRADES[column], 1)}
        typical = places.get(self.typical_[column], 0.0)
        values = np.array([places.get(value, typical) for value in _plain(X, column)])
        return np.where(_absent(X, column), 0.0, values)

    def _kinds(self, X: pd.DataFrame, column: str) -> list[str]:
        pairs = zip(_plain(X, column), _absent(X, column).tolist(), strict=True)
        return ["none" if none else value or self.typical_[column] for value, none in pairs]

    def _frontages(self, X: pd.DataFrame) -> Floats:
        known = _size(X, "LotFrontage", np.nan)
        return np.where(np.isnan(known), self._around(X, "LotFrontage"), known)


def _reconciled(X: pd.DataFrame) -> pd.DataFrame:
    """Parts that add up to their whole, and no garage for no cars.

    In the data they do. Where only the whole is given, the parts are typical ones of another house.
    """
    changed: dict[str, Floats] = {}
    for whole, parts in WHOLES.items():
        if whole in X and set(parts) <= set(X):
            total, wanted = _total(X, *parts), _size(X, whole, np.nan)
            known = (total > 0) & ~np.isnan(wanted)
            scale = np.divide(wanted, total, out=np.ones(len(X)), where=known)
            if (scale != 1).any():
                changed |= {part: _size(X, part) * scale for part in parts}
    if {"GarageCars", "GarageArea"} <= set(X):
        empty = _size(X, "GarageCars", np.nan) == 0
        if empty.any():
            changed["GarageArea"] = np.where(empty, 0, numbers(X, "GarageArea"))
    return X.assign(**changed) if changed else X


def _sums(X: pd.DataFrame, grades: dict[str, Floats]) -> dict[str, Floats]:
    """What several columns say together."""
    basement, living = _size(X, "TotalBsmtSF"), _size(X, "GrLivArea")
    sold, built = numbers(X, "YrSold"), numbers(X, "YearBuilt")
    renewed = np.fmax(numbers(X, "YearRemodAdd") if "YearRemodAdd" in X else built, built)
    quality, condition = _size(X, "OverallQual"), _size(X, "OverallCond")
    return {
        "TotalSF": np.log1p(basement + living),
        "FinishedSF": np.log1p(_total(X, "BsmtFinSF1", "BsmtFinSF2") + living),
        "Baths": _total(X, "FullBath", "BsmtFullBath") + _total(X, "HalfBath", "BsmtHalfBath") / 2,
        "Age": np.log1p((sold - built).clip(min=0)),
        "SinceRemodel": np.log1p((sold - renewed).clip(min=0)),
        "Built": built,
        "New": (sold - built <= 1).astype(float),
        "Porches": np.log1p(_total(X, "WoodDeckSF", *(c for c in SIZES if "Porch" in c))),
        "QualitySquared": quality**2,
        "QualityCondition": quality * condition,
        "QualitySize": quality * np.log1p(basement + living),
        "Grades": sum((grades[c] for c in RATED if c in grades), np.zeros(len(X))),
        "SFPerRoom": np.log1p(living / _size(X, "TotRmsAbvGrd").clip(min=1)),
    }


def _absent(X: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Where there is no such thing, shape (n,)."""
    if column in PART_OF:
        return np.equal(_size(X, PART_OF[column], np.nan), 0)
    if column not in NONE_IF_MISSING:
        return np.zeros(len(X), dtype=bool)
    return np.array([value == "" for value in _plain(X, column)], dtype=bool)


def _medians(values: Floats, places: list[str]) -> dict[str, float]:
    """The median of each place, and of them all under the empty key; 0 where none is known."""
    known = pd.Series(values).groupby(places).median().dropna()
    overall = float(known.median()) if len(known) else 0.0
    return {**{str(name): float(value) for name, value in known.items()}, "": overall}


def _total(X: pd.DataFrame, *columns: str) -> Floats:
    return sum((_size(X, column) for column in columns), np.zeros(len(X)))


def _size(X: pd.DataFrame, column: str, missing: float = 0.0) -> Floats:
    """A size, nought where it is not given: of what is not there, and of columns that are not."""
    values = numbers(X, column) if column in X else np.full(len(X), np.nan)
    return np.where(np.isnan(values), missing, values.clip(min=0))


def _plain(X: pd.DataFrame, column: str) -> list[str]:
    """A column as text, numbers without fractions, the empty string where there is nothing."""
    if X[column].dtype.kind in "iuf":
        return ["" if value != value else f"{value:.0f}" for value in X[column].tolist()]
    return ["" if value in BLANKS else value for value in texts(X, column)]
