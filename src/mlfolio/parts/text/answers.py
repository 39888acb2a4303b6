"""How well an answer agrees with the answers that people gave: as SQuAD is measured.

Rajpurkar et al. (2016), SQuAD: 100,000+ questions for machine comprehension of text, section 6.1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> list[str]:
    """Its words: small letters, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact(answer: str, truths: Iterable[str]) -> float:
    """1 if an answer has the words of a right one, else 0.

    Args:
        answer: Empty where none was given.
        truths: Right answers, any of which will do; none where there is no answer.
    """
    return _best(answer, truths, lambda mine, theirs: float(mine == theirs))


def f1(answer: str, truths: Iterable[str]) -> float:
    """Harmonic mean of the shares of words that an answer and a right one have in common, 0 to 1.

    Args:
        answer: Empty where none was given.
        truths: Right answers, the nearest of which counts; none where there is no answer.
    """
    return _best(answer, truths, _overlap)


def _best(
    answer: str, truths: Iterable[str], measure: Callable[[list[str], list[str]], float]
) -> float:
    mine, right = normalised(answer), [normalised(truth) for truth in truths]
    return max(measure(mine, theirs) for theirs in right or [[]])


def _overlap(mine: list[str], theirs: list[str]) -> float:
    if not mine or not theirs:
        return float(mine == theirs)
    shared = (Counter(mine) & Counter(theirs)).total()
    return 2 * shared / (len(mine) + len(theirs))
