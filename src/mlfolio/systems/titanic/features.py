"""What a passenger's row says beyond its cells, and what became of the people beside them.

Two transformers from frame to frame. `PassengerFeatures` reads what a row says about one
passenger and needs no answers; `PartySurvival` adds the fate of the passenger's party and needs
them. Both are fitted inside the folds. Columns they do not know pass through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mlfolio.parts.tabular.encoder import Floats, numbers, texts

TITANIC_COLUMNS: Final = frozenset(
    ("Pclass", "Name", "Sex", "Age", "SibSp", "Parch", "Ticket", "Fare", "Cabin", "Embarked")
)
AGES: Final = ((0, "baby"), (3, "child"), (13, "youth"), (18, "adult"), (50, "old"))
_TITLE: Final = re.compile(r",\s*(?:the\s+)?([^.,]+)\.")
_TITLES: Final = {
    "Mr": "Mr", "Mrs": "Mrs", "Miss": "Miss", "Master": "Master",
    "Ms": "Miss", "Mlle": "Miss", "Mme": "Mrs", "Lady": "Mrs", "Countess": "Mrs",
}  # fmt: skip


def is_passenger_list(columns: Iterable[str]) -> bool:
    """Whether a table has all of Kaggle's columns, so that these features apply."""
    return set(columns) >= TITANIC_COLUMNS


def passenger_steps(columns: Iterable[str]) -> list[tuple[str, BaseEstimator]]:
    """The steps of a pipeline that these columns need before the encoder; none for other tables."""
    if not is_passenger_list(columns):
        return []
    return [("party", PartySurvival()), ("passenger", PassengerFeatures())]


def title_of(name: str, sex: str) -> str:
    """Mr, Mrs, Miss or Master; a rank (Dr, Rev, Col) counts as an adult of its sex."""
    match = _TITLE.search(name)
    title = _TITLES.get(match.group(1).strip()) if match else None
    return title or ("Mrs" if sex == "female" else "Mr")


def role_of(sex: str, title: str) -> str:
    """Who a passenger is to the order "women and children first"."""
    return "woman" if sex == "female" else "boy" if title == "Master" else "man"


def family_of(size: float) -> str:
    """The kind of family: large ones fared far worse than small ones."""
    return "alone" if size <= 1 else "small" if size <= 4 else "large"


def age_group(age: float) -> str:
    """The name of an age in years."""
    return next((name for start, name in reversed(AGES) if age >= start), "unknown")


def family_sizes(X: pd.DataFrame) -> Floats:
    """How many of its family each passenger's row speaks of, the passenger included."""
    return np.nan_to_num(numbers(X, "SibSp")) + np.nan_to_num(numbers(X, "Parch")) + 1


def titles(X: pd.DataFrame) -> list[str]:
    """The title of each row's passenger."""
    return [title_of(*row) for row in zip(texts(X, "Name"), texts(X, "Sex"), strict=True)]


def roles(X: pd.DataFrame) -> list[str]:
    """The role of each row's passenger."""
    return [role_of(*row) for row in zip(texts(X, "Sex"), titles(X), strict=True)]


class PassengerFeatures(TransformerMixin, BaseEstimator):
    """Replaces the raw columns by readable features of each passenger.

    Ages are imputed by title and class, and a fare is shared among the ticket's known holders.

    Attributes:
        age_: Mean age by "title class", by title, and under the empty key over everybody.
        holders_: The names of the passengers seen on each ticket.
    """

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Learns typical ages and who travels on which ticket."""
        ages = numbers(X, "Age")
        self.age_: dict[str, float] = {
            **_means([""] * len(X), ages),
            **_means(titles(X), ages),
            **_means(_ranks(X), ages),
        }
        self.holders_: dict[str, list[str]] = {}
        for ticket, name in zip(texts(X, "Ticket"), texts(X, "Name"), strict=True):
            self.holders_.setdefault(ticket, []).append(name)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The features of each passenger, and the columns that are not Titanic's."""
        check_is_fitted(self)
        classes, who = numbers(X, "Pclass"), roles(X)
        sizes = family_sizes(X)
        cabins = texts(X, "Cabin")
        features: dict[str, Any] = {
            str(c): X[c].to_numpy() for c in X.columns if c not in TITANIC_COLUMNS
        }
        features |= {
            "Pclass": classes,
            "Role": who,
            "RoleInClass": [f"{role} {c:.0f}" for role, c in zip(who, classes, strict=True)],
            "Title": titles(X),
            "Age": self._ages(X),
            "FamilySize": sizes,
            "Family": [family_of(size) for size in sizes],
            "FarePerHead": np.log1p(numbers(X, "Fare").clip(min=0) / self._heads(X)),
            "CabinKnown": [float(cabin != "") for cabin in cabins],
            "Deck": [cabin[:1] for cabin in cabins],
            "Embarked": texts(X, "Embarked"),
        }
        return pd.DataFrame(features, index=X.index)

    def _ages(self, X: pd.DataFrame) -> Floats:
        """The known ages, and for the others the mean of title and class, or of title."""
        ages, overall = numbers(X, "Age"), self.age_.get("", np.nan)
        rows = zip(_ranks(X), titles(X), strict=True)
        typical = [self.age_.get(rank, self.age_.get(title, overall)) for rank, title in rows]
        return np.where(np.isnan(ages), typical, ages)

    def _heads(self, X: pd.DataFrame) -> Floats:
        """How many people share each row's ticket, the row's own passenger included."""
        rows = zip(texts(X, "Ticket"), texts(X, "Name"), strict=True)
        heads = [len({name, *self.holders_.get(ticket, ())}) for ticket, name in rows]
        return np.array(heads, dtype=np.float64)


