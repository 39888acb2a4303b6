"""Near-duplicates: texts that differ in little more than their numbers and addresses.

Spam, boilerplate and reposts come in copies that are not quite equal. A copy on each side of a
split is an answer that the model has seen, so copies are found before splitting and kept together.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer

SIMILAR: Final = 0.6  # share of two texts' shingles that both have
SHINGLE: Final = 5  # characters
LONGEST: Final = 20_000  # characters of a text that are compared
BITS: Final = 20  # of a shingle's hash
BANDS, BAND_ROWS = 24, 3  # three hashes of 20 bits are one number of 60
PAIRS: Final = 20_000  # that are compared at once, to bound the memory
_TOKEN = re.compile(r"\S+")
_LINK = re.compile(r"https?://.+|www\..+")
_NUMBER = re.compile(r"\d(?:[\d .,:/-]*\d)?")


def skeleton(text: str) -> str:
    """A text without what templates fill in: small letters, `0` for numbers, no punctuation."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).lower()
    plain = _NUMBER.sub(" 0 ", _TOKEN.sub(_without_address, plain))
    return " ".join(re.sub(r"[\W_]+", " ", plain).split())


def _without_address(token: re.Match[str]) -> str:
    """What has no blanks in it, `url` for an address of a page or of a person.

    One pattern for all of it would take the cube of a long token's length.
    """
    word = token[0]
    at = word.find("@", 1)
    if at > 0 and word.rfind(".", at + 2, len(word) - 1) > 0:
        return " url "
    return _LINK.sub(" url ", word)


def near_duplicates(
    texts: Sequence[str], similar: float = SIMILAR, seed: int = 0
) -> NDArray[np.int64]:
    """Groups of texts that are copies of each other, or of copies of each other.

    Two texts are copies if their skeletons are equal, or at least `similar` by Jaccard's measure
    on pieces of five characters. Candidates are found by MinHash (Broder, 1997) in bands (Leskovec
    et al., Mining of massive datasets, 3.4) and compared exactly: nothing is joined by chance, and
    of pairs just as similar as asked for one in three hundred may be missed.

    Args:
        texts: Any number; 100,000 short ones take some twenty seconds.
        similar: Least similarity, in (0, 1].
        seed: Seed of the hashes.

    Returns:
        For each text the number of its group, counted by first appearance, shape (n,).
    """
    if not texts:
        return np.zeros(0, dtype=np.int64)
    codes, skeletons = pd.factorize(np.array([skeleton(text) for text in texts], dtype=object))
    shingles = csr_array(_hasher().transform(skeletons))
    left, right = _candidates(shingles, seed)
    copies = _similarity(shingles, left, right) >= similar
    joined = coo_array(
        (np.ones(copies.sum()), (left[copies], right[copies])), shape=[len(skeletons)] * 2
    )
    _, groups = connected_components(joined, directed=False)
    return np.asarray(pd.factorize(groups[codes])[0], dtype=np.int64)


def _hasher() -> HashingVectorizer:
    return HashingVectorizer(
        analyzer="char", ngram_range=(SHINGLE, SHINGLE), n_features=2**BITS, lowercase=False,
        binary=True, norm=None, alternate_sign=False,
    )  # fmt: skip


def _candidates(shingles: csr_array, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of texts worth comparing: those that agree in all hashes of some band.

    In each band a text is paired with its neighbour and with the first of those it agrees with,
    which joins whatever is alike without looking at every pair of a large group.
    """
    full = np.flatnonzero(np.diff(shingles.indptr))  # shorter texts have no shingle
    starts = shingles.indptr[full]
    kinds, shingle = np.unique(shingles.indices, return_inverse=True)
    rng = np.random.default_rng(seed)
    pairs = [np.zeros(0, dtype=np.int64)]
    for _ in range(BANDS if len(full) else 0):
        key = np.zeros(len(full), dtype=np.int64)
        for _ in range(BAND_ROWS):
            least = np.minimum.reduceat(rng.permutation(len(kinds))[shingle], starts)
            key = (key << BITS) | least
        by_key = np.argsort(key, kind="stable")
        new = np.diff(key[by_key], prepend=-1) != 0
        first = by_key[np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))]
        again = np.flatnonzero(~new)
        for other in (first[again], by_key[again - 1]):
            pairs += [full[other] * shingles.shape[0] + full[by_key[again]]]
    unique = np.unique(np.concatenate(pairs))
    return np.divmod(unique, shingles.shape[0])


def _similarity(
    shingles: csr_array, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Jaccard's measure of each pair, shape (pairs,)."""
    sizes = np.diff(shingles.indptr)
    found = [np.zeros(0)]
    for at in range(0, len(left), PAIRS):
        a, b = left[at : at + PAIRS], right[at : at + PAIRS]
        shared = shingles[a].multiply(shingles[b]).sum(axis=1)
        found.append(shared / (sizes[a] + sizes[b] - shared))
    return np.concatenate(found)
