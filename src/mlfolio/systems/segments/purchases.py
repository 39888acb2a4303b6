"""From a till's rows to customers: how recently, how often and for how much they bought.

Recency, frequency and money are the three columns that direct mail has parted customers by since
the 1960s (Hughes, 1994, Strategic Database Marketing).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlfolio.core.errors import FileError, UnknownNameError
from mlfolio.core.system import Finding

RFM = ("recency", "frequency", "monetary")
USUAL = {
    "customer": ("customerid", "customer", "customerno", "custid", "clientid", "userid"),
    "date": ("invoicedate", "date", "orderdate", "purchasedate", "transactiondate", "timestamp"),
    "amount": ("amount", "total", "totalprice", "revenue", "sales", "totalamount", "spent"),
    "quantity": ("quantity", "qty"),
    "price": ("unitprice", "price"),
    "invoice": ("invoiceno", "invoice", "orderid", "orderno", "transactionid", "receipt"),
}
MANY_UNREAD = 0.05  # share of dates or amounts that may be unreadable
_PARTS = re.compile(r"\s*(\d{1,2})([./-])(\d{1,2})\2\d{2,4}\b")


class Names(NamedTuple):
    """Columns of a table of purchases; empty where nothing was named or found.

    Attributes:
        customer: Who bought.
        date: When.
        amount: For how much; negative for what was given back.
    """

    customer: str = ""
    date: str = ""
    amount: str = ""


def find_names(table: pd.DataFrame, given: Names, name: str) -> Names | None:
    """The columns of a table of purchases; None where it is a table of customers.

    It is one of purchases if a column was named, or if all three have usual names and customers
    come more than once. Without a column of amounts, quantity times price counts.

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

    What was cancelled or given back (negative amounts, invoices that begin with C) is taken off
    the money and is no purchase. Days are counted back from the day after the last row.

    Returns:
        One row a customer, and what was counted and left out.

    Raises:
        FileError: The dates or amounts cannot be read.
    """
    invoice = _usual(table, "invoice")
    rows = pd.DataFrame(
        {
            "customer": table[names.customer],
            "date": _dates(table[names.date], name),
            "amount": _amounts(table, names, name),
        }
    )
    # A purchase is an invoice, or where there are none whatever a customer bought on one day.
    rows["purchase"] = table[invoice].astype(str) if invoice else rows["date"].dt.floor("D")
    known = rows.dropna(subset=["customer", "date", "amount"])
    cancelled = known["amount"] < 0
    if invoice:
        marked = known["purchase"].str.upper().str.startswith("C")
        cancelled |= marked
        known = known.assign(amount=known["amount"].where(~marked, -known["amount"].abs()))
    bought = known[~cancelled & (known["amount"] > 0)]
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
    if pd.api.types.is_float_dtype(paid[names.customer]):  # for lack of some, 12345 was 12345.0
        paid[names.customer] = paid[names.customer].convert_dtypes()
    unit = f"different {invoice!r}" if invoice else "days with a purchase"
    said = [
        f"{len(paid):,} customers were built from {len(bought):,} rows of purchases: recency in "
        f"days before {end:%Y-%m-%d}, frequency in {unit}, monetary what was paid less what came "
        "back",
        f"rows given back or cancelled, taken off the money: {cancelled.sum():,}",
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
    columns: Sequence[str] = [names.amount]
    if names.amount == "*":
        columns = [_usual(table, "quantity"), _usual(table, "price")]
    amount = pd.Series(1.0, index=table.index)
    for column in columns:
        values = pd.to_numeric(table[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
        _require_read(table[column], values.isna(), name, "a number: 1234.5")
        amount *= values
    return amount


def _dates(column: pd.Series, name: str) -> pd.Series:
    """When each row was, without time zone; NaT where it cannot be read."""
    texts = column.where(column.notna(), None).map(_date_text, na_action="ignore")
    parts = [m for text in texts.dropna().unique() if (m := _PARTS.match(text))]
    first, second = (max((int(m[at]) for m in parts), default=0) for at in (1, 3))
    if first > 12 and second > 12:
        raise FileError(
            f"{name}: in column {column.name!r} neither the first nor the second number of the "
            "dates is always a month",
            "write dates as 2024-12-31",
        )
    # Points part days from months in most of Europe, strokes months from days in America.
    days_first = first > 12 or (second <= 12 and bool(parts) and parts[0][2] == ".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a format was inferred, or was not
        read = pd.to_datetime(texts, dayfirst=days_first, errors="coerce", utc=True)
    _require_read(column, read.isna(), name, "a date: 2024-12-31, or 2024-12-31 23:59")
    return read.dt.tz_localize(None)


def _date_text(value: object) -> str:
    """20101201.0 is 20101201, where a missing day made floats of whole numbers."""
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _require_read(column: pd.Series, unread: pd.Series, name: str, rule: str) -> None:
    bad = column[unread & column.notna()]
    if len(bad) > MANY_UNREAD * max(1, column.notna().sum()):
        raise FileError(
            f"{name}: {len(bad):,} of {len(column):,} values of column {column.name!r} cannot be "
            f"read: {', '.join(repr(str(value)[:40]) for value in bad.unique()[:3])}",
            f"write {rule}; or name another column",
        )


def generate(customers: int, seed: int = 0) -> pd.DataFrame:
    """A till's rows with the columns of UCI's Online Retail: three kinds of made-up customers.

    Args:
        customers: Their number.
        seed: Seed of the chance.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, int | None, pd.Timestamp, int, float]] = []
    for customer in range(customers):
        # days since the last purchase, purchases, price of an item
        away, often, price = [(15, 24, 8.0), (60, 6, 25.0), (260, 2, 6.0)][customer % 3]
        days = rng.exponential(away) + np.cumsum(rng.exponential(12, max(1, rng.poisson(often))))
        for day in days[days < 360]:
            invoice = str(530_000 + len(rows))
            when = pd.Timestamp("2024-12-31 12:00") - pd.Timedelta(days=float(day))
            for _ in range(int(rng.integers(1, 4))):
                paid = round(float(rng.lognormal(np.log(price), 0.3)), 2)
                rows.append((invoice, 12_000 + customer, when, int(rng.integers(1, 9)), paid))
        if customer % 10 == 0 and rows:
            invoice, who, when, _, paid = rows[-1]
            rows.append((f"C{invoice}", who, when + pd.Timedelta(hours=1), -1, paid))
        if customer % 15 == 0:
            rows.append(("529999", None, pd.Timestamp("2024-06-01"), 1, 9.99))
    names = ["InvoiceNo", "CustomerID", "InvoiceDate", "Quantity", "UnitPrice"]
    table = pd.DataFrame(rows, columns=names).sort_values("InvoiceDate", ignore_index=True)
    return table.assign(InvoiceDate=table["InvoiceDate"].dt.strftime("%m/%d/%Y %H:%M"))
