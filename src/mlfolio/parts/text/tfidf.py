"""TF-IDF of words and characters: sparse, quick, stored as JSON and arrays.

scikit-learn counts (`CountVectorizer`) and weighs (`TfidfTransformer`); several kinds of n-grams
stand beside each other, each with rows of length one. Counting learns nothing, so texts that are
encoded in many folds may be counted once (`count`): what is learned, which n-grams are kept and
how rare each is, is learned from the rows of a fold alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array, hstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.utils.validation import check_is_fitted

from mlfolio.core.run import write_json

Floats = NDArray[np.float64]
Rows = NDArray[np.int64] | slice


class Grams(BaseModel):
    """One kind of n-grams.

    Attributes:
        analyzer: scikit-learn's names: `word`, `char` (across words) or `char_wb` (within them).
        shortest: Least number of words or characters.
        longest: Greatest number of them.
        min_df: In how many training texts an n-gram must occur to be kept.
        weight: Length of the rows, for kinds that are to count more or less than others.
        word: What a word is, as a regular expression.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    analyzer: Literal["word", "char", "char_wb"] = "word"
    shortest: int = Field(1, ge=1)
    longest: int = Field(2, ge=1)
    min_df: int = Field(1, ge=1)
    weight: float = Field(1.0, gt=0)
    word: str = r"\w+"

    def counter(self, terms: Mapping[str, int] | None = None) -> CountVectorizer:
        """What counts these n-grams: all that there are, or the given ones in the given columns."""
        pattern = self.word if self.analyzer == "word" else None
        return CountVectorizer(
            analyzer=self.analyzer, ngram_range=(self.shortest, self.longest), lowercase=False,
            token_pattern=pattern, vocabulary=terms, dtype=np.float64,
        )  # fmt: skip

    def occurrences(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Each n-gram of a text with where it begins and ends, as often as `counter` counts it.

        Args:
            text: Without two blanks in a row, which scikit-learn would make one.
        """
        if self.analyzer == "word":
            words = [match.span() for match in re.finditer(self.word, text)]
            for n in range(self.shortest, self.longest + 1):
                for at in range(len(words) - n + 1):
                    parts = words[at : at + n]
                    term = " ".join(text[start:end] for start, end in parts)
                    yield term, parts[0][0], parts[-1][1]
        elif self.analyzer == "char":
            yield from self._windows(text, 0)
        else:
            for match in re.finditer(r"\S+", text):
                yield from self._windows(f" {match.group()} ", match.start() - 1)

    def _windows(self, text: str, start: int) -> Iterator[tuple[str, int, int]]:
        """Every piece of a text; within words one that is too short counts once, as itself."""
        longest = min(self.longest, max(len(text), self.shortest))
        for n in range(self.shortest, longest + 1):
            for at in range(max(len(text) - n + 1, 1 if self.analyzer == "char_wb" else 0)):
                yield text[at : at + n], start + at, start + min(at + n, len(text))


WORDS_AND_CHARACTERS = (
    Grams(analyzer="word", shortest=1, longest=2),
    Grams(analyzer="char_wb", shortest=2, longest=5, min_df=2),
)


@dataclass(frozen=True)
class Counted:
    """The n-grams of texts, counted once for many folds.

    Attributes:
        matrices: For each kind how often each text has each n-gram, shape (n, n-grams of it).
        terms: For each kind its n-grams, sorted.
    """

    matrices: tuple[csr_array, ...]
    terms: tuple[Sequence[str], ...]

    def __len__(self) -> int:
        return int(self.matrices[0].shape[0])

    def __getitem__(self, rows: Rows) -> Counted:
        return Counted(tuple(matrix[rows] for matrix in self.matrices), self.terms)


Texts = Sequence[str] | Counted


def count(texts: Sequence[str], grams: Sequence[Grams]) -> Counted:
    """Counts the n-grams of texts, for encoders of the same kinds.

    Args:
        texts: At least one that has an n-gram of each kind.
        grams: The kinds.
    """
    matrices, terms = [], []
    for kind in grams:
        counter = kind.counter()
        matrices.append(csr_array(counter.fit_transform(texts)))
        terms.append(counter.get_feature_names_out().tolist())
    return Counted(tuple(matrices), tuple(terms))


class Share(NamedTuple):
    """What a word adds to a score: its place in the text, and how much of the score is its."""

    start: int
    end: int
    effect: float


class TfidfEncoder(TransformerMixin, BaseEstimator):
    """Texts to sparse rows: for each kind of n-grams its TF-IDF, scaled to length one.

    The weight of an n-gram is (1 + log of how often the text has it) times its rarity
    1 + log((1 + n) / (1 + texts that have it)), scikit-learn's `sublinear_tf` and `smooth_idf`.
    Texts are taken as they are: lower-case and clean them before.

    Args:
        grams: The kinds of n-grams.

    Attributes:
        terms_: For each kind the n-grams that were kept, in the order of their columns.
        idf_: For each kind the rarity of each of them.
    """

    def __init__(self, grams: Sequence[Grams] = WORDS_AND_CHARACTERS) -> None:
        self.grams = grams

    @property
    def n_features(self) -> int:
        """Number of columns."""
        check_is_fitted(self)
        return sum(map(len, self.terms_))

    def fit(self, X: Texts, y: object = None) -> Self:
        """Learns which n-grams there are and how rare each is.

        Args:
            X: Texts, or these texts counted.
            y: Not used.
        """
        counted = X if isinstance(X, Counted) else count(X, self.grams)
        self._counted = counted.terms
        self._kept = [
            np.flatnonzero(np.bincount(matrix.indices, minlength=len(terms)) >= kind.min_df)
            for kind, matrix, terms in zip(self.grams, counted.matrices, counted.terms, strict=True)
        ]
        self.terms_: list[list[str]] = []
        self.idf_: list[Floats] = []
        for matrix, terms, kept in zip(counted.matrices, counted.terms, self._kept, strict=True):
            self.terms_.append([terms[at] for at in kept.tolist()])
            self.idf_.append(TfidfTransformer().fit(matrix[:, kept]).idf_)
        self._make_ready()
        return self

    def transform(self, X: Texts) -> csr_array:
        """The rows of texts, shape (n, n_features).

        Raises:
            ValueError: They are counted, but not together with those of `fit`.
        """
        check_is_fitted(self)
        if not isinstance(X, Counted):
            matrices = [counter.transform(X) for counter in self._counters]
        elif X.terms is self._counted:
            matrices = [m[:, kept] for m, kept in zip(X.matrices, self._kept, strict=True)]
        else:
            raise ValueError("texts are counted together with those of fit, or not at all")
        weighed = [
            kind.weight * csr_array(weigher.transform(matrix))
            for kind, weigher, matrix in zip(self.grams, self._weighers, matrices, strict=True)
        ]
        return csr_array(hstack(weighed, format="csr"))

    def fit_transform(self, X: Texts, y: object = None) -> csr_array:
        """`fit`, then `transform`, counting once."""
        counted = X if isinstance(X, Counted) else count(X, self.grams)
        return self.fit(counted).transform(counted)

    def shares(self, text: str, weights: Floats) -> list[Share]:
        """What each word of a text adds to a linear score; together exactly `row @ weights`.

        What an n-gram adds is parted among the places where it stands, there among the words that
        it touches, by how many of their characters it has.

        Args:
            text: Without two blanks in a row.
            weights: One for each column, shape (n_features,).
        """
        words = [match.span() for match in re.finditer(r"\S+", text)]
        if not words:
            return []
        row = self.transform([text])
        adds = dict(zip(row.indices.tolist(), row.data * weights[row.indices], strict=True))
        effects = np.zeros(len(words))
        owners = _owners(text, words)
        first = 0
        for kind, counter, terms in zip(self.grams, self._counters, self.terms_, strict=True):
            places: dict[int, list[tuple[int, int]]] = {}
            for term, start, end in kind.occurrences(text):
                column = counter.vocabulary.get(term)
                if column is not None:
                    places.setdefault(first + column, []).append((max(start, 0), end))
            for column, spans in places.items():
                for start, end in spans:
                    touched = owners[start:end]
                    inside = touched[touched >= 0]
                    parts = inside if len(inside) else ~touched
                    np.add.at(effects, parts, adds.get(column, 0.0) / len(spans) / len(parts))
            first += len(terms)
        return [Share(*span, effect) for span, effect in zip(words, effects.tolist(), strict=True)]

    def save(self, folder: Path) -> None:
        """Writes `tfidf.json` (the n-grams) and `tfidf.npz` (their rarity)."""
        facts = {"grams": [kind.model_dump() for kind in self.grams], "terms": self.terms_}
        write_json(folder / "tfidf.json", facts)
        parts = np.cumsum([0, *map(len, self.terms_)])
        np.savez_compressed(folder / "tfidf.npz", idf=np.concatenate(self.idf_), parts=parts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = json.loads((folder / "tfidf.json").read_text("utf-8"))
        encoder = cls(tuple(Grams.model_validate(kind) for kind in facts["grams"]))
        encoder.terms_ = facts["terms"]
        with np.load(folder / "tfidf.npz", allow_pickle=False) as arrays:
            encoder.idf_ = np.split(arrays["idf"], arrays["parts"][1:-1])
        encoder._make_ready()
        return encoder

    def _make_ready(self) -> None:
        """Builds what counts and weighs from what was learned or read."""
        self._counters = [
            kind.counter({term: at for at, term in enumerate(terms)})
            for kind, terms in zip(self.grams, self.terms_, strict=True)
        ]
        self._weighers = []
        for idf in self.idf_:
            weigher = TfidfTransformer(sublinear_tf=True)
            weigher.idf_ = idf
            self._weighers.append(weigher)


def _owners(text: str, words: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """For each character the number of its word; for blanks ~ the number of the word before."""
    owners = np.full(len(text), ~0)
    for number, (start, end) in enumerate(words):
        owners[start:end] = number
        owners[end:] = ~number
    return owners
