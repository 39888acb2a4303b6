"""Why a row got its answer, in terms of the columns a person knows.

The estimator may be a whole pipeline or a stack, so the explanation asks it from outside: Shapley
values by sampled permutations of the raw columns against a typical row (Štrumbelj and Kononenko,
2014, Explaining prediction models and individual predictions with feature contributions). The
shares add up to the difference in log-odds between the row and the typical one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.model import Input, Reason
from mlfolio.parts.tabular.schema import Schema

if TYPE_CHECKING:
    from mlfolio.parts.tabular.model import TabularModel

WALKS = 60  # half of them the reverse of the others (antithetic), which evens out much noise


def explain_rows(model: TabularModel, inputs: Sequence[Input]) -> list[list[Reason]]:
    """For each row the share of each column in the log-odds of its answer, the strongest first."""
    return [_explain_row(model, row.model_dump(by_alias=True)) for row in inputs]


def typical_row(schema: Schema, features: pd.DataFrame) -> dict[str, Any]:
    """The row that explanations compare with: medians, most frequent categories, no texts."""
    typical: dict[str, Any] = {}
    for column in schema.columns:
        known = features[column.name].dropna()
        if known.empty or column.kind == "text":
            typical[column.name] = None
        elif column.kind == "number":
            typical[column.name] = float(pd.to_numeric(known, errors="coerce").median())
        else:
            typical[column.name] = column.categories[0]
    return typical


def _explain_row(model: TabularModel, given: dict[str, Any]) -> list[Reason]:
    names = [name for name in given if given[name] != model.typical.get(name)]
    if not names:
        return []
    orders = _orders(len(names))
    # Each walk goes from the typical row to this one, one column at a time: turned[w, s, c] says
    # whether column c has its own value after step s of walk w.
    turned = np.argsort(orders, axis=1)[:, None, :] < np.arange(len(names) + 1)[None, :, None]
    turned = turned.reshape(-1, len(names))
    cells: dict[str, Any] = {}
    for column in model.schema.columns:
        kind = float if column.kind == "number" else object
        values = np.array([model.typical.get(column.name), given[column.name]], dtype=kind)
        chosen = turned[:, names.index(column.name)] if column.name in names else 0
        cells[column.name] = values[np.broadcast_to(chosen, len(turned)).astype(int)]
    chances = model.estimator.predict_proba(pd.DataFrame(cells))
    answer = model.decide(chances[len(names)].tolist())
    odds = _log_odds(chances[:, answer]).reshape(len(orders), -1)
    shares = np.zeros(len(names))
    np.add.at(shares, orders, np.diff(odds, axis=1) / len(orders))
    reasons = [
        Reason(feature=name, value=_text(given[name]), effect=round(float(share), 4))
        for name, share in zip(names, shares, strict=True)
    ]
    return sorted(reasons, key=lambda reason: -abs(reason.effect))


def _orders(n: int) -> NDArray[np.int64]:
    """Random orders of n columns, each followed by its reverse, shape (walks, n)."""
    rng = np.random.default_rng(0)
    half = [rng.permutation(n) for _ in range(WALKS // 2 if n > 1 else 1)]
    return np.array([order for one in half for order in (one, one[::-1])])


def _log_odds(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(chances, 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds


def _text(value: Any) -> str:
    return "missing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
