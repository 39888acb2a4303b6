"""Whether what a language model says stands in the passages that it cites.

A sentence that no passage supports may be right, but not because of these documents: it is marked.
So is one with a number that stands in no passage; what a "not" turns round is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from mlfolio.parts.retrieval.extract import terms
from mlfolio.parts.retrieval.logistic import Logistic
from mlfolio.parts.retrieval.numbers import numbers_in, stated, without_numbers
from mlfolio.parts.retrieval.sentences import split_sentences
from mlfolio.parts.text.vectors import Encodes, Vectors

_CITED = re.compile(r"(`[^`\n]+`)|\s*\[(\d+)\]")  # `xs[7]` cites nothing
_CODE = re.compile(r"`[^`\n]+`")
_BEHIND = re.compile(r"([.!?…])((?:\s*\[\d+\])+)")  # "It is so. [1]" is "It is so [1]."
_ITEM = re.compile(r"^[\s>*_#•+-]*\(?\d{1,2}[.)]\s+(?=[^\s\[])", re.MULTILINE)  # "2. It is so"


class Signals(NamedTuple):
    """What tells whether passages support a sentence.

    Attributes:
        cosine: Of the sentence and the nearest one of the passages, -1 to 1.
        coverage: Share of its terms that stand in them, its numbers too, 0 to 1.
        numbers: Share of its numbers that stand in them, 0 to 1; 1 where it has none.
    """

    cosine: float
    coverage: float
    numbers: float


# Probability that passages support a sentence. It was fitted by benchmarks/support.py on SciTLDR:
# summaries of 600 papers against their own abstract and against the nearest other one. On 600 other
# papers: AUROC 0.938, 88 % of the supported pass and 14 % of the others. With numbers as they are
# judged below 86 % of the supported pass: people add some that the abstract does not have.
SUPPORT = Logistic(-8.480, Signals(cosine=4.933, coverage=10.850, numbers=-0.651), 0.423)


def unsupported(
    encoder: Encodes, answer: str, passages: Sequence[str], check: Logistic = SUPPORT
) -> list[str]:
    """The sentences of an answer that the passages they cite do not support.

    Args:
        encoder: Any.
        answer: With citations: [n] is the n-th passage. A sentence that cites none is held against
            all of them.
        passages: That were cited.
        check: Tells the probability that a sentence is supported.
    """
    said = []
    for sentence in split_sentences(_BEHIND.sub(r"\2\1", _ITEM.sub("", answer))):
        cited = [int(n) - 1 for _, n in _CITED.findall(sentence) if n]
        text = _CITED.sub(r"\1", sentence).strip()
        if _says_much(text) or _numbers(text):
            said.append((text, [at for at in cited if 0 <= at < len(passages)]))
    if not said or not passages:
        return [sentence for sentence, _ in said]
    parts = [encoder.encode(split_sentences(passage)) for passage in passages]
    vectors = encoder.encode([sentence for sentence, _ in said])
    found = []
    for (sentence, cited), vector in zip(said, vectors, strict=True):
        held = cited or range(len(passages))
        near = np.concatenate([parts[at] for at in held])
        signs = _signals(sentence, vector, [passages[at] for at in held], near)
        if signs.numbers < 1 or (_says_much(sentence) and check(signs) < check.threshold):
            found.append(sentence)
    return found


def signals(encoder: Encodes, sentence: str, passages: Sequence[str]) -> Signals:
    """What tells whether passages support a sentence."""
    parts = [part for passage in passages for part in split_sentences(passage)]
    return _signals(sentence, encoder.encode([sentence])[0], passages, encoder.encode(parts))


def _signals(sentence: str, vector: Vectors, passages: Sequence[str], parts: Vectors) -> Signals:
    text, words, numbers = " ".join(passages), _words(sentence), _numbers(sentence)
    said = stated(text)
    there = sum(not number.isdisjoint(said) for number in numbers)
    n, covered = len(words) + len(numbers), len(words & _words(text)) + there
    return Signals(
        cosine=float((parts @ vector).max(initial=-1.0)),
        coverage=covered / n if n else 0.0,
        numbers=there / len(numbers) if numbers else 1.0,
    )


def _says_much(sentence: str) -> bool:
    """Whether a sentence has words enough to be compared: "Yes." has not."""
    return len(_words(sentence)) > 1


def _words(text: str) -> frozenset[str]:
    return terms(without_numbers(text))


def _numbers(sentence: str) -> list[frozenset[Decimal]]:
    """Those of a sentence's numbers that have to stand somewhere: in code they may be examples."""
    return numbers_in(_CODE.sub(" ", sentence))
