"""Words to stems: what full-text search compares, where a store does not do that itself.

As LanceDB's full-text index does it (lower case, English stems, stop words, accents taken off), so
that every store finds the same: Porter (2001), Snowball.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache

from nltk.stem.snowball import EnglishStemmer

_LONGEST = 40  # characters of a word; a longer one is a number or a key, which nobody types
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
    a an and are as at be but by for if in into is it no not of on or such that the their then
    there these they this to was will with
""",
    )
)
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "ı": "i"})


def term_counts(text: str) -> Counter[str]:
    """The terms of a text, and how often each occurs."""
    words = (word for word in re.findall(r"[^\W_]+", text.lower()) if len(word) <= _LONGEST)
    stems = (stem(word) for word in words)
    return Counter(_folded(each) for each in stems if each not in _STOP)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The stem of an English word in small letters."""
    found: str = _stemmer().stem(word)
    return found


@lru_cache(maxsize=50_000)
def _folded(word: str) -> str:
    """A word without its accents: "cafe" for "café"."""
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFKD", word.translate(_LETTERS))
    return "".join(part for part in parts if not unicodedata.combining(part)) or word


@cache
def _stemmer() -> EnglishStemmer:
    return EnglishStemmer()
