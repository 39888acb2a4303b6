"""IBM's customers of a telephone company, any other table with two classes, or made-up ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from mlfolio.core.errors import UnknownNameError, UserError
from mlfolio.core.source import Source
from mlfolio.data.labelled import (
    TableSplit,
    choose_features,
    labelled_rows,
    read_labelled,
    require_classes,
    require_own,
)
from mlfolio.parts.tabular.schema import Schema

TARGET: Final = "Churn"
ADD_ONS: Final = (
    "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV",
    "StreamingMovies",
)  # fmt: skip
COLUMNS: Final = (
    "customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService",
    "MultipleLines", "InternetService", *ADD_ONS, "Contract", "PaperlessBilling", "PaymentMethod",
    "MonthlyCharges", "TotalCharges",
)  # fmt: skip
PEOPLE: Final = ("gender", "SeniorCitizen", "Partner", "Dependents")
LEVERS: Final = ("Contract", "PaymentMethod", "PaperlessBilling", *ADD_ONS[:4])
NOT_OFFERED: Final = ("No internet service", "No phone service")  # say that there is nothing to do
FEWEST = 20  # rows of each class: nested cross-validation splits them in 25
SAMPLE_ROWS = 600


def load_customers(source: Source, target: str, drop: Sequence[str] = ()) -> TableSplit:
    """The labelled rows, all of them: the protocol is nested cross-validation.

    Args:
        source: IBM's file, the generated sample, or the user's CSV or folder with `train.csv` and
            perhaps `test.csv`.
        target: Column with the two classes; the second in their order is what costs.
        drop: Columns to leave out.

    Raises:
        DataUnavailableError: IBM's file is not here.
        UserError: The table cannot be used, or a knob names a column that is not there.
    """
    require_own(source, target, TARGET)
    read = read_labelled(source, "telco-churn", COLUMNS, target, lambda: generate(SAMPLE_ROWS))
    rows, notes = labelled_rows(read.table, target, read.name)
    rows[target] = require_classes(rows[target], read.name, exactly=2, fewest=FEWEST)
    features, left_out = choose_features(rows, target, read.name, drop=drop)
    return TableSplit.whole(source, read, target, rows, features, [*notes, *left_out])


def is_telco(columns: Iterable[str]) -> bool:
    """Whether a table has the columns of IBM's that churn knows the meaning of."""
    return {"tenure", "MonthlyCharges", "TotalCharges", "Contract", *ADD_ONS} <= set(columns)


def choices(schema: Schema, levers: Sequence[str]) -> dict[str, list[str]]:
    """What a company can choose for a customer: the values of each lever.

    Args:
        schema: The columns.
        levers: Those that the company can change; none named: of IBM's table the known ones.

    Raises:
        UnknownNameError: A lever is no column of categories.
    """
    kinds = {column.name: column for column in schema.columns if column.kind == "category"}
    if not levers:
        levers = [name for name in LEVERS if name in kinds] if is_telco(schema.names) else []
    for name in levers:
        if name not in kinds:
            raise UnknownNameError("lever", name, kinds)
    return {name: [c for c in kinds[name].categories if c not in NOT_OFFERED] for name in levers}


@dataclass(frozen=True)
class World:
    """What made-up customers are like and why they leave; with another one the world has drifted.

    Attributes:
        contracts: Shares of contracts by the month, for one year, for two years. Other shares,
            like other prices, are other customers who leave for the same reasons (covariate shift).
        prices: Factor of all charges.
        leaving: Share of customers who leave, in [0, 1]; None for what follows from the reasons. A
            share makes more or fewer of those who leave, each kind being as it was (label shift).
        reasons: What adds how much to the log-odds of leaving; another sum of them is another
            behaviour of the same customers (concept drift).
    """

    contracts: tuple[float, float, float] = (0.55, 0.21, 0.24)
    prices: float = 1.0
    leaving: float | None = None
    reasons: Mapping[str, float] = field(
        default_factory=lambda: {
            "always": -2.6, "monthly": 1.3, "two years": -0.9, "fibre": 0.7, "check": 0.5,
            "no security": 0.5, "months": -0.03, "price": 0.015,
        }
    )  # fmt: skip


