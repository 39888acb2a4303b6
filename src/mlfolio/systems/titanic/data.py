"""Kaggle's passengers, any other table with two classes, or a ship of made-up passengers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.tables import TableSplit, read_table, require_columns, require_target

COLUMNS = [
    "PassengerId", "Pclass", "Name", "Sex", "Age", "SibSp", "Parch", "Ticket", "Fare", "Cabin",
    "Embarked",
]  # fmt: skip
FEWEST = 20  # rows of each class: nested cross-validation splits them in 25
SAMPLE_ROWS = 400


def load_passengers(source: Source, target: str) -> TableSplit:
    """The labelled rows, all of them: the protocol is nested cross-validation.

    Args:
        source: Kaggle's files, the generated sample, or the user's CSV or folder with `train.csv`
            and perhaps `test.csv`.
        target: Column with the two classes.

    Raises:
        DataUnavailableError: Kaggle's files are not here.
        FileError: The table cannot be used.
    """
    record = get_dataset("titanic")
    extra = None
    if source.kind == "sample":
        table, name, licence = generate(SAMPLE_ROWS), "generated passengers", "Apache-2.0"
    else:
        folder = place("titanic") if source.path is None else source.path
        path, extra_path = _files(folder)
        name = record.title if source.path is None else path.name
        licence = record.licence if source.path is None else "the user's own"
        table = read_table(path)
        if source.path is None:
            require_columns(table, [*COLUMNS, target], str(path))
        extra = read_table(extra_path) if extra_path else None
    table = require_target(table, target, name)
    _require_two_classes(table[target], name)
    features = tuple(c for c in table.columns if c != target and not _is_identifier(table[c]))
    if not features:
        raise FileError(f"{name} has no column to predict {target!r} from", "add columns")
    if extra is not None:
        require_columns(extra, list(features), "test.csv")
    return TableSplit(
        source=source,
        dataset=name,
        licence=licence,
        target=target,
        features=features,
        train=table,
        test=table.iloc[:0],
        extra=extra,
    )


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
        "Ticket": str(10_000 + 7 * party),
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


def _files(path: Path) -> tuple[Path, Path | None]:
    """The labelled table and, beside it in a folder, the one to predict for."""
    if not path.is_dir():
        return path, None
    train, test = path / "train.csv", path / "test.csv"
    if not train.is_file():
        raise FileError(f"there is no train.csv in {path}", "name the file itself: --data FILE.csv")
    return train, test if test.is_file() else None


def _require_two_classes(answers: pd.Series, name: str) -> None:
    counts = answers.value_counts()
    if len(counts) != 2:
        shown = ", ".join(map(str, counts.index[:5])) + (", ..." if len(counts) > 5 else "")
        raise FileError(
            f"column {answers.name!r} of {name} has {len(counts)} different values ({shown}); "
            "this system predicts one of two",
            "name a column with two values: target=COLUMN",
        )
    if counts.min() < FEWEST:
        raise FileError(
            f"column {answers.name!r} of {name} has only {counts.min()} rows of "
            f"{counts.idxmin()!r}; at least {FEWEST} of each class are needed",
            "add rows",
        )


def _is_identifier(column: pd.Series) -> bool:
    """Whether a column only numbers or names the rows: all different, and called an id."""
    name = str(column.name).lower()
    called = (
        name in ("id", "index")
        or name.endswith(("id", "_no", "number"))
        or name.startswith("unnamed")
    )
    return called and column.nunique() == len(column)
