"""A till's rows of our own invention, for tests and for the pages of the documentation."""

from __future__ import annotations

import numpy as np
import pandas as pd


def purchases(customers: int, seed: int = 0) -> pd.DataFrame:
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
