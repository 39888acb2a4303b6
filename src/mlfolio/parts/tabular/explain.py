"""Why a row got its answer, in terms of the columns a person knows.

The estimator may be a whole pipeline or a stack, so the explanation asks it from outside: Shapley
values by sampled permutations of the raw columns against a typical row (Štrumbelj and Kononenko,
2014, Explaining prediction models and individual predictions with feature contributions). The
shares add up to the difference in value between the row and the typical one, the value being what
the caller asks about: the log-odds of an answer, a predicted price.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.model import Input, Reason
from mlfolio.parts.tabular.schema import Schema

Value = Callable[[pd.DataFrame], NDArray[np.float64]]
"""From rows as `Schema.frame` makes them to what is explained of each, shape (n,)."""

WALKS = 60  # half of them the reverse of the others (antithetic), which evens out much noise
MAX_COLUMNS = 60  # of a row that are explained; the work grows with their square
CELLS = 1_000_000  # that the model is asked about at once, to bound the memory


def explain_row(
    schema: Schema, row: Input, value: Value, unit: str, digits: int = 4
) -> list[Reason]:
    """The share of each column in the value of a row, the strongest first.

    The typical row has the medians and most frequent categories of training, and no texts. Of a
    row that differs from it in more than `MAX_COLUMNS`, only those columns are explained that do
    most alone: the others keep the row's values, and the shares add up to the difference between
    the row and the row with typical values in the explained columns.

    Args:
        schema: The columns.
        row: The row.
        value: What is explained.
        unit: What it is measured in.
        digits: Decimals of the shares.
    """
    given = dict(zip(schema.names, schema.values(row), strict=True))
    names = [c.name for c in schema.columns if given[c.name] != c.typical]
    if not names:
        return []

    def values(names: list[str], turned: NDArray[np.bool_]) -> NDArray[np.float64]:
        return _values(schema, value, given, names, turned)

    if len(names) > MAX_COLUMNS:
        alone = np.eye(len(names), dtype=bool)
        effects = np.abs(values(names, ~alone) - values(names, np.ones_like(alone[:1])))
        effects += np.abs(values(names, alone) - values(names, np.zeros_like(alone[:1])))
        names = [names[i] for i in np.argsort(-effects, kind="stable")[:MAX_COLUMNS]]
    orders = _orders(len(names))
    # Each walk goes from the typical row to this one, one column at a time: turned[w, s, c] says
    # whether column c has its own value after step s of walk w.
    turned = np.argsort(orders, axis=1)[:, None, :] < np.arange(len(names) + 1)[None, :, None]
    walks = values(names, turned.reshape(-1, len(names))).reshape(len(orders), -1)
    shares = np.zeros(len(names))
    np.add.at(shares, orders, np.diff(walks, axis=1) / len(orders))
    reasons = [
        Reason(feature=name, value=_text(given[name]), effect=round(share, digits), unit=unit)
        for name, share in zip(names, shares.tolist(), strict=True)
    ]
    return sorted(reasons, key=lambda reason: -abs(reason.effect))


def _values(
    schema: Schema, value: Value, given: dict[str, Any], names: list[str], turned: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Values of mixtures of a row and the typical one, shape (n,).

    Args:
        schema: The columns.
        value: Is asked in blocks of `CELLS`.
        given: The row's own values, which the columns that are not in `names` keep.
        names: The columns that change.
        turned: Which of them have their own value, shape (n, names); the others the typical one.
    """
    places = {name: place for place, name in enumerate(names)}
    step = max(1, CELLS // len(schema.columns))
    found = []
    for block in (turned[at : at + step] for at in range(0, len(turned), step)):
        cells: dict[str, Any] = {}
        for column in schema.columns:
            kind = float if column.kind == "number" else object
            both = np.array([column.typical, given[column.name]], dtype=kind)
            place = places.get(column.name)
            own = np.ones(len(block), dtype=int) if place is None else block[:, place].astype(int)
            cells[column.name] = both[own]
        found.append(value(pd.DataFrame(cells)))
    return np.concatenate(found)


def _orders(n: int) -> NDArray[np.int64]:
    """Random orders of n columns, each followed by its reverse, shape (walks, n)."""
    rng = np.random.default_rng(0)
    half = [rng.permutation(n) for _ in range(WALKS // 2 if n > 1 else 1)]
    return np.array([order for one in half for order in (one, one[::-1])])


def _text(value: Any) -> str:
    return "missing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
