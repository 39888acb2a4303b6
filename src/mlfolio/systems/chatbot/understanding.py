"""What a text asks for: an intent, how sure that is, and whether it is any of the intents.

Two linear classifiers share the work: logistic regression on the last layers of a frozen sentence
encoder, which knows what words mean, and an SVM on n-grams, which knows which words there are. What
makes probabilities and a threshold of their scores is learned from texts that they have not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logsumexp, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from mlfolio.core.run import read_json, write_json
from mlfolio.data.splits import folds
from mlfolio.parts.text.duplicates import near_duplicates
from mlfolio.parts.text.embed import BUNDLED, get_encoder
from mlfolio.parts.text.linear import Linear
from mlfolio.parts.text.tfidf import Grams, TfidfEncoder
from mlfolio.parts.text.vectors import Vectors

LAYERS: Final = 2  # of the encoder: the last but one knows more of the words than the last alone
WEIGHTS: Final = (0.0, 0.5, 1.0, 2.0, 4.0)  # of the SVM's scores beside those of the regression
FEWEST_OUTSIDE: Final = 5  # texts about none of the intents, from which that can be learned
OUTSIDE: Final = ""  # what is none of the intents; no intent is called so
FOLDS: Final = 5
FACTS: Final = ("weight", "temperature", "scope", "threshold", "encoder")
GRAMS: Final = (
    Grams(analyzer="word", shortest=1, longest=2, min_df=2),
    Grams(analyzer="char_wb", shortest=2, longest=4, min_df=2),
)

Floats = NDArray[np.float64]


class Guess(NamedTuple):
    """What a text was taken for.

    Attributes:
        intent: The most likely intent.
        probability: Calibrated, that it is the right one, given that the text is about any.
        in_scope: How likely the text is about any of the intents, in [0, 1], if every other text
            is about none.
        known: Whether `in_scope` reaches the fitted threshold.
        others: The next two with their probabilities.
    """

    intent: str
    probability: float
    in_scope: float
    known: bool
    others: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Examples:
    """Texts and the intent of each, and texts about none of the intents.

    What an encoder makes of them is kept: a run looks at the same texts many times.
    """

    texts: Sequence[str]
    intents: Sequence[str]
    outside: Sequence[str] = ()
    _vectors: dict[str, Vectors] = field(default_factory=dict, init=False, repr=False)

    @property
    def all_texts(self) -> list[str]:
        """Those in scope, then those outside."""
        return [*self.texts, *self.outside]

    @property
    def labels(self) -> NDArray[np.str_]:
        """The intent of each of them, `OUTSIDE` for none, shape (n,)."""
        return np.array([*self.intents, *[OUTSIDE] * len(self.outside)], dtype=np.str_)

    def vectors(self, encoder: str = BUNDLED) -> Vectors:
        """The last layers' vectors of each of them, shape (n, LAYERS * dimension)."""
        if encoder not in self._vectors:
            self._vectors[encoder] = get_encoder(encoder).encode(self.all_texts, LAYERS)
        return self._vectors[encoder]

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """Some of them, by their places in `all_texts`, sorted."""
        texts, labels = np.array(self.all_texts, dtype=object)[rows], self.labels[rows]
        inside = labels != OUTSIDE
        taken = Examples(texts[inside].tolist(), labels[inside].tolist(), texts[~inside].tolist())
        taken._vectors.update({name: each[rows] for name, each in self._vectors.items()})
        return taken


