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

PERMUTATIONS = 6  # each with its reverse (antithetic sampling), which evens out most of the noise


def explain_rows(model: TabularModel, inputs: Sequence[Input]) -> list[list[Reason]]:
    """For each row the share of each column in the log-odds of its answer, the strongest first."""
    return [_explain_row(model, row) for row in inputs]


def typical_row(schema: Schema, features: pd.DataFrame) -> dict[str, Any]:
    """The row that explanations compare with: medians, most frequent categories, no texts."""
    typical: dict[str, Any] = {}
    for column in schema.columns:
        known = features[column.name].dropna()
        if known.empty or column.kind == "text":
            typical[column.name] = None
        elif column.kind == "number":
            typical[column.name] = float(known.median())
        else:
            typical[column.name] = column.categories[0]
    return typical


def _explain_row(model: TabularModel, row: Input) -> list[Reason]:
    columns = model.schema.names
    given = row.model_dump(by_alias=True)
    differing = [name for name in columns if given[name] != model.typical.get(name)]
    if not differing:
        return []
    orders = _orders(len(differing))
    # Each order walks from the typical row to this one, one column at a time.
    walk = []
    for order in orders:
        current = dict(model.typical)
        walk.append(dict(current))
        for position in order:
            current[differing[position]] = given[differing[position]]
            walk.append(dict(current))
    chances = model.probabilities(
        [model.input_type.model_construct(**_fields(model, r)) for r in walk]
    )
    answer = model.decide(chances[len(differing)].tolist())
    odds = _log_odds(chances[:, answer]).reshape(len(orders), -1)
    steps = np.diff(odds, axis=1)
    shares = np.zeros(len(differing))
    for order, step in zip(orders, steps, strict=True):
        shares[order] += step / len(orders)
    reasons = [
        Reason(feature=name, value=_text(given[name]), effect=round(float(share), 4))
        for name, share in zip(differing, shares, strict=True)
    ]
    return sorted(reasons, key=lambda reason: -abs(reason.effect))


def _orders(n: int) -> list[NDArray[np.int64]]:
    """Random orders of n columns and their reverses; all orders where there are few."""
    rng = np.random.default_rng(0)
    forward = [rng.permutation(n) for _ in range(PERMUTATIONS if n > 1 else 1)]
    return [order for one in forward for order in (one, one[::-1])]


def _log_odds(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(chances, 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds


def _fields(model: TabularModel, row: dict[str, Any]) -> dict[str, Any]:
    """Field names of the input type, which differ from the column names."""
    return {f"column_{number}": row.get(name) for number, name in enumerate(model.schema.names)}


def _text(value: Any) -> str:
    return "missing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
