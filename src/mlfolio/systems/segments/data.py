"""The customers of the mall, of a shop of our own invention, or of the user's table or till."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from mlfolio.core.errors import FileError, KnobError, UnknownNameError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.doctor import find_pairs
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.labelled import read_numbers, why_left_out
from mlfolio.data.tables import read_table, require_columns

from .purchases import RFM, Names, by_customer, find_names

MALL = ("Annual Income (k$)", "Spending Score (1-100)")
FEWEST = 30  # customers
MANY_MISSING = 0.2  # share of the customers from which a column is left out rather than them
SAMPLE_ROWS = 240
NAME_THEM = "name the columns that matter: columns=A,B"
_ID = re.compile(r"(?i:\b(customer|client|user|member)?_?id)$|[a-z]I[Dd]$")


@dataclass(frozen=True)
class Customers:
    """A table of customers, one a row. Nothing is held out: there are no answers to hide.

    Attributes:
        source: Where it came from.
        dataset: Name of the data set, or of the user's file.
        licence: As its publisher states it.
        table: All customers with all columns.
        features: The columns that they are segmented by.
        others: Further columns that describe the segments: numbers, and categories.
        ids: The column that names a customer; None if there is none.
        notes: What was built, and what was left out.
    """

    source: Source
    dataset: str
    licence: str
    table: pd.DataFrame
    features: tuple[str, ...]
    others: tuple[str, ...]
    ids: str | None
    notes: tuple[Finding, ...]

    @cached_property
    def known(self) -> pd.DataFrame:
        """The customers of whom every feature is known, with all columns."""
        return self.table.dropna(subset=list(self.features)).reset_index(drop=True)

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name for features
        """What they are segmented by, shape (n, features)."""
        return self.known[list(self.features)]

    @property
    def described(self) -> pd.DataFrame:
        """What says something of them, shape (n, features and others)."""
        return self.known[[*self.features, *self.others]]

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data; the scores are measured by resampling all of them."""
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(self.table),
            test_fingerprint=fingerprint(self.X),
            rows={"customers": len(self.known)},
        )

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        findings = [*self.notes, *find_pairs(self.X, NAME_THEM)]
        if lacking := len(self.table) - len(self.known):
            missing = f"for lack of {', '.join(self.features)}: {lacking:,} of {len(self.table):,}"
            findings.append(_note("customers left out", f"in no segment, {missing}"))
        if self.ids and (twice := int(self.table[self.ids].duplicated().sum())):
            findings.append(
                Finding(
                    level="warning",
                    check="customers",
                    message=f"rows of customers who stood there before, by {self.ids!r}: {twice:,}",
                    fix="one row a customer; of purchases name customer=, date= and amount=",
                )
            )
        return findings

    def without_test(self) -> Self:
        """The same: no part of the customers is kept from the fit."""
        return self


def load_customers(source: Source, columns: Sequence[str], names: Names) -> Customers:
    """Customers, and by which columns to segment them.

    Args:
        source: The mall's table, the generated sample, or the user's table of customers or of
            purchases.
        columns: What to segment by; none for the usual: income and score of the mall's customers,
            recency, frequency and money of purchases, all columns of numbers of any other table.
        names: Columns of the user's purchases, where their names are not the usual ones.

    Raises:
        DataUnavailableError: The mall's table is not here.
        UserError: The table cannot be used, or a knob names a column that is not there.
    """
    if source.kind != "own" and any(names):
        raise KnobError(
            "customer, date and amount name columns of your own purchases",
            "name them beside it: --data FILE",
        )
    notes: list[Finding] = []
    ids = None
    if source.kind == "sample":
        table, name, licence = generate(SAMPLE_ROWS), "generated customers", "Apache-2.0"
    elif source.path is None:
        record = get_dataset("mall-customers")
        path = place(record.name) / record.files[0].name
        table, name, licence = read_table(path), record.title, record.licence
        require_columns(table, list(MALL), path.name)
    else:
        table, name, licence = read_table(source.path), source.path.name, "the user's own"
        if found := find_names(table, names, name):
            table, notes = by_customer(table, found, name)
            ids = found.customer
    notes += read_numbers(table, table.columns, name)
    ids = ids or next((str(c) for c in table if _is_identifier(table[c])), None)
    features, others, left_out = _choose(table, columns, ids, name)
    categories = [c for c in others if table[c].nunique() <= 2]  # 0 and 1 and the like
    customers = Customers(
        source=source,
        dataset=name,
        licence=licence,
        table=table.astype(dict.fromkeys(categories, object)),
        features=features,
        others=others,
        ids=ids,
        notes=(*notes, *left_out),
    )
    if (different := len(customers.X.drop_duplicates())) < FEWEST:
        raise FileError(
            f"{name} has {different} different customers of whom {', '.join(features)} are known; "
            f"segments needs {FEWEST}",
            "add customers, or choose other columns: columns=A,B",
        )
    return customers