@dataclass(frozen=True)
class Heads:
    """What is fitted on examples, and knows nothing of how sure it is.

    Attributes:
        meaning: Scores of the intents from an encoder's vectors.
        tfidf: Counts and weighs n-grams.
        words: Scores of the intents from them.
        scope: Log-odds of being about any intent, from the vectors; None where there were too few
            texts about none.
    """

    meaning: Linear
    tfidf: TfidfEncoder
    words: Linear
    scope: Linear | None

    @classmethod
    def fit(
        cls, texts: NDArray[np.object_], vectors: Vectors, labels: NDArray[np.str_], seed: int
    ) -> Self:
        """Fits all of them, shapes (n,), (n, dimension) and (n,)."""
        inside = labels != OUTSIDE
        intents = labels[inside]
        tfidf = TfidfEncoder(GRAMS)
        rows = tfidf.fit_transform(_lower(texts[inside]))
        svm = LinearSVC(C=0.3, tol=0.01, random_state=seed)
        regression = LogisticRegression(C=10, max_iter=500)
        # One core each: on a busy machine two threads that wait for each other are far slower.
        with threadpool_limits(1), ThreadPoolExecutor(1) as beside:
            counted = beside.submit(svm.fit, rows, intents)
            meaning = Linear.of(regression.fit(vectors[inside], intents))
            scope = None if inside.all() else Linear.of(regression.fit(vectors, inside))
            return cls(meaning, tfidf, Linear.of(counted.result()), scope)

    def scores(self, texts: Sequence[str], vectors: Vectors) -> Floats:
        """The scores of the intents, by meaning and by words, shape (2, n, intents)."""
        rows = self.tfidf.transform(_lower(texts))
        both = np.stack([self.meaning.scores(vectors), self.words.scores(rows)])
        # Of two intents there is one score, for the second.
        return np.concatenate([-both / 2, both / 2], axis=2) if both.shape[2] == 1 else both

    def scope_scores(self, vectors: Vectors) -> Floats:
        """Log-odds of being about any intent, shape (n, 1), or (n, 0) where they are not known."""
        return np.zeros((len(vectors), 0)) if self.scope is None else self.scope.scores(vectors)


class Understanding:
    """Heads on an encoder, and how sure they are.

    Attributes:
        heads: Give the scores.
        weight: Of the scores by words; those by meaning have weight one.
        temperature: What scores are divided by to be probabilities (Guo et al., 2017, On
            calibration of modern neural networks).
        scope: Weights of the signs of scope, then their bias: log-odds of being in scope. The
            signs are the energy of the scores (Liu et al., 2020, Energy-based out-of-distribution
            detection), and the heads' own log-odds, if there are any.
        threshold: Least `in_scope` of a text that counts as known.
        encoder: Name of the sentence encoder.
    """

    def __init__(
        self, heads: Heads, weight: float, temperature: float, scope: Sequence[float],
        threshold: float, encoder: str = BUNDLED,
    ) -> None:  # fmt: skip
        self.heads = heads
        self.weight = weight
        self.temperature = temperature
        self.scope = list(scope)
        self.threshold = threshold
        self.encoder = encoder

    @property
    def intents(self) -> list[str]:
        """The names of the intents, sorted."""
        return list(self.heads.meaning.classes)

    @classmethod
    def fit(
        cls, examples: Examples, *, validation: Examples | None = None, keep: float = 0.95,
        encoder: str = BUNDLED, seed: int = 0,
    ) -> Self:  # fmt: skip
        """Learns from examples of each intent, and from texts about none of them.

        Args:
            examples: Of two or more intents, each with two or more texts that are no
                near-duplicates; of texts about none, fewer than five are not learned from.
            validation: What says how sure the heads are, of the same intents. None: the examples
                themselves, in cross-validation with near-duplicates in one fold.
            keep: Share of the texts in scope that the threshold takes for known, in (0, 1).
            encoder: Name of the sentence encoder.
            seed: Seed of the SVM and of the folds.
        """
        texts, labels, vectors = _learnable(examples, encoder)
        heads = Heads.fit(texts, vectors, labels, seed)
        if validation is None:
            scores, scope_scores = _out_of_fold(texts, vectors, labels, seed)
        else:
            texts, labels, vectors = _learnable(validation, encoder)
            scores = heads.scores(texts.tolist(), vectors)
            scope_scores = heads.scope_scores(vectors)
        inside = labels != OUTSIDE
        truth = np.searchsorted(np.array(heads.meaning.classes), labels[inside])
        weight, temperature = _blend(scores[:, inside], truth)
        signs = _signs(scores[0] + weight * scores[1], scope_scores)
        made = cls(heads, weight, temperature, _scope(signs, inside, keep), 0.0, encoder)
        made.threshold = float(np.quantile(made._in_scope(signs[inside]), 1 - keep))
        return made

    def understand(self, texts: Sequence[str]) -> list[Guess]:
        """What each text is most likely about."""
        if not texts:
            return []
        # Alone: the same text gets the same answer, whoever asks at the same time.
        vectors = get_encoder(self.encoder).encode(texts, LAYERS, alone=True)
        by_meaning, by_words = self.heads.scores(texts, vectors)
        scores = by_meaning + self.weight * by_words
        chances = softmax(scores / self.temperature, axis=1)
        in_scope = self._in_scope(_signs(scores, self.heads.scope_scores(vectors)))
        guesses = []
        for row, scope in zip(chances, in_scope.tolist(), strict=True):
            likeliest = np.argsort(-row)[:3].tolist()
            first, *others = [(self.intents[at], float(row[at])) for at in likeliest]
            guesses.append(Guess(*first, scope, scope >= self.threshold, tuple(others)))
        return guesses

    def save(self, folder: Path) -> None:
        """Writes `understanding.json`, and the heads into folders of their own."""
        write_json(folder / "understanding.json", {name: getattr(self, name) for name in FACTS})
        for name in ("meaning", "tfidf", "words", "scope"):
            part = getattr(self.heads, name)
            if part is not None:
                (folder / name).mkdir()
                part.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = read_json(folder / "understanding.json", *FACTS)
        heads = Heads(
            meaning=Linear.load(folder / "meaning"),
            tfidf=TfidfEncoder.load(folder / "tfidf"),
            words=Linear.load(folder / "words"),
            scope=Linear.load(folder / "scope") if (folder / "scope").is_dir() else None,
        )
        return cls(heads, **{name: facts[name] for name in FACTS})

    def _in_scope(self, signs: Floats) -> Floats:
        return np.asarray(expit(signs @ self.scope[:-1] + self.scope[-1]))


