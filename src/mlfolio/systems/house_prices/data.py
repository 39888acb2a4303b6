"""Kaggle's houses of Ames, any other table with a number to predict, or made-up houses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.core.system import Finding
from mlfolio.data.labelled import (
    TableSplit,
    choose_features,
    labelled_rows,
    read_labelled,
    read_numbers,
    require_own,
)

from .features import CODES, CORE, GIANT, is_ames, unfinished_giants

TARGET = "SalePrice"
FEWEST = 50  # rows: nested folds of fewer say nothing
SAMPLE_ROWS = 300
PLACES = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Maple", "Oak")


def load_houses(source: Source, target: str, drop: Sequence[str] = ()) -> TableSplit:
    """The rows with a price, all of them: the protocol is nested cross-validation.

    Args:
        source: Kaggle's files, the generated sample, or the user's CSV or folder with `train.csv`
            and perhaps `test.csv`.
        target: Column with the number to predict.
        drop: Columns to leave out.

    Raises:
        DataUnavailableError: Kaggle's files are not here.
        UserError: The table cannot be used, or a knob names a column that is not there.
    """
    require_own(source, target, TARGET)
    read = read_labelled(
        source, "house-prices", sorted(CORE), target, lambda: generate(SAMPLE_ROWS)
    )
    rows, notes = labelled_rows(read.table, target, read.name)
    rows, unread = _numbers_only(rows, target, read.name)
    if is_ames(map(str, rows.columns)):
        codes = {c: rows[c].map("{:.0f}".format, na_action="ignore") for c in CODES if c in rows}
        rows = rows.assign(**codes)
    features, left_out = choose_features(rows, target, read.name, drop=drop)
    told = [*notes, *unread, *_find_giants(rows), *left_out]
    return TableSplit.whole(source, read, target, rows, features, told)


def _numbers_only(rows: pd.DataFrame, target: str, name: str) -> tuple[pd.DataFrame, list[Finding]]:
    """The rows whose answer is a number, as floats: classes are whole numbers or text.

    Raises:
        FileError: The column is text, has one or two values, or too great ones, or too few rows.
    """
    other = f"mlfolio run titanic --data FILE target={target} takes a column of two classes"
    notes = read_numbers(rows, [target], name)
    if not pd.api.types.is_numeric_dtype(rows[target]):
        shown = ", ".join(map(repr, rows[target].unique()[:3]))
        raise FileError(
            f"column {target!r} of {name} holds no numbers ({shown})",
            f"name a column of numbers: target=COLUMN; numbers are written 1234.5; {other}",
        )
    known = rows[rows[target].notna()].astype({target: np.float64}).reset_index(drop=True)
    if (distinct := known[target].nunique()) < 3:
        raise FileError(
            f"column {target!r} of {name} has {distinct} different values",
            f"{other}; this system needs a number that varies",
        )
    if len(known) < FEWEST:
        raise FileError(
            f"{name} has {len(known)} rows with {target!r}; at least {FEWEST} are needed",
            "add rows",
        )
    return known, notes


def _find_giants(rows: pd.DataFrame) -> list[Finding]:
    """The outliers of Ames, said aloud."""
    odd = rows[unfinished_giants(rows)]
    if odd.empty:
        return []
    named = ", ".join(map(str, odd.get("Id", odd.index)))
    return [
        Finding(
            level="warning",
            check="outliers",
            message=f"{len(odd)} houses of more than {GIANT:,} square feet were sold unfinished, "
            f"far below what their size says (Id {named})",
            fix="they stay in the fit and in every score",
        )
    ]


def generate(rows: int, seed: int = 0) -> pd.DataFrame:
    """Made-up houses with columns of Ames, empty cells where there is no such thing.

    What is better in one way tends to be better in others, and prices follow size, quality, age and
    neighbourhood, so that every feature of the system has something to find.

    Args:
        rows: Number of houses.
        seed: Seed of the chance.
    """
    rng = np.random.default_rng(seed)
    place = rng.integers(len(PLACES), size=rows)
    level = rng.normal(0.25 * (place - 3.5), 0.8)  # of a house, from poor to fine

    def whole(middle: Any, spread: float, low: float, high: Any) -> NDArray[Any]:
        return np.clip(np.round(rng.normal(middle, spread, rows)), low, high).astype(int)

    def chance(share: Any) -> NDArray[Any]:
        return np.asarray(rng.random(rows) < share)

    def grade(bias: float = 0.0) -> pd.Series:
        grades = np.array(["Fa", "TA", "Gd", "Ex"])
        return pd.Series(grades[whole(1.3 + 0.7 * level + bias, 0.5, 0, 3)])

    living = np.exp(rng.normal(7.25 + 0.12 * level, 0.25)).astype(int)
    lot = np.exp(rng.normal(9.1, 0.4, rows)).astype(int)
    second = np.where(chance(0.4), 0.45 * living, 0).astype(int)
    basement = np.where(chance(0.95), 0.9 * (living - second), 0).astype(int)
    finished = np.where(chance(0.6), basement * rng.uniform(0.2, 0.9, rows), 0).astype(int)
    cars, fires = whole(1.7 + 0.5 * level, 0.6, 0, 3), chance(0.3 + 0.1 * level).astype(int)
    sold = rng.integers(2006, 2011, rows)
    built = whole(1972 + 20 * level, 15, 1890, sold)
    quality, condition = whole(6 + 1.2 * level, 0.5, 1, 10), whole(5.3, 0.8, 2, 9)
    normal = chance(0.9)
    price = 12 + 0.02 * place + 0.09 * (quality - 6) + 0.04 * (condition - 5) - 0.1 * ~normal
    price += 0.55 * np.log(living / 1450) + 0.1 * np.log(lot / 9000) + 0.0001 * basement
    price += 0.0001 * finished + 0.05 * cars + 0.04 * fires + 0.0015 * (built - 1972)
    return pd.DataFrame(
        {
            "Id": np.arange(1, rows + 1),
            "MSSubClass": np.where(second > 0, 60, 20),
            "LotFrontage": np.where(chance(0.8), np.round(lot**0.46), np.nan),
            "LotArea": lot,
            "Alley": pd.Series("Grvl", range(rows)).where(chance(0.1)),
            "Neighborhood": np.array(PLACES)[place],
            "OverallQual": quality,
            "OverallCond": condition,
            "YearBuilt": built,
            "YearRemodAdd": np.maximum(built, whole(1995, 8, 1950, sold)),
            "ExterQual": grade(-0.3),
            "BsmtQual": grade().where(basement > 0),
            "BsmtFinSF1": finished,
            "TotalBsmtSF": basement,
            "HeatingQC": grade(0.5),
            "CentralAir": np.where(chance(0.94), "Y", "N"),
            "1stFlrSF": living - second,
            "2ndFlrSF": second,
            "GrLivArea": living,
            "FullBath": 1 + chance(0.3 + 0.2 * level),
            "BedroomAbvGr": whole(living / 520, 0.5, 1, 6),
            "KitchenQual": grade(),
            "TotRmsAbvGrd": whole(living / 230, 0.7, 3, 12),
            "Fireplaces": fires,
            "FireplaceQu": grade().where(fires > 0),
            "GarageType": pd.Series(np.where(level > -0.6, "Attchd", "Detchd")).where(cars > 0),
            "GarageCars": cars,
            "GarageArea": cars * rng.integers(200, 300, rows),
            "WoodDeckSF": np.where(chance(0.5), rng.integers(60, 300, rows), 0),
            "MoSold": rng.integers(1, 13, rows),
            "YrSold": sold,
            "SaleCondition": np.where(normal, "Normal", "Abnorml"),
            "SalePrice": np.round(np.exp(rng.normal(price, np.where(normal, 0.09, 0.2))), -2),
        }
    )
