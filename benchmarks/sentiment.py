"""The models that read reviews beside each other: how right, how fast, how large.

    MLFOLIO_DATA=FOLDER python benchmarks/sentiment.py RUN [RUN ...]

Each RUN is the folder of a finished run of sentiment on IMDB, with the LSTM or with
`reader=transformer`; its seconds of fitting are those of the run, the rest is measured here, one
after the other on IMDB's test half. NB-SVM is fitted here.
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

ASKED = 200  # reviews that are asked for one by one
Chances = Callable[[Sequence[str]], np.ndarray]


def main() -> None:
    """Prints a line for each model."""
    data: ReviewSplit = Sentiment().load(OFFICIAL)
    print("| model | accuracy | fit s | 25,000 reviews s | one review ms | MB |")
    print("|---|---|---|---|---|---|")
    started = time.perf_counter()
    linear = NbSvm.fit(data.train.texts, data.train.positive)
    fit_s = time.perf_counter() - started
    tell("NB-SVM", linear.chances, data, fit_s, size_of(linear))
    for folder in map(Path, sys.argv[1:]):
        model = SentimentModel.load(folder / "model")
        stored = sum(path.stat().st_size for path in (folder / "model").rglob("*"))
        fit_s = read_json(folder / "scores.json", "cost")["cost"]["fit_seconds"]

        def chances(texts: Sequence[str], model: SentimentModel = model) -> np.ndarray:
            return expit(model.reader.log_odds(texts))

        tell(model.reader.kind, chances, data, fit_s, stored)


def tell(name: str, chances: Chances, data: ReviewSplit, fit_s: float, stored: int) -> None:
    """Measures one model and prints its line."""
    test = data.test
    started = time.perf_counter()
    right = np.mean((chances(test.texts) >= 0.5) == test.positive)
    all_s = time.perf_counter() - started
    started = time.perf_counter()
    for text in test.texts[:ASKED]:
        chances([text])
    one_ms = (time.perf_counter() - started) / ASKED * 1000
    print(
        f"| {name} | {right:.4f} | {fit_s:.0f} | {all_s:.0f} | {one_ms:.1f} | {stored / 1e6:.0f} |",
        flush=True,
    )


def size_of(linear: NbSvm) -> int:
    """Bytes of what NB-SVM has to store: its pairs of words, their ratios and weights."""
    with tempfile.TemporaryFile() as file:
        np.savez(file, ratio=linear.ratio.astype("f4"), weights=linear.linear.coef_.astype("f4"))
        return file.tell() + sum(len(word.encode()) + 1 for word in linear.counter.vocabulary_)


if __name__ == "__main__":
    main()
