"""From a till's rows to customers: how recently, how often and for how much they bought.

Recency, frequency and money are the three columns that direct mail has parted customers by since
the 1960s (Hughes, 1994, Strategic Database Marketing).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlfolio.core.errors import FileError, UnknownNameError
from mlfolio.core.system import Finding
from mlfolio.data.dates import read_dates, require_read

RFM = ("recency", "frequency", "monetary")
USUAL = {
    "customer": ("customerid", "customer", "customerno", "custid", "clientid", "userid"),
    "date": ("invoicedate", "date", "orderdate", "purchasedate", "transactiondate", "timestamp"),
    "amount": ("amount", "total", "totalprice", "revenue", "sales", "totalamount", "spent"),
    "quantity": ("quantity", "qty"),
    "price": ("unitprice", "price"),
    "invoice": ("invoiceno", "invoice", "orderid", "orderno", "transactionid", "receipt"),
}


class Names(NamedTuple):
    """Columns of a table of purchases; empty where nothing was named or found.

    Attributes:
        customer: Who bought.
        date: When.
        amount: For how much, negative for what was given back; `*` for quantity times price.
    """

    customer: str = ""
    date: str = ""
    amount: str = ""


def find_names(table: pd.DataFrame, given: Names, name: str) -> Names | None:
    """The columns of a table of purchases; None where it is a table of customers.

    It is one of purchases if a column was named, or if all three have usual names and customers
    come more than once.

    Raises:
        UserError: A column was named that is not there, or one is named and another not found.
    """
    for column in filter(None, given):
        if column not in table:
            raise UnknownNameError("column", column, map(str, table.columns))
    found = Names(*(mine or _usual(table, field) for field, mine in given._asdict().items()))
    if not found.amount and _usual(table, "quantity") and _usual(table, "price"):
        found = found._replace(amount="*")
    if any(given):
        if missing := [field for field, column in found._asdict().items() if not column]:
            raise FileError(
                f"{name} has no column that looks like the {missing[0]} of a purchase",
                f"name it: {missing[0]}=COLUMN, one of {', '.join(map(str, table.columns))}",
            )
        return found
    return found if all(found) and table[found.customer].duplicated().any() else None


def by_customer(table: pd.DataFrame, names: Names, name: str) -> tuple[pd.DataFrame, list[Finding]]:
    """Recency (days), frequency (purchases) and money of each customer.

    What was given back (negative amounts) is taken off the money and is no purchase. A purchase is
    an invoice, or where there are none whatever a customer bought on one day. Days are counted
    back from the day after the last row.

    Returns:
        One row a customer, and what was counted and left out.

    Raises:
        FileError: The dates or amounts cannot be read, or nothing was bought.
    """
    invoice, dates = _usual(table, "invoice"), read_dates(table[names.date], name)
    known = pd.DataFrame(
        {
            "customer": table[names.customer].convert_dtypes(),  # 12345.0 where some are missing
            "date": dates,
            "amount": _amounts(table, names, name),
            "purchase": dates.dt.floor("D").astype(str),
        }
    )
    if invoice:
        known["purchase"] = (
            table[invoice].astype(str).where(table[invoice].notna(), known["purchase"])
        )
        cancelled = known["purchase"].str.upper().str.startswith("C")
        known["amount"] = known["amount"].where(~cancelled, -known["amount"].abs())
    known = known.dropna(subset=["customer", "date", "amount"])
    bought = known[known["amount"] > 0]
    if bought.empty:
        raise FileError(f"{name} holds no purchase", "check customer=, date= and amount=")
    end = known["date"].max().floor("D") + pd.Timedelta(days=1)
    groups = bought.groupby("customer")
    customers = pd.DataFrame(
        {
            "recency": (end - groups["date"].max().dt.floor("D")).dt.days.astype(float),
            "frequency": groups["purchase"].nunique().astype(float),
            "monetary": known.groupby("customer")["amount"].sum(),
        }
    ).dropna()
    paid = customers[customers["monetary"] > 0].rename_axis(names.customer).reset_index()
    unit = f"different {invoice!r}" if invoice else "days with a purchase"
    said = [
        f"{len(paid):,} customers were built from {len(bought):,} rows of purchases: recency in "
        f"days before {end:%Y-%m-%d}, frequency in {unit}, monetary what was paid less what came "
        "back",
        f"rows given back, taken off the money: {(known['amount'] < 0).sum():,}",
        f"rows left out for lack of customer, date or amount: {len(table) - len(known):,}",
        f"customers left out who gave back all they bought: {len(customers) - len(paid):,}",
    ]
    kept = [line for line in said if not line.endswith(": 0")]
    return paid, [Finding(level="note", check="purchases", message=line) for line in kept]


def _usual(table: pd.DataFrame, field: str) -> str:
    """The column that is called as such columns usually are; empty if none is."""
    folded = {re.sub(r"[^a-z]", "", str(column).lower()): str(column) for column in table}
    return next((folded[word] for word in USUAL[field] if word in folded), "")


def _amounts(table: pd.DataFrame, names: Names, name: str) -> pd.Series:
    """What each row cost, in the table's currency; NaN where it cannot be read."""
    factors = [_usual(table, "quantity"), _usual(table, "price")]
    amount = pd.Series(1.0, index=table.index)
    for column in factors if names.amount == "*" else [names.amount]:
        values = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        require_read(table[column], values, name, "a number: 1234.5")
        amount *= values
    return amount
