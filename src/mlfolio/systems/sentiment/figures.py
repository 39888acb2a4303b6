"""What the report of sentiment shows: lengths, words on a map, mistakes, calibration, behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import CalibrationDisplay
from sklearn.manifold import TSNE

from mlfolio.core.run import Run

from .behaviour import Behaviour
from .data import Reviews
from .lstm import LstmReader
from .words import words_of

MAPPED = 200  # words on the map
LENGTHS = (0, 100, 200, 400, 100_000)  # words, for the slices
SHOWN = 300  # characters of a review in the report


def describe(train: Reviews, run: Run) -> None:
    """How many reviews there are to learn from, and how long they are."""
    lengths = [len(words_of(text)) for text in train.texts]
    facts = {
        "reviews": len(lengths),
        "positive": int(train.positive.sum()),
        "median words": int(np.median(lengths)),
        "longest": max(lengths),
    }
    run.table("Reviews to learn from", pd.DataFrame({"train": facts}).T)


def word_map(reader: LstmReader, train: Reviews, run: Run) -> None:
    """The embeddings of the words that tell most, on a plane by t-SNE (van der Maaten, 2008)."""
    ratio = _ratios(reader, train)
    chosen = np.argsort(-np.abs(ratio))[:MAPPED]
    if len(chosen) < 10:
        return
    vectors = reader.net.embedding.weight.detach().numpy()[chosen + 2]
    places = TSNE(perplexity=min(30, len(chosen) / 4), random_state=run.seed).fit_transform(vectors)
    figure = Figure(figsize=(9, 7))
    axis = figure.subplots()
    axis.scatter(places[:, 0], places[:, 1], c=np.sign(ratio[chosen]), cmap="coolwarm_r", s=8)
    for (x, y), number in zip(places, chosen, strict=True):
        axis.annotate(reader.vocabulary.words[number], (x, y), fontsize=6)
    axis.set_axis_off()
    caption = (
        f"The {len(chosen)} words whose share of positive reviews is farthest from even; blue ones "
        "stand in positive reviews more often. The net was told of reviews only, never of words."
    )
    run.figure("Map of words", figure, caption)


def _ratios(reader: LstmReader, train: Reviews) -> NDArray[np.float64]:
    """Log-odds of being in a positive review, of each word that twenty reviews or more have."""
    size = len(reader.vocabulary)
    counts = np.zeros((2, size))
    for text, side in zip(train.texts, train.positive, strict=True):
        counts[side, np.unique(reader.vocabulary.ids(words_of(text)))] += 1
    ratio = np.log(counts[1] + 1) - np.log(counts[0] + 1)
    ratio[counts.sum(axis=0) < 20] = 0
    found: NDArray[np.float64] = ratio[2:]
    return found


def judge(test: Reviews, chances: NDArray[np.float64], run: Run) -> None:
    """Accuracy by length, calibration, and the mistakes that the net was surest of."""
    right = (chances >= 0.5) == test.positive
    lengths = [len(words_of(text)) for text in test.texts]
    slices = pd.cut(lengths, LENGTHS, labels=["to 100", "to 200", "to 400", "more"])
    table = pd.DataFrame({"words": slices, "accuracy": right}).groupby("words", observed=True)
    run.table("Accuracy by length", table["accuracy"].agg(["mean", "count"]).round(4))
    figure = Figure(figsize=(4, 4))
    CalibrationDisplay.from_predictions(
        test.positive, chances, n_bins=10, strategy="quantile", ax=figure.subplots(), name="net"
    )
    run.figure("Calibration", figure, "On the test part; on the line, probabilities are true.")
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-np.abs(chances[wrong] - 0.5))][:5]
    rows = {
        "is": ["positive" if test.positive[row] else "negative" for row in surest],
        "probability of positive": chances[surest].round(3),
        "begins with": [test.texts[row][:SHOWN] for row in surest],
    }
    run.table("Surest mistakes", pd.DataFrame(rows))


def behaviour(found: Mapping[str, Sequence[Behaviour]], run: Run) -> None:
    """The pass rates of the behavioural tests, for each model."""
    table = {
        name: {test.name: round(float(test.passed.mean()), 3) for test in tests}
        for name, tests in found.items()
    }
    cases = {test.name: len(test.passed) for test in next(iter(found.values()))}
    run.table(
        "Behaviour", pd.DataFrame({"cases": cases, **table}),
        "Share of cases that go as they should: sentences whose side is plain, and reviews that "
        "are judged as before when names or letters change.",
    )  # fmt: skip
