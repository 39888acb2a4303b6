"""Kaggle's passengers, any other table with two classes, or a ship of made-up passengers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlfolio.core.source import Source
from mlfolio.data.labelled import (
    TableSplit,
    choose_features,
    labelled_rows,
    read_labelled,
    require_classes,
    require_own,
)

from .features import TITANIC_COLUMNS, is_passenger_list

TARGET = "Survived"
COLUMNS = [
    "PassengerId", "Pclass", "Name", "Sex", "Age", "SibSp", "Parch", "Ticket", "Fare", "Cabin",
    "Embarked",
]  # fmt: skip
FEWEST = 20  # rows of each class: nested cross-validation splits them in 25
SAMPLE_ROWS = 400


def load_passengers(source: Source, target: str, drop: Sequence[str] = ()) -> TableSplit:
    """The labelled rows, all of them: the protocol is nested cross-validation.

    Args:
        source: Kaggle's files, the generated sample, or the user's CSV or folder with `train.csv`
            and perhaps `test.csv`.
        target: Column with the two classes.
        drop: Columns to leave out.

    Raises:
        DataUnavailableError: Kaggle's files are not here.
        UserError: The table cannot be used, or a knob names a column that is not there.
    """
    require_own(source, target, TARGET)
    read = read_labelled(source, "titanic", COLUMNS, target, lambda: generate(SAMPLE_ROWS))
    rows, notes = labelled_rows(read.table, target, read.name)
    rows[target] = require_classes(rows[target], read.name, exactly=2, fewest=FEWEST)
    texts = TITANIC_COLUMNS if is_passenger_list(str(c) for c in rows if c not in drop) else ()
    features, left_out = choose_features(rows, target, read.name, drop=drop, texts=texts)
    return TableSplit.whole(source, read, target, rows, features, [*notes, *left_out])


def generate(rows: int, seed: int = 0) -> pd.DataFrame:
    """Made-up passengers with Kaggle's columns, who travel alone or as families.

    Survival follows sex, class and age as it is told of the real ship, and families share some of
    their fate, so that every feature of the system has something to find.

    Args:
        rows: Number of passengers.
        seed: Seed of the chance.
    """
    rng = np.random.default_rng(seed)
    people: list[dict[str, object]] = []
    while len(people) < rows:
        people += _party(rng, party=len(people))
    table = pd.DataFrame(people[:rows])
    table.insert(0, "PassengerId", np.arange(1, rows + 1))
    return table[["PassengerId", "Survived", *COLUMNS[1:]]]


def _party(rng: np.random.Generator, party: int) -> list[dict[str, object]]:
    """People on one ticket: one alone, or parents with children."""
    surname = "".join(
        rng.choice(["Al", "Ber", "Co", "Dun", "El", "Fa", "Gor", "Hol", "Ir", "Kel"], 2)
    )
    surname = f"{surname.capitalize()}{rng.choice(['son', 'well', 'by', 'ton', 'ski', 'es'])}"
    pclass = int(rng.choice([1, 2, 3], p=[0.24, 0.21, 0.55]))
    roles = ["adult"]
    if rng.random() < 0.25:
        roles = ["husband", "wife", *["child"] * int(rng.integers(0, 4))]
    fare = round(float(rng.gamma(3, {1: 18, 2: 5, 3: 3}[pclass])) * len(roles), 4)
    cabin = f"{rng.choice(list('ABCDE'))}{rng.integers(2, 130)}" if rng.random() < 0.9 else None
    shared = {
        "Pclass": pclass,
        "Ticket": f"A/5 {10_000 + 7 * party}",
        "Fare": fare,
        "Cabin": cabin if pclass == 1 else None,
        "Embarked": str(rng.choice(["S", "C", "Q"], p=[0.72, 0.19, 0.09])),
    }
    fate = float(rng.normal(0, 1.2))
    return [_person(rng, surname, role, len(roles), fate, shared) for role in roles]


def _person(
    rng: np.random.Generator,
    surname: str,
    role: str,
    size: int,
    fate: float,
    shared: dict[str, object],
) -> dict[str, object]:
    male = {"husband": True, "wife": False}.get(role, bool(rng.random() < 0.6))
    child = role == "child"
    age = float(rng.uniform(0.5, 14)) if child else float(rng.gamma(9, 3.6))
    title = ("Master" if child else "Mr") if male else ("Mrs" if role == "wife" else "Miss")
    first = str(rng.choice(["Arn", "Bell", "Clar", "Dor", "Edm"])) + ("ard" if male else "ina")
    spouse, children = int(role in ("husband", "wife")), max(0, size - 2)
    odds = (-2.2 if male and not child else 1.6) + 0.9 * (2 - float(str(shared["Pclass"])))
    odds += (1.0 if child else 0.0) + fate * (not male or child)
    return {
        **shared,
        "Survived": int(rng.random() < 1 / (1 + np.exp(-odds))),
        "Name": f"{surname}, {title}. {first}",
        "Sex": "male" if male else "female",
        "Age": round(age) if rng.random() < 0.8 else None,
        "SibSp": children - 1 if child else spouse,
        "Parch": 2 if child else (children if spouse else 0),
    }