def _choose(
    table: pd.DataFrame, columns: Sequence[str], ids: str | None, name: str
) -> tuple[tuple[str, ...], tuple[str, ...], list[Finding]]:
    """The columns to segment by, those that only describe, and why others do neither."""
    names = [str(column) for column in table]
    for column in columns:
        if column not in names:
            raise UnknownNameError("column", column, names)
    reasons = {
        c: "it names the customers"
        if c == ids or _is_identifier(table[c])
        else why_left_out(table[c])
        for c in names
    }
    shown = [c for c in names if not reasons[c]]
    weak = {c: _why_not_parting(table[c]) for c in shown}
    features = [c for c in shown if not weak[c]]
    for wanted in (MALL, RFM, columns):  # the last that there is counts
        if wanted and set(wanted) <= set(names):
            features = list(dict.fromkeys(wanted))
    _require_numbers(table[features], name)
    others = [c for c in shown if c not in features]
    said = [
        f"column {c!r} is left out: {reason}"
        for c, reason in reasons.items()
        if reason and c not in features
    ]
    for c in others:
        reason = weak[c] or "others part the customers, see columns="
        said.append(f"column {c!r} only describes the segments: {reason}")
    return tuple(features), tuple(others), [_note("columns", message) for message in said]


def _is_identifier(values: pd.Series) -> bool:
    """Whether a column names the customers, also where one of them stands there twice."""
    return bool(_ID.search(str(values.name).strip())) or "identifier" in why_left_out(values)


def _why_not_parting(values: pd.Series) -> str:
    """Why customers are not parted by a column unless it is named; empty if they are.

    Two values part any customers in two by themselves, whatever the other columns say, and
    between categories there is no distance.
    """
    if not pd.api.types.is_numeric_dtype(values):
        return "it holds categories"
    if values.nunique() <= 2:
        return "it has two values"
    missing = float(values.isna().mean())
    return f"it is missing in {missing:.0%} of the rows" if missing > MANY_MISSING else ""


def _require_numbers(features: pd.DataFrame, name: str) -> None:
    """Distances need columns of numbers, two at least, that vary."""
    for column in features.columns.difference(features.select_dtypes("number").columns):
        raise FileError(
            f"{name}: column {column!r} is no column of numbers",
            "distances need numbers; name others: columns=A,B",
        )
    if features.shape[1] < 2 or (features.nunique() < 2).any():
        raise FileError(
            f"{name} has {features.shape[1]} columns of numbers to segment by; it takes two that "
            "vary",
            "name them: columns=A,B",
        )


def _note(check: str, message: str) -> Finding:
    return Finding(level="note", check=check, message=message)


def generate(rows: int, seed: int = 0) -> pd.DataFrame:
    """Made-up customers of a shop: four kinds, who differ in visits and baskets.

    Args:
        rows: Number of customers.
        seed: Seed of the chance.
    """
    rng = np.random.default_rng(seed)
    kinds = np.array([  # age, visits a month, basket in euros, card
        [24, 9.0, 12.0, 0.2], [36, 3.0, 85.0, 0.7], [47, 8.0, 60.0, 0.9], [66, 2.0, 18.0, 0.4],
    ])  # fmt: skip
    kind = kinds[rng.choice(len(kinds), rows, p=[0.3, 0.25, 0.25, 0.2])]
    age, visits, basket, card = kind.T
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows) + 1001,
            "age": np.clip(rng.normal(age, 5), 16, 90).round(),
            "visits per month": np.clip(rng.normal(visits, 0.9), 0.2, None).round(1),
            "basket in EUR": np.clip(rng.normal(basket, 7), 1, None).round(2),
            "card": np.where(rng.random(rows) < card, "yes", "no"),
        }
    )
