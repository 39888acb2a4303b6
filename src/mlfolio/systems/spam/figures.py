"""What the report of spam shows: the messages, the choice, the words, how good and how robust."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay, calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay

from mlfolio.core.run import Run

from .attacks import ATTACKS
from .clean import FORM, form_of, undisguise
from .data import Messages
from .learning import Floats, Ints, Learned
from .model import CLASSES

SHOWN = 15  # n-grams of either kind
BINS = 10
BLUE, RED = "#0072b2", "#d55e00"


def describe(data: Messages, run: Run) -> None:
    """How many messages there are, and how the form of spam differs."""
    groups = pd.Series(data.groups[: len(data.texts)])
    counts = {
        kind: {
            "messages": int((data.spam == number).sum()),
            "different texts": int((data.first & (data.spam == number)).sum()),
            "groups of near-duplicates": groups[data.spam == number].nunique(),
        }
        for number, kind in enumerate(CLASSES)
    }
    run.table("Messages", pd.DataFrame(counts).T, "A group of near-duplicates is in one fold.")
    form = pd.DataFrame(form_of([undisguise(text) for text in data.texts]), columns=list(FORM))
    means = form.groupby(data.spam).mean().T.rename(columns=dict(enumerate(CLASSES)))
    figure = Figure(figsize=(7, 3))
    axis = figure.subplots()
    means.plot.barh(ax=axis, color=[BLUE, RED])
    axis.set_xlabel("mean, or share of the messages")
    run.figure("The form of spam and ham", figure, "Each sign goes from 0 to 1.")


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
    share, mean = calibration_curve(truth, chances, n_bins=BINS)
    counts = np.histogram(chances, BINS, (0, 1))[0]
    error = float(np.average(np.abs(share - mean), weights=counts[counts > 0]))
    run.note(f"Expected calibration error over {BINS} equal bins: {error:.4f}.")


def disguised(
    texts: list[str], chance_of: Callable[[list[str]], Floats], threshold: float, seed: int
) -> dict[str, dict[str, float]]:
    """How much of some spam is still found in each disguise, and if disguises were not undone.

    Args:
        texts: Spam that the model has not seen.
        chance_of: Probability of spam for texts that are read as they are.
        threshold: From which one is called spam.
        seed: Seed of the disguises.
    """
    found: dict[str, dict[str, float]] = {}
    for name, attack in ATTACKS.items():
        draw = random.Random(seed)  # noqa: S311 - no secrets here
        sent = [attack(text, draw) for text in texts]
        found[name] = {
            "found": float(sum(chance_of([undisguise(t) for t in sent]) >= threshold)),
            "found if not undone": float(sum(chance_of(sent) >= threshold)),
        }
    return found
