"""What the report of churn shows beyond that of every table, and the list of whom to call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import PrecisionRecallDisplay

from mlfolio.core.model import Output
from mlfolio.core.run import Run
from mlfolio.data.labelled import TableSplit
from mlfolio.parts.stats import mean_ci95
from mlfolio.parts.tabular.encoder import Floats

from .model import ChurnOutput
from .offer import Offer

ACTIONS: Final = "actions.csv"
COLUMNS: Final = ["chance", "gain", "reasons", "action", "chance after"]
CAVEAT: Final = (
    "What customers do who differ in that one thing alone: an association, not an effect."
)


def offers(
    offer: Offer,
    truth: NDArray[np.int64],
    chances: dict[str, Floats],
    offered: dict[str, NDArray[np.bool_]],
    run: Run,
) -> None:
    """What offers would have brought: by who gets one, and by threshold.

    Args:
        offer: What one costs and brings.
        truth: 1 for those who left, shape (n,).
        chances: Out-of-fold probability of leaving, by who gave it.
        offered: Who would have got one, by who decided.
        run: Takes the table and the figure.
    """
    lines = {}
    for name, chosen in offered.items():
        profits = offer.profits(truth, chosen)
        low, high = mean_ci95(profits, run.seed) or (np.nan, np.nan)
        lines[name] = {
            "offers": chosen.mean(),
            "of them would have left": truth[chosen].mean() if chosen.any() else np.nan,
            "of leavers reached": chosen[truth == 1].mean(),
            "profit per customer": profits.mean(),
            "low": low,
            "high": high,
        }
    caption = (
        f"Value {offer.value:g}, price {offer.price:g}, works in {offer.works:.0%} of cases: an "
        f"offer pays from a chance of {offer.break_even:.3f}. Out of fold, 95 % intervals."
    )
    run.table("Offers", pd.DataFrame(lines).T, caption)
    caption = "Profit by the chance from which offers are made, and precision by recall."
    run.figure("What offers bring", _curves(offer, truth, chances), caption)


def _curves(offer: Offer, truth: NDArray[np.int64], chances: dict[str, Floats]) -> Figure:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.linspace(0, 1, 101)
    for name, found in chances.items():
        profit = [offer.profits(truth, found >= step).mean() for step in steps]
        left.plot(steps, profit, label=name)
        PrecisionRecallDisplay.from_predictions(truth, found, ax=right, name=name)
    left.axvline(min(offer.break_even, 1), color="black", linewidth=0.8, label="break-even")
    left.axhline(0, color="grey", linewidth=0.8, linestyle="--", label="no offers")
    left.set(xlabel="offers from this chance of leaving", ylabel="profit per customer")
    left.legend(fontsize=7)
    right.legend(fontsize=7)
    return figure


def actions(rows: pd.DataFrame, data: TableSplit, outputs: Sequence[Output], run: Run) -> None:
    """Writes `actions.csv`: the customers for whom an offer pays, those who gain most first.

    The report, which whoever may ask the model may read, shows how many there are of each kind.

    Args:
        rows: The customers, with all columns of the table.
        data: Knows which column tells them apart.
        outputs: What the model says of them.
        run: Has the folder and takes the summary.
    """
    names = [c for c in data.ignored if c in rows and c != data.target and rows[c].is_unique]
    keys = rows[names[:1]].reset_index(drop=True) if names else pd.DataFrame({"row": rows.index})
    lines = [_line(output) for output in outputs if isinstance(output, ChurnOutput)]
    table = pd.concat([keys, pd.DataFrame(lines, columns=COLUMNS)], axis=1)
    table = table[table["gain"] > 0].sort_values("gain", ascending=False, kind="stable")
    table.to_csv(run.folder / ACTIONS, index=False)
    run.note(f"{ACTIONS}: {len(table):,} of {len(rows):,} customers, to whom an offer pays.")
    kinds = table.groupby("action").agg(
        customers=("gain", "size"), gain=("gain", "sum"),
        **{"mean chance": ("chance", "mean"), "mean chance after": ("chance after", "mean")},
    )  # fmt: skip
    run.table("What to offer", kinds.sort_values("gain", ascending=False), CAVEAT)


def _line(output: ChurnOutput) -> tuple[float, float, str, str, float]:
    chance = list(output.probabilities.values())[1]
    reasons = "; ".join(f"{c.column} = {c.value}" for c in output.changes)
    if not output.changes:
        return round(chance, 4), output.gain, reasons, "none known", np.nan
    best = output.changes[0]
    action = f"{best.column}: {best.to}"
    return round(chance, 4), output.gain, reasons, action, round(best.chance, 4)
