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

if TYPE_CHECKING:
    from mlfolio.parts.tabular.model import TabularModel

WALKS = 60  # half of them the reverse of the others (antithetic), which evens out much noise
MAX_COLUMNS = 60  # of a row that are explained; the work grows with their square
CELLS = 1_000_000  # that the model is asked about at once, to bound the memory


def explain_rows(model: TabularModel, inputs: Sequence[Input]) -> list[list[Reason]]:
    """For each row the share of each column in the log-odds of its answer, the strongest first.

    The typical row has the medians and most frequent categories of training, and no texts. Of a
    row that differs from it in more than `MAX_COLUMNS`, only those columns are explained that do
    most alone: the others keep the row's values, and the shares add up to the difference between
    the row and the row with typical values in the explained columns.
    """
    return [_explain_row(model, row) for row in inputs]


def _explain_row(model: TabularModel, row: Input) -> list[Reason]:
    given = dict(zip(model.schema.names, model.schema.values(row), strict=True))
    names = [c.name for c in model.schema.columns if given[c.name] != c.typical]
    if not names:
        return []
    itself = _chances(model, given, names, np.ones((1, len(names)), dtype=bool))
    answer = int(model.decide(itself)[0])

    def odds(names: list[str], turned: NDArray[np.bool_]) -> NDArray[np.float64]:
        return _log_odds(_chances(model, given, names, turned)[:, answer])

    if len(names) > MAX_COLUMNS:
        alone = np.eye(len(names), dtype=bool)
        effects = np.abs(odds(names, ~alone) - _log_odds(itself[:, answer]))
        effects += np.abs(odds(names, alone) - odds(names, np.zeros_like(alone[:1])))
        names = [names[i] for i in np.argsort(-effects, kind="stable")[:MAX_COLUMNS]]
    orders = _orders(len(names))
    # Each walk goes from the typical row to this one, one column at a time: turned[w, s, c] says
    # whether column c has its own value after step s of walk w.
    turned = np.argsort(orders, axis=1)[:, None, :] < np.arange(len(names) + 1)[None, :, None]
    walks = odds(names, turned.reshape(-1, len(names))).reshape(len(orders), -1)
    shares = np.zeros(len(names))
    np.add.at(shares, orders, np.diff(walks, axis=1) / len(orders))
    reasons = [
        Reason(feature=name, value=_text(given[name]), effect=round(float(share), 4))
        for name, share in zip(names, shares, strict=True)
    ]
    return sorted(reasons, key=lambda reason: -abs(reason.effect))


def _chances(
    model: TabularModel, given: dict[str, Any], names: list[str], turned: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probabilities for mixtures of a row and the typical one, shape (n, classes).

    Args:
        model: Is asked in blocks of `CELLS`.
        given: The row's own values, which the columns that are not in `names` keep.
        names: The columns that change.
        turned: Which of them have their own value, shape (n, names); the others the typical one.
    """
    places = {name: place for place, name in enumerate(names)}
    step = max(1, CELLS // len(model.schema.columns))
    found = []
    for block in (turned[at : at + step] for at in range(0, len(turned), step)):
        cells: dict[str, Any] = {}
        for column in model.schema.columns:
            kind = float if column.kind == "number" else object
            values = np.array([column.typical, given[column.name]], dtype=kind)
            place = places.get(column.name)
            own = np.ones(len(block), dtype=int) if place is None else block[:, place].astype(int)
            cells[column.name] = values[own]
        found.append(model.estimator.predict_proba(pd.DataFrame(cells)))
    return np.vstack(found)


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
