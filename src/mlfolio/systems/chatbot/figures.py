"""What the report of chatbot shows: the examples, what is mixed up, what is refused."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay

from mlfolio.core.run import Run

from .data import Questions
from .peers import Judgement
from .understanding import Examples

WORST: Final = 5
BLUE, RED = "#0072b2", "#d55e00"


def describe(data: Questions, run: Run) -> None:
    """How many examples each part has, and how many the intents."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    counts = {
        name: {
            "intents": len(set(part.intents)),
            "texts in scope": len(part.texts),
            "fewest of an intent": int(pd.Series(part.intents, dtype=str).value_counts().min()),
            "texts out of scope": len(part.outside),
        }
        for name, part in parts.items()
        if part is not None and part.texts
    }
    run.table("Examples", pd.DataFrame(counts).T)


def judge(tested: Examples, told: Judgement, run: Run) -> None:
    """The five most confused intents, the probabilities, and the signs of scope."""
    n, truth = len(tested.texts), np.array(tested.intents)
    guessed = told.intents[:n]
    run.table(
        f"The {WORST} most confused intents", confused(truth, guessed),
        "By F1, which counts what an intent loses to others and what it takes from them.",
    )  # fmt: skip
    figure = Figure(figsize=(9, 3.4))
    left, right = figure.subplots(1, 2)
    CalibrationDisplay.from_predictions(
        truth == guessed, told.chances[:n], n_bins=10, strategy="quantile", ax=left, name="intent"
    )
    left.set(xlabel="probability of the intent", ylabel="share of right ones")
    bins = np.linspace(0, 1, 41).tolist()
    right.hist(told.scores[:n], bins, density=True, alpha=0.6, color=BLUE, label="in scope")
    if tested.outside:
        right.hist(told.scores[n:], bins, density=True, alpha=0.6, color=RED, label="out of scope")
    right.set(xlabel="in_scope", ylabel="density", yscale="log")
    right.legend(fontsize=7)
    figure.tight_layout()
    run.figure("Probabilities, and what is in scope", figure, "On texts that were not seen.")


def confused(truth: np.ndarray, guessed: np.ndarray) -> pd.DataFrame:
    """The intents with the least F1: what they are taken for, and what is taken for them."""
    rows = []
    for intent in np.unique(truth):
        of, to = truth == intent, guessed == intent
        f1 = 2 * (of & to).sum() / (of.sum() + to.sum())
        rows.append(
            {
                "intent": intent,
                "F1": round(float(f1), 3),
                "taken for": _commonest(guessed[of & ~to]),
                "mistaken for it": _commonest(truth[to & ~of]),
            }
        )
    return pd.DataFrame(rows).sort_values("F1", kind="stable").head(WORST).set_index("intent")


def _commonest(names: np.ndarray) -> str:
    counts = pd.Series(names, dtype=str).value_counts().head(3)
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
