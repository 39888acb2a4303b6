"""What the report of spam shows: the messages, the choice, the words, how good."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay

from mlfolio.core.run import Run

from .data import Messages
from .learning import Floats, Ints, Learned
from .model import CLASSES

SHOWN = 15  # n-grams of either kind
BINS = 10
BLUE, RED = "#0072b2", "#d55e00"


def describe(data: Messages, run: Run) -> None:
    """How many messages there are of either kind, and how many of them are copies."""
    table = pd.DataFrame({"text": data.texts, "group": data.groups[: len(data.texts)]})
    counts = table.groupby(np.array(CLASSES)[data.spam]).agg(
        **{
            "messages": ("text", "size"),
            "different texts": ("text", "nunique"),
            "groups of near-duplicates": ("group", "nunique"),
        }
    )
    run.table("Messages", counts, "A group of near-duplicates is in one fold.")


def choice(learned: Learned, run: Run) -> None:
    """The candidates out of fold, and the n-grams that weigh most in the chosen one."""
    table = pd.DataFrame({"average precision": learned.found})
    run.table("Candidates", table, f"Out of fold; chosen: {learned.chosen}.")
    terms = [term for kind in learned.encoder.terms_ for term in kind]
    weights = learned.linear.weights[: len(terms), 0]
    order = np.argsort(weights)
    strong = [*order[:SHOWN], *order[-SHOWN:]]
    figure = Figure(figsize=(6, 0.22 * len(strong) + 0.6))
    axis = figure.subplots()
    colours = [RED if weights[at] > 0 else BLUE for at in strong]
    axis.barh([repr(terms[at]) for at in strong], weights[strong], color=colours)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("weight in the log-odds of spam")
    run.figure(
        "N-grams that weigh most", figure, "Those with blanks at an end are pieces of words."
    )


def judge(truth: Ints, chances: Floats, called: Ints, run: Run) -> None:
    """Confusions, precision against recall, and whether probabilities are what they say."""
    figure = Figure(figsize=(11, 3.4))
    left, middle, right = figure.subplots(1, 3)
    ConfusionMatrixDisplay.from_predictions(
        truth, called, display_labels=list(CLASSES), ax=left, colorbar=False, cmap="Blues"
    )
    PrecisionRecallDisplay.from_predictions(truth, chances, ax=middle)
    middle.set(xlim=(0.8, 1.005), ylim=(0.8, 1.005))
    CalibrationDisplay.from_predictions(truth, chances, n_bins=BINS, ax=right)
    for axis in (middle, right):
        axis.legend(fontsize=7)
    figure.tight_layout()
    run.figure("Out-of-fold answers", figure, "Confusions, precision and recall, calibration.")