def _learnable(
    examples: Examples, encoder: str
) -> tuple[NDArray[np.object_], NDArray[np.str_], Vectors]:
    """Texts, labels and vectors, without those outside where they are too few."""
    few = len(examples.outside) < FEWEST_OUTSIDE
    n = len(examples.texts) + (0 if few else len(examples.outside))
    texts = np.array(examples.all_texts[:n], dtype=object)
    return texts, examples.labels[:n], examples.vectors(encoder)[:n]


def _lower(texts: Iterable[str]) -> list[str]:
    return [text.lower() for text in texts]


def _out_of_fold(
    texts: NDArray[np.object_], vectors: Vectors, labels: NDArray[np.str_], seed: int
) -> tuple[Floats, Floats]:
    """Both kinds of scores of each text, by heads that were fitted without it and its copies."""
    groups = pd.DataFrame({"copies": near_duplicates(texts.tolist()), "label": labels})
    # Where all that a label has are copies, they are told apart: each fold needs one to learn from.
    single = groups.groupby("label")["copies"].transform("nunique") < 2
    groups.loc[single, "copies"] = -1 - np.arange(len(groups))[single]
    names = np.unique(labels)
    has_outside = OUTSIDE in names
    fewest = int(groups.groupby("label")["copies"].nunique().min())
    scores = np.zeros((2, len(texts), len(names) - has_outside))
    scope_scores = np.zeros((len(texts), int(has_outside)))
    for train, test in folds(groups, labels, max(2, min(FOLDS, fewest)), seed):
        heads = Heads.fit(texts[train], vectors[train], labels[train], seed)
        scores[:, test] = heads.scores(texts[test].tolist(), vectors[test])
        scope_scores[test] = heads.scope_scores(vectors[test])
    return scores, scope_scores


def _blend(scores: Floats, truth: NDArray[np.int64]) -> tuple[float, float]:
    """The weight of the scores by words and the temperature with the least log loss."""
    classes = np.arange(scores.shape[2])

    def loss(log_temperature: float, weight: float) -> float:
        blended = (scores[0] + weight * scores[1]) / np.exp(log_temperature)
        return float(log_loss(truth, softmax(blended, axis=1), labels=classes))

    found = {
        weight: minimize_scalar(loss, bounds=(-4, 4), args=(weight,), method="bounded")
        for weight in WEIGHTS
    }
    weight = min(found, key=lambda weight: float(found[weight].fun))
    return weight, float(np.exp(found[weight].x))


def _signs(scores: Floats, scope_scores: Floats) -> Floats:
    """What tells that a text is about any intent, shape (n, 1 or 2)."""
    return np.column_stack([logsumexp(scores, axis=1), scope_scores])


def _scope(signs: Floats, inside: NDArray[np.bool_], keep: float) -> list[float]:
    """Weights of the signs, then the bias.

    Where no text is about none of the intents, the weight is a convention: one half at the
    threshold, and 95 % three standard deviations above it.
    """
    if inside.all():
        spread = max(float(signs[:, 0].std()), 1e-6)
        others = [0.0] * (signs.shape[1] - 1)
        return [1 / spread, *others, -float(np.quantile(signs[:, 0], 1 - keep)) / spread]
    fitted = LogisticRegression(C=100, class_weight="balanced", max_iter=500).fit(signs, inside)
    return [*fitted.coef_[0].tolist(), float(fitted.intercept_[0])]
