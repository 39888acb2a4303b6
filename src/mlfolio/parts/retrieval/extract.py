"""Extractive answers: the sentences of the found passages that answer best, word for word.

Nothing is generated: what is returned stands in a file, and the citation says where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlfolio.parts.retrieval.logistic import Logistic
from mlfolio.parts.retrieval.ranking import Hit
from mlfolio.parts.retrieval.sentences import split_sentences
from mlfolio.parts.retrieval.stems import stem
from mlfolio.parts.text.vectors import Encodes, Vectors

READ = 8  # sentences that are embedded; with all of them the answer is right no more often
_NEAR = 0.15  # how far behind the best sentence another one is still quoted

_STOP = frozenset(
    re.findall(
        r"\w+",
        """
    a about above after again all am an and any are as at be because been before being below
    between both but by can could did do does doing down during each few for from further get
    had has have having he her here hers him his how i if in into is it its itself just many me
    more most much my no nor not now of off on once only or other our out over own same she
    should so some such than that the their them then there these they this those through to too
    under until up use used using very was we were what when where which while who whom why will
    with would you your
""",
    )
)


class Signals(NamedTuple):
    """What tells whether the documents answer a question.

    Attributes:
        cosine: Of the best passage against the question, -1 to 1.
        sentence: Of the best sentence against the question, -1 to 1.
        coverage: Share of the question's terms in the passage that has most of them, 0 to 1.
    """

    cosine: float
    sentence: float
    coverage: float


# Probability that the documents hold the answer. It was fitted by benchmarks/confidence.py on SQuAD
# 2.0 dev: answerable questions of 17 articles against the same questions with their article taken
# away. On the other 18 articles: AUROC 0.978 against questions whose article is missing, 0.670
# against SQuAD's adversarial ones, which stay within the subject.
CONFIDENCE = Logistic(-13.303, Signals(cosine=7.338, sentence=12.81, coverage=5.608), 0.573)


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence as it stands in a file, where, and how well it answers (higher is better)."""

    text: str
    hit: Hit
    score: float


def extract(
    encoder: Encodes, question: str, vector: Vectors, hits: Sequence[Hit], limit: int
) -> tuple[list[Quote], Signals]:
    """The best sentences of the hits, and what tells whether they answer.

    A sentence's score is its cosine, plus half the share of the question's terms in it, plus the
    score of its passage. Words and passage alone choose which sentences are embedded.

    Args:
        encoder: The index's.
        question: As asked.
        vector: Of the question, shape (dimension,).
        hits: Passages, best first.
        limit: Sentences at most.

    Returns:
        Quotes in reading order within a document (none without hits), and the signals.
    """
    wanted = terms(question)
    pool = _pool(wanted, hits)
    if not pool:
        return [], Signals(-1.0, -1.0, 0.0)
    cosines = encoder.encode([quote.text for quote in pool]) @ vector
    scored = [
        Quote(quote.text, quote.hit, quote.score + float(cosine))
        for quote, cosine in zip(pool, cosines, strict=True)
    ]
    signals = Signals(
        cosine=max(hit.cosine for hit in hits),
        sentence=float(cosines.max()),
        coverage=max(coverage(wanted, hit.passage.text) for hit in hits),
    )
    return _best(scored, limit), signals


def terms(text: str) -> frozenset[str]:
    """Stems of the words that carry meaning."""
    return frozenset(map(stem, words_of(text)))


def words_of(text: str) -> list[str]:
    """The words that carry meaning, in small letters, in their order."""
    return [word for word in re.findall(r"[^\W_]+", text.lower()) if word not in _STOP]


def coverage(wanted: frozenset[str], text: str) -> float:
    """Share of the wanted terms that occur in the text, 0 to 1."""
    return len(wanted & terms(text)) / len(wanted) if wanted else 0.0


def _pool(wanted: frozenset[str], hits: Sequence[Hit]) -> list[Quote]:
    """The sentences worth embedding, each once: overlapping passages share their border."""
    first: dict[str, Quote] = {}
    for hit in hits:
        for text in split_sentences(hit.passage.text):
            first.setdefault(text, Quote(text, hit, 0.5 * coverage(wanted, text) + hit.score))
    return sorted(first.values(), key=lambda quote: -quote.score)[:READ]


def _best(quotes: list[Quote], limit: int) -> list[Quote]:
    """The best one and those nearly as good, in reading order within their documents."""
    ranked = sorted(quotes, key=lambda quote: -quote.score)
    near = [quote for quote in ranked[:limit] if quote.score >= ranked[0].score - _NEAR]
    order = {quote.hit.passage.document: rank for rank, quote in reversed(list(enumerate(near)))}

    def place(quote: Quote) -> tuple[int, int, int]:
        passage = quote.hit.passage
        return order[passage.document], passage.position, passage.text.find(quote.text)

    return sorted(near, key=place)
