"""Spam filters of five lines beside ours: same messages, same folds, same run.

    MLFOLIO_DATA=FOLDER python benchmarks/spam.py [--cleaning]

The peers are scikit-learn's text pipelines as tutorials write them, fitted on the training part of
each fold of `mlfolio run spam`: of equal messages one is measured, near-duplicates stay in a fold.
A last column says what the usual protocol gives: shuffled folds that do not know of copies, with
every copy measured. `pip install fasttext-wheel` adds fastText with its tutorial's settings.
`--cleaning` (needs nltk) measures instead what lower case, punctuation, numbers, stop words and
stemming do to the linear SVM on words, and to ours.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer, TfidfVectorizer
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from mlfolio.core.source import OFFICIAL
from mlfolio.parts.text.tfidf import TfidfEncoder, count
from mlfolio.systems.spam.clean import undisguise
from mlfolio.systems.spam.learning import CANDIDATES, KINDS, Rows, learn
from mlfolio.systems.spam.model import features
from mlfolio.systems.spam.system import Spam, prepare

SEED, FOLDS, PRECISION = 0, 5, 0.99
Texts = Sequence[str]
Splits = Sequence[tuple[np.ndarray, np.ndarray]]
Filter = Callable[[Texts, np.ndarray, Texts], np.ndarray]


def main() -> None:
    """Prints one of the two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cleaning", action="store_true")
    data = Spam(feedback=False).load(OFFICIAL)
    with threadpool_limits(1):
        (compare_cleaning if parser.parse_args().cleaning else compare_filters)(data)


def compare_filters(data: Any) -> None:
    """Ours and the peers, on our folds and on the usual ones."""
    texts, rows = np.array(data.texts, dtype=object), prepare(data)
    usual = list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(texts, rows.spam))
    print("| filter | F1 | precision | recall | seconds | F1 as usual |")
    print("|---|---|---|---|---|---|")
    for name, peer in peers().items():
        started = time.perf_counter()
        told = run_peer(peer, texts, rows.spam, rows.folds(FOLDS, SEED))
        seconds = time.perf_counter() - started
        row(name, rows, told, seconds, run_peer(peer, texts, rows.spam, usual))
    started = time.perf_counter()
    told = run_ours(prepare(data), rows.folds(FOLDS, SEED))  # counting is a part of the work
    seconds = time.perf_counter() - started
    alone = replace(rows, group=np.arange(len(rows)), judged=np.ones(len(rows), dtype=bool))
    row("mlfolio", rows, told, seconds, run_ours(alone, usual))


def row(name: str, rows: Rows, told: np.ndarray, seconds: float, easy: np.ndarray) -> None:
    """One line of the table, over the messages that count; the last column over all."""
    truth, called = rows.spam[rows.judged], told[rows.judged]
    print(
        f"| {name} | {f1_score(truth, called):.4f} | {precision_score(truth, called):.4f} | "
        f"{recall_score(truth, called):.4f} | {seconds:.1f} | {f1_score(rows.spam, easy):.4f} |",
        flush=True,
    )


def peers() -> dict[str, Filter]:
    """What tutorials write, and fastText where it is installed."""
    made: dict[str, Filter] = {
        "CountVectorizer + MultinomialNB": pipeline(CountVectorizer, MultinomialNB),
        "TfidfVectorizer + MultinomialNB": pipeline(TfidfVectorizer, MultinomialNB),
        "TfidfVectorizer + LinearSVC": pipeline(TfidfVectorizer, svm),
        "TfidfVectorizer(char, 2-5) + LinearSVC": pipeline(
            lambda: TfidfVectorizer(analyzer="char", ngram_range=(2, 5)), svm
        ),
    }
    try:
        import fasttext
    except ImportError:
        return made
    return {**made, "fastText, 25 epochs, word bigrams": _fasttext(fasttext)}


def svm() -> LinearSVC:
    """scikit-learn's linear SVM, the same each time."""
    return LinearSVC(random_state=SEED)


def pipeline(vectoriser: Callable[[], Any], classifier: Callable[[], Any]) -> Filter:
    """A filter of scikit-learn's parts."""

    def fit_and_ask(train: Texts, spam: np.ndarray, test: Texts) -> np.ndarray:
        return make_pipeline(vectoriser(), classifier()).fit(train, spam).predict(test)

    return fit_and_ask


