"""Intent classifiers as tutorials write them beside ours: same texts, same thresholds, same run.

    MLFOLIO_DATA=FOLDER python benchmarks/chatbot.py [--banking]

On CLINC150 each is fitted on the training part, gets the threshold that keeps 95 % of the
validation questions in scope, and answers the test part; with `--banking` also Banking77, accuracy
only. The peers are scikit-learn's TF-IDF pipelines and logistic regression on MiniLM's vectors.
Seconds are those of the fit with the encoding of its texts. A last column has each accuracy as a
share of ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from mlfolio.core.source import OFFICIAL
from mlfolio.parts.text.embed import get_encoder
from mlfolio.systems.chatbot.system import Chatbot
from mlfolio.systems.chatbot.understanding import Examples, Understanding

SEED, KEEP = 0, 0.95
Answer = tuple[np.ndarray, np.ndarray]  # intents, and how likely each text is in scope
Ask = Callable[[Sequence[str]], Answer]


def main() -> None:
    """Prints a line for each classifier."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--banking", action="store_true")
    banking = parser.parse_args().banking
    data = Chatbot().load(OFFICIAL)
    get_encoder().encode(["loads the weights"])
    print("| classifier | accuracy | AUROC | out-of-scope recall | fit s | Banking77 | of ours |")
    print("|---|---|---|---|---|---|---|")
    ours = 0.0
    for name, fit in {"mlfolio": fit_ours, **peers()}.items():
        started = time.perf_counter()
        ask = fit(data.train, data.validation)
        seconds = time.perf_counter() - started
        accuracy, area, recall = measure(ask, data.validation, data.test)
        ours = ours or accuracy
        second = second_accuracy(fit, *data.second) if banking else "–"
        print(
            f"| {name} | {accuracy:.4f} | {area:.4f} | {recall:.4f} | {seconds:.0f} | {second} "
            f"| {accuracy / ours:.3f} |",
            flush=True,
        )


def measure(ask: Ask, validation: Examples, test: Examples) -> tuple[float, float, float]:
    """Accuracy in scope, area under the ROC curve of scope, share of the others refused."""
    threshold = np.quantile(ask(validation.texts)[1], 1 - KEEP)
    intents, inside = ask(test.texts)
    outside = ask(test.outside)[1]
    truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    area = roc_auc_score(truth, np.r_[inside, outside])
    right = np.mean(intents == np.array(test.intents))
    return float(right), float(area), float(np.mean(outside < threshold))


def second_accuracy(fit: Callable[..., Ask], train: Examples, test: Examples) -> str:
    """Accuracy on Banking77, after a fit on its training part."""
    return f"{np.mean(fit(train, None)(test.texts)[0] == np.array(test.intents)):.4f}"


def fit_ours(train: Examples, validation: Examples | None) -> Ask:
    """What `mlfolio run chatbot` fits."""
    made = Understanding.fit(train, validation=validation, keep=KEEP, seed=SEED)

    def ask(texts: Sequence[str]) -> Answer:
        guesses = made.understand(texts)
        return np.array([g.intent for g in guesses]), np.array([g.in_scope for g in guesses])

    return ask


def peers() -> dict[str, Callable[..., Ask]]:
    """Pipelines of scikit-learn; the sign of scope is the highest probability, or score."""
    vectors = FunctionTransformer(lambda texts: get_encoder().encode(list(texts)))
    words = {"ngram_range": (1, 2), "sublinear_tf": True}
    made = {
        "TfidfVectorizer + MultinomialNB": (TfidfVectorizer(), MultinomialNB()),
        "TfidfVectorizer(words, 1-2) + LinearSVC": (
            TfidfVectorizer(**words), LinearSVC(random_state=SEED),
        ),
        "MiniLM + logistic regression": (vectors, LogisticRegression(C=10, max_iter=1000)),
    }  # fmt: skip
    return {name: pipeline(*steps) for name, steps in made.items()}


def pipeline(*steps: Any) -> Callable[..., Ask]:
    """What fits a pipeline; the validation part is of no use to it."""

    def fit(train: Examples, validation: Examples | None) -> Ask:
        model = make_pipeline(*steps).fit(train.texts, train.intents)
        method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"

        def ask(texts: Sequence[str]) -> Answer:
            scores = getattr(model, method)(texts)
            return model.classes_[scores.argmax(axis=1)], scores.max(axis=1)

        return ask

    return fit


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
