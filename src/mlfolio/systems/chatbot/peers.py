"""What stands beside the system: two intent classifiers of a few lines, as tutorials write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from mlfolio.parts.text.embed import BUNDLED

from .understanding import LAYERS, Examples

EMBEDDED: Final = "MiniLM + logistic regression"
COUNTED: Final = "TF-IDF + linear SVM"


class Judgement(NamedTuple):
    """What a classifier says of texts.

    Attributes:
        intents: The intent of each, before anything is refused.
        scores: The higher, the likelier that it is about any; comparable within one classifier.
        known: Whether its score reaches the threshold.
        chances: How probable the intent is, if it is in scope; the scores, if nothing better is
            known.
    """

    intents: NDArray[np.str_]
    scores: NDArray[np.float64]
    known: NDArray[np.bool_]
    chances: NDArray[np.float64]


Judge = Callable[[Examples], Judgement]
Read = Callable[[Examples], Any]  # what a classifier sees of texts in scope, then of the others


def peers(train: Examples, validation: Examples | None, keep: float, seed: int) -> dict[str, Judge]:
    """Both, fitted on `train`, each with the threshold that keeps a share of the validation part.

    Their sign of scope is their highest probability or score; texts about none of the intents are
    of no use to them. Without a validation part thresholds come from three folds of `train`.
    """
    counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    made: dict[str, tuple[Read, Any, str]] = {
        EMBEDDED: (_vectors, LogisticRegression(C=10, max_iter=1000), "predict_proba"),
        COUNTED: (_texts, make_pipeline(counts, LinearSVC(random_state=seed)), "decision_function"),
    }
    return {name: _fit(*parts, train, validation, keep) for name, parts in made.items()}


def _vectors(examples: Examples) -> Any:
    vectors = examples.vectors(BUNDLED)
    return vectors[:, -(vectors.shape[1] // LAYERS) :]  # of the last layer, as is usual


def _texts(examples: Examples) -> Any:
    return np.array(examples.all_texts, dtype=object)


def _fit(
    read: Read, model: Any, method: str, train: Examples,
    validation: Examples | None, keep: float,
) -> Judge:  # fmt: skip
    X, y = read(train)[: len(train.texts)], np.array(train.intents)
    model.fit(X, y)

    def best(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return scores.max(axis=1) if scores.ndim == 2 else np.abs(scores)  # an SVM of two classes

    if validation is None:
        seen = cross_val_predict(model, X, y, cv=3, method=method)
    else:
        seen = getattr(model, method)(read(validation)[: len(validation.texts)])
    threshold = np.quantile(best(seen), 1 - keep)

    def judge(asked: Examples) -> Judgement:
        rows = read(asked)
        scores = best(getattr(model, method)(rows))
        return Judgement(model.predict(rows), scores, scores >= threshold, scores)

    return judge
