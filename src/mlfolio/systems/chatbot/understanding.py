"""What a text asks for: an intent, how sure that is, and whether it is any of the intents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from mlfolio.core.run import read_json, write_json
from mlfolio.parts.text.embed import BUNDLED, get_encoder
from mlfolio.parts.text.linear import Linear

KEPT = 0.95  # share of in-scope questions that the threshold lets through
OTHERS = 2

Floats = NDArray[np.float64]


class Guess(NamedTuple):
    """What a text was taken for.

    Attributes:
        intent: The most likely intent.
        probability: Calibrated, that it is the right one, given that the text is about any.
        in_scope: How likely the text is about any of the intents, in [0, 1].
        known: Whether `in_scope` reaches the fitted threshold.
        others: The next two with their probabilities.
    """

    intent: str
    probability: float
    in_scope: float
    known: bool
    others: tuple[tuple[str, float], ...]


class Understanding:
    """A frozen sentence encoder and a linear classifier on its vectors.

    Attributes:
        intents: Their names, sorted.
        linear: A score for each intent.
        threshold: Least `in_scope` of a text that counts as known.
    """

    def __init__(self, linear: Linear, threshold: float, encoder: str = BUNDLED) -> None:
        self.linear = linear
        self.threshold = threshold
        self.encoder = encoder

    @property
    def intents(self) -> list[str]:
        """The names of the intents, sorted."""
        return list(self.linear.classes)

    @classmethod
    def fit(
        cls, texts: Sequence[str], intents: Sequence[str], outside: Sequence[str] = (),
        *, encoder: str = BUNDLED, seed: int = 0,
    ) -> Self:  # fmt: skip
        """Learns from examples of each intent, and from texts about none of them.

        Args:
            texts: Examples.
            intents: The intent of each; two or more different ones.
            outside: Texts about none of the intents; may be empty.
            encoder: Name of the sentence encoder.
            seed: Seed of the folds.
        """
        vectors = get_encoder(encoder).encode(texts)
        fitted = LogisticRegression(C=30, max_iter=1000).fit(vectors, intents)
        made = cls(Linear.of(fitted), 0.0, encoder)
        chances = made._chances(texts).max(axis=1)
        made.threshold = float(np.quantile(chances, 1 - KEPT))
        return made

    def understand(self, texts: Sequence[str]) -> list[Guess]:
        """What each text is most likely about."""
        if not texts:
            return []
        chances = self._chances(texts)
        order = np.argsort(-chances, axis=1)[:, : 1 + OTHERS]
        return (
            [
                Guess(*ranked[0], row.max(), row.max() >= self.threshold, tuple(ranked[1:]))
                for row in chances
                for ranked in [[(self.intents[at], float(row[at])) for at in np.argsort(-row)[:3]]]
            ]
            if len(order)
            else []
        )

    def save(self, folder: Path) -> None:
        """Writes the weights and `understanding.json`."""
        self.linear.save(folder)
        write_json(
            folder / "understanding.json",
            {"threshold": self.threshold, "encoder": self.encoder},
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = read_json(folder / "understanding.json", "threshold", "encoder")
        return cls(Linear.load(folder), facts["threshold"], facts["encoder"])

    def _chances(self, texts: Sequence[str]) -> Floats:
        scores = self.linear.scores(get_encoder(self.encoder).encode(texts))
        if scores.shape[1] == 1:
            scores = np.hstack([np.zeros_like(scores), scores])
        return np.asarray(softmax(scores, axis=1))