TODAY: Final = World()


def generate(rows: int, seed: int = 0, world: World = TODAY) -> pd.DataFrame:
    """Made-up customers with the columns of IBM's table.

    Args:
        rows: Number of customers.
        seed: Seed of the chance.
        world: What they are like and why they leave.

    Raises:
        UserError: The world's share of leavers is none, or its reasons give too few of a kind.
    """
    rng = np.random.default_rng(seed)
    if world.leaving is None:
        return _customers(rng, rows, world)
    crowd = _customers(rng, 10 * rows, world)  # enough of both kinds to draw the share from
    leavers = round(world.leaving * rows)
    kinds = []
    for answer, wanted in (("Yes", leavers), ("No", rows - leavers)):
        kind = crowd[crowd[TARGET] == answer]
        if not 0 <= wanted <= len(kind):
            raise UserError(
                f"a world with {leavers:,} leavers among {rows:,} customers cannot be made: of "
                f"{len(crowd):,} there are {len(kind):,} with {TARGET} = {answer}",
                "leaving between 0 and 1, and reasons by which enough of both kinds come about",
            )
        kinds.append(kind.head(wanted))
    drawn = pd.concat(kinds)
    return drawn.sample(frac=1, random_state=seed).reset_index(drop=True)


def _customers(rng: np.random.Generator, rows: int, world: World) -> pd.DataFrame:
    def yes(share: Any) -> Any:
        return np.where(rng.random(rows) < share, "Yes", "No")

    contract = rng.choice(["Month-to-month", "One year", "Two year"], rows, p=world.contracts)
    long = pd.Series(contract).map({"Month-to-month": 1.0, "One year": 3.0, "Two year": 5.0})
    tenure = np.minimum(72, rng.gamma(1.6, 11 * np.sqrt(long))).astype(int)
    net = rng.choice(["DSL", "Fiber optic", "No"], rows, p=[0.34, 0.44, 0.22])
    online = net != "No"
    phone = np.where(net == "DSL", yes(0.75), "Yes")
    lines = np.where(phone == "Yes", yes(0.45), "No phone service")
    extras = {c: np.where(online, yes(0.3 + 0.004 * tenure), NOT_OFFERED[0]) for c in ADD_ONS}
    count = sum((values == "Yes").astype(float) for values in extras.values())
    base = pd.Series(net).map({"DSL": 25.0, "Fiber optic": 50.0, "No": 0.0}).to_numpy()
    charge = base + 20 * (phone == "Yes") + 5 * (lines == "Yes") + 5 * count
    charge = np.round(world.prices * (charge + rng.normal(0, 0.8, rows)), 2)
    total = np.round(tenure * charge * rng.normal(1, 0.03, rows), 2)
    payment = rng.choice(
        ["Electronic check", "Mailed check", "Bank transfer (automatic)",
         "Credit card (automatic)"], rows, p=[0.34, 0.23, 0.22, 0.21],
    )  # fmt: skip
    holds = {
        "always": np.ones(rows), "monthly": contract == "Month-to-month",
        "two years": contract == "Two year", "fibre": net == "Fiber optic",
        "check": payment == "Electronic check", "no security": extras["OnlineSecurity"] == "No",
        "months": tenure, "price": charge,
    }  # fmt: skip
    odds = sum(world.reasons[reason] * np.asarray(value) for reason, value in holds.items())
    return pd.DataFrame(
        {
            "customerID": [f"{number:04d}-MADEUP" for number in rng.permutation(rows)],
            "gender": rng.choice(["Female", "Male"], rows),
            "SeniorCitizen": (rng.random(rows) < 0.16).astype(int),
            "Partner": yes(0.48),
            "Dependents": yes(0.3),
            "tenure": tenure,
            "PhoneService": phone,
            "MultipleLines": lines,
            "InternetService": net,
            **extras,
            "Contract": contract,
            "PaperlessBilling": yes(0.59),
            "PaymentMethod": payment,
            "MonthlyCharges": charge,
            "TotalCharges": np.where(tenure > 0, total, np.nan),  # blank in the first month
            TARGET: yes(1 / (1 + np.exp(-odds))),
        }
    )