def _fasttext(fasttext: Any) -> Filter:
    def line(text: str) -> str:
        return " ".join(re.sub(r"([.!?,'/()])", r" \1 ", text.lower()).split())

    def fit_and_ask(train: Texts, spam: np.ndarray, test: Texts) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            lines = [f"__label__{s} {line(t)}" for t, s in zip(train, spam, strict=True)]
            path.write_text("\n".join(lines), "utf-8")
            model = fasttext.train_supervised(
                str(path), epoch=25, lr=1.0, wordNgrams=2, thread=1, seed=SEED, verbose=0
            )
        # fastText's own predict does not run under NumPy 2.
        found = [model.f.predict(f"{line(text)}\n", 1, 0.0, "strict")[0][1] for text in test]
        return np.array([label == "__label__1" for label in found], dtype=int)

    return fit_and_ask


def run_peer(peer: Filter, texts: np.ndarray, spam: np.ndarray, splits: Splits) -> np.ndarray:
    """What a peer says of each message."""
    told = np.zeros(len(texts), dtype=int)
    for train, test in splits:
        told[test] = peer(texts[train], spam[train], texts[test])
    return told


def run_ours(rows: Rows, splits: Splits) -> np.ndarray:
    """What ours says of each message, all of its choices made inside the training part."""
    told = np.zeros(len(rows), dtype=int)
    for train, test in splits:
        learned = learn(rows[train], FOLDS, PRECISION, SEED)
        told[test] = learned.chances(rows[test]) >= learned.threshold
    return told


def compare_cleaning(data: Any) -> None:
    """What each step of the usual cleaning does: to an SVM on words, and to our features."""
    from nltk.stem.snowball import SnowballStemmer

    stem = SnowballStemmer("english").stem
    lower = str.lower
    words = re.compile(r"\w+|[^\w\s]")

    def each(change: Callable[[str], str]) -> Callable[[str], str]:
        return lambda text: " ".join(filter(None, map(change, words.findall(lower(text)))))

    steps: dict[str, Callable[[str], str]] = {
        "as it is": str,
        "lower case": lower,
        "and no punctuation": each(lambda w: w if w[0].isalnum() else ""),
        "and no numbers": each(lambda w: "" if w.isdigit() else w),
        "and no stop words": each(lambda w: "" if w in ENGLISH_STOP_WORDS else w),
        "and stemmed": each(stem),
        "all of them": each(
            lambda w: "" if not w.isalpha() or w in ENGLISH_STOP_WORDS else stem(w)
        ),
    }
    rows = prepare(data)
    splits, truth = rows.folds(FOLDS, SEED), rows.spam[rows.judged]
    usual = pipeline(lambda: TfidfVectorizer(lowercase=False, token_pattern=words.pattern), svm)
    print("| cleaning | words + linear SVM: F1 | average precision of ours |")
    print("|---|---|---|")
    for name, step in steps.items():
        texts = np.array([step(undisguise(text)) for text in data.texts], dtype=object)
        told = run_peer(usual, texts, rows.spam, splits)[rows.judged]
        plain = [" ".join(text.split()) for text in texts]
        ours = scores_of_ours(replace(rows, counted=count(plain, KINDS)), splits)[rows.judged]
        ranked = average_precision_score(truth, ours)
        print(f"| {name} | {f1_score(truth, told):.4f} | {ranked:.4f} |", flush=True)


def scores_of_ours(rows: Rows, splits: Splits) -> np.ndarray:
    """Scores of our SVM on our features; the signs of form are those of the uncleaned text."""
    scores = np.zeros(len(rows))
    for train, test in splits:
        seen, unseen = rows[train], rows[test]
        encoder = TfidfEncoder(KINDS).fit(seen.counted)
        X = features(encoder, seen.counted, seen.form)
        weights, bias = CANDIDATES["SVM, C 0.3"](X, seen.spam, seen.weight, SEED)
        scores[test] = features(encoder, unseen.counted, unseen.form) @ weights + bias
    return scores


if __name__ == "__main__":
    main()
