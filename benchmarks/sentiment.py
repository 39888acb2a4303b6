"""The models that read reviews beside each other: how right, how fast, how large.

    MLFOLIO_DATA=FOLDER python benchmarks/sentiment.py RUN [RUN ...]

Each RUN is the folder of a finished run of sentiment on IMDB, with the LSTM or with
`reader=transformer`; its accuracy and its seconds of fitting are those of the run. NB-SVM is fitted
here. Speed is measured here, one after the other, on every tenth review of IMDB's test half.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit

from mlfolio.core.run import read_json
from mlfolio.core.source import OFFICIAL
from mlfolio.systems.sentiment.data import ReviewSplit
from mlfolio.systems.sentiment.model import SentimentModel
from mlfolio.systems.sentiment.nbsvm import NbSvm
from mlfolio.systems.sentiment.system import Sentiment

TENTH = slice(None, None, 10)  # of the test half, what is asked for together
ASKED = 200  # reviews that are asked for one by one
Chances = Callable[[Sequence[str]], np.ndarray]


def main() -> None:
    """Prints a line for each model."""
    data: ReviewSplit = Sentiment().load(OFFICIAL)
    print("| model | accuracy | fit s | a review of many ms | one alone ms | MB |")
    print("|---|---|---|---|---|---|")
    started = time.perf_counter()
    linear = NbSvm.fit(data.train.texts, data.train.positive)
    fit_s = time.perf_counter() - started
    right = np.mean((linear.chances(data.test.texts) >= 0.5) == data.test.positive)
    tell("NB-SVM", linear.chances, data, float(right), fit_s, size_of(linear))
    for folder in map(Path, sys.argv[1:]):
        model = SentimentModel.load(folder / "model")
        stored = sum(path.stat().st_size for path in (folder / "model").rglob("*"))
        result = read_json(folder / "scores.json", "cost", "scores")
        accuracy = next(s["value"] for s in result["scores"] if s["name"] == "accuracy")

        def chances(texts: Sequence[str], model: SentimentModel = model) -> np.ndarray:
            return expit(model.reader.log_odds(texts))

        tell(model.reader.kind, chances, data, accuracy, result["cost"]["fit_seconds"], stored)


def tell(
    name: str, chances: Chances, data: ReviewSplit, accuracy: float, fit_s: float, stored: int
) -> None:
    """Measures how fast one model is and prints its line."""
    many, few = data.test.texts[TENTH], data.test.texts[:ASKED]
    together_ms = 1000 * seconds(lambda: chances(many)) / len(many)
    alone_ms = 1000 * seconds(lambda: [chances([text]) for text in few]) / len(few)
    print(
        f"| {name} | {accuracy:.4f} | {fit_s:.0f} | {together_ms:.1f} | {alone_ms:.1f} | "
        f"{stored / 1e6:.0f} |",
        flush=True,
    )


def seconds(work: Callable[[], object]) -> float:
    """Wall time of some work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def size_of(linear: NbSvm) -> int:
    """Bytes of what NB-SVM has to store: its pairs of words, their ratios and weights."""
    with tempfile.TemporaryFile() as file:
        np.savez(file, ratio=linear.ratio.astype("f4"), weights=linear.linear.coef_.astype("f4"))
        return file.tell() + sum(len(word.encode()) + 1 for word in linear.counter.vocabulary_)


if __name__ == "__main__":
    main()