class PartySurvival(TransformerMixin, BaseEstimator):
    """Adds how much better than expected the others of a passenger's party fared.

    A party is everybody on one ticket, in one family (surname, class and size) or of one surname
    who paid one fare in one class; the idea is Chris Deotte's woman-child groups (Kaggle, 2018).
    What counts is not whether the others survived but by how much that exceeds the survival rate
    of their role in their class: a drowned mother says more about a party than a drowned father.
    The feature is the sum of these surprises over the number of the others plus `smoothing`:
    nought without others, drawn towards nought for few.

    Passengers are left out of their own party by name. A training row therefore gets the same
    value from `transform` as from `fit_transform`, and never sees its own answer.

    Args:
        smoothing: How many unsurprising others to add to each party.
    """

    def __init__(self, smoothing: float = 1.0) -> None:
        self.smoothing = smoothing

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learns the surprise that each passenger's fate was, by party and by name."""
        survived = np.asarray(y, dtype=np.float64)
        ranks = [f"{role} {c:.0f}" for role, c in zip(roles(X), numbers(X, "Pclass"), strict=True)]
        rates = _means(ranks, survived)
        self.parties_: dict[str, dict[str, float]] = {}
        rows = zip(_party_keys(X), texts(X, "Name"), ranks, survived.tolist(), strict=True)
        for keys, name, rank, outcome in rows:
            for key in filter(None, keys):
                self.parties_.setdefault(key, {})[name] = outcome - rates[rank]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The rows with the column "PartySurvival"."""
        check_is_fitted(self)
        rows = zip(_party_keys(X), texts(X, "Name"), strict=True)
        return X.assign(PartySurvival=[self._surprise(keys, name) for keys, name in rows])

    def _surprise(self, keys: tuple[str, ...], name: str) -> float:
        members: dict[str, float] = {}
        for key in keys:
            members |= self.parties_.get(key, {})
        others = [surprise for other, surprise in members.items() if other != name]
        return sum(others) / (len(others) + self.smoothing)


def parties(X: pd.DataFrame) -> NDArray[np.int32]:
    """For each row the number of its party, shape (n,).

    Whoever shares a ticket, a family or a surname and fare is in one party, and so are the others
    of theirs: no two parties share anything that `PartySurvival` knows.
    """
    numbered: dict[str, int] = {}
    links = [
        (row, len(X) + numbered.setdefault(key, len(numbered)))
        for row, keys in enumerate(_party_keys(X))
        for key in filter(None, keys)
    ]
    size = len(X) + len(numbered)
    rows, keys = np.array(links).T if links else np.zeros((2, 0), dtype=int)
    graph = coo_array((np.ones(len(links)), (rows, keys)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels[: len(X)], dtype=np.int32)


def _ranks(X: pd.DataFrame) -> list[str]:
    """Each row's title and class; the class as a number, so that 3, 3.0 and "3" agree."""
    return [f"{title} {c:.0f}" for title, c in zip(titles(X), numbers(X, "Pclass"), strict=True)]


def _party_keys(X: pd.DataFrame) -> list[tuple[str, ...]]:
    """For each row the keys of its ticket, its family, and its namesakes at one fare."""
    surnames = [name.partition(",")[0].strip() for name in texts(X, "Name")]
    classes, fares = numbers(X, "Pclass"), numbers(X, "Fare")
    rows = zip(texts(X, "Ticket"), surnames, classes, family_sizes(X), fares, strict=True)
    return [
        (
            f"ticket {ticket}" if ticket else "",
            f"family {surname} {pclass:.0f} {size:.0f}" if surname and size > 1 else "",
            f"fare {surname} {pclass:.0f} {fare:.2f}" if surname else "",
        )
        for ticket, surname, pclass, size, fare in rows
    ]


def _means(keys: Iterable[str], values: Floats) -> dict[str, float]:
    """The mean value of each key's rows, NaN values left out."""
    groups: dict[str, list[float]] = {}
    for key, value in zip(keys, values.tolist(), strict=True):
        if not np.isnan(value):
            groups.setdefault(key, []).append(value)
    return {key: float(np.mean(group)) for key, group in groups.items()}
