"""NB-SVM, the linear model that deep nets have to beat on reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True)
class NbSvm:
    """Words and pairs, weighed by how much more often one side has them (Wang and Manning, 2012).

    Logistic regression stands in for the SVM: it is as good here, and gives probabilities.
    """

    counter: CountVectorizer
    ratio: NDArray[np.float64]
    linear: LogisticRegression

    @classmethod
    def fit(cls, texts: Sequence[str], positive: NDArray[np.int64]) -> NbSvm:
        """Learns from texts and which of them are positive, shape (n,)."""
        counter, rows = _counted(texts)
        sides = [np.asarray(rows[positive == side].sum(axis=0)).ravel() + 1 for side in (0, 1)]
        ratio = np.log(sides[1] / sides[1].sum()) - np.log(sides[0] / sides[0].sum())
        linear = LogisticRegression(
            C=2.0, solver="liblinear", dual=True, max_iter=1000, random_state=0
        )
        return cls(counter, ratio, linear.fit(_weighed(rows, ratio), positive))

    def chances(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of being positive, shape (n,)."""
        rows = _weighed(self.counter.transform(texts), self.ratio)
        return np.asarray(self.linear.predict_proba(rows)[:, 1])


def _counted(texts: Sequence[str]) -> tuple[CountVectorizer, Any]:
    """What counts words of two letters or more that two texts have, and the counts.

    Where there are none, every word counts: of one letter, or in one text alone.
    """
    options: dict[str, Any] = {"ngram_range": (1, 2), "binary": True, "dtype": np.float64}
    try:
        counter = CountVectorizer(min_df=2, **options)
        return counter, counter.fit_transform(texts)
    except ValueError:  # an empty vocabulary
        counter = CountVectorizer(**options | {"token_pattern": r"\w+"})
        return counter, counter.fit_transform(texts)


def _weighed(rows: Any, ratio: NDArray[np.float64]) -> Any:
    return csr_matrix(rows.multiply(ratio))
