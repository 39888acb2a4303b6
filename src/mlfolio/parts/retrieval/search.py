"""Hybrid retrieval: the nearest vectors and the best BM25 scores, in one ranking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from opentelemetry.util.types import AttributeValue

from mlfolio.core.trace import carried, show, stage
from mlfolio.parts.retrieval.index import Found, Index, Within, passage_id
from mlfolio.parts.retrieval.ranking import PLAIN, Candidates, Hit, Ranking, varied
from mlfolio.parts.text.vectors import Encodes, Vectors

CANDIDATES = 100  # taken from each side
RETRIEVAL = {"gen_ai.operation.name": "retrieval"}


@cache
def _helper() -> ThreadPoolExecutor:
    """Where full-text search runs beside the encoder, so that neither waits for the other."""
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="full-text")


def reads_all(encoder: Encodes, question: str) -> bool:
    """Whether nothing of a question would be cut off."""
    return _tokens(encoder, question) <= encoder.max_tokens


def cut_question(encoder: Encodes, question: str) -> tuple[str, int]:
    """The part of a question that the encoder reads, and how many tokens the whole one has."""
    limit, tokens = encoder.max_tokens, _tokens(encoder, question)
    if tokens <= limit:
        return question, tokens
    words = question.split()
    low, high = 1, len(words)
    while low < high:  # the most words that fit
        middle = (low + high + 1) // 2
        fits = reads_all(encoder, " ".join(words[:middle]))
        low, high = (middle, high) if fits else (low, middle - 1)
    return " ".join(words[:low])[: 20 * limit], tokens


def _tokens(encoder: Encodes, question: str) -> int:
    return encoder.count_tokens([question])[0] + 2  # the two special ones


def find(
    index: Index,
    encoder: Encodes,
    question: str,
    limit: int = CANDIDATES,
    within: Within | None = None,
) -> Candidates:
    """The candidates of one question from both sides.

    Args:
        index: Where to look.
        encoder: The one that the index was made with.
        question: Any text; beyond the encoder's length it is cut, for both sides.
        limit: How many are taken from each side.
        within: Where to look; None for everywhere.
    """
    with stage("search", RETRIEVAL) as span:
        show(span, "gen_ai.retrieval.query.text", question)
        question, _ = cut_question(encoder, question)
        lexical = _helper().submit(carried(_matching), index, question, limit, within)
        with stage("encode", embedding(encoder), span=f"embeddings {encoder.name}"):
            vector = encoder.encode_query(question)
        near = _nearest(index, vector, limit, within)
        return _joined(near, *lexical.result(), vector)


def find_by(
    index: Index, words: str, vector: Vectors, limit: int = CANDIDATES, within: Within | None = None
) -> Candidates:
    """The candidates of words and of a vector, which need not be of the same text.

    Args:
        index: Where to look.
        words: For BM25; one that is repeated counts as often.
        vector: Unit vector, shape (dimension,).
        limit: How many are taken from each side.
        within: Where to look; None for everywhere.
    """
    with stage("search", RETRIEVAL):
        lexical = _helper().submit(carried(_matching), index, words, limit, within)
        near = _nearest(index, vector, limit, within)
        return _joined(near, *lexical.result(), vector)


def embedding(encoder: Encodes) -> dict[str, AttributeValue]:
    """What a span tells of an encoder."""
    return {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "mlfolio",
        "gen_ai.request.model": encoder.name,
        "gen_ai.embeddings.dimension.count": encoder.dimension,
    }


def _matching(index: Index, words: str, limit: int, within: Within | None) -> tuple[Found, Vectors]:
    with stage("full text"):
        return index.matching(words, limit, within)


def _nearest(index: Index, vector: Vectors, limit: int, within: Within | None) -> Found:
    with stage("nearest"):
        return index.nearest(vector, limit, within)


def _joined(near: Found, words: Found, vectors: Vectors, vector: Vectors) -> Candidates:
    """What the two sides found; `vectors` are those of the chunks that full text found."""
    bm25 = dict(zip(words.ids, words.scores.tolist(), strict=True))
    cosine = dict(zip(near.ids, near.scores.tolist(), strict=True))
    cosine |= dict(zip(words.ids, (vectors @ vector).tolist(), strict=True))
    rows = dict(zip(near.ids, near.rows, strict=True)) | dict(
        zip(words.ids, words.rows, strict=True)
    )
    ids = sorted(cosine)
    return Candidates(
        ids=ids,
        rows=[rows[chunk] for chunk in ids],
        bm25=np.array([bm25.get(chunk, 0.0) for chunk in ids], dtype=np.float32),
        cosine=np.array([cosine[chunk] for chunk in ids], dtype=np.float32),
        vector=vector,
    )


def best_hits(index: Index, candidates: Candidates, k: int, ranking: Ranking = PLAIN) -> list[Hit]:
    """The k passages that an answer is made from, best first."""
    if not ranking.varies:
        return first_hits(index, candidates, k, ranking)
    return varied(first_hits(index, candidates, len(candidates.ids), ranking), k, ranking)


def best_of_passages(candidates: Candidates, ranking: Ranking = PLAIN) -> list[int]:
    """Positions of the candidates, best first, but of a parent's children only the best."""
    best: dict[str, int] = {}
    for at in candidates.order(ranking):
        best.setdefault(passage_id(candidates.ids[at]), at)
    return list(best.values())


def first_hits(index: Index, candidates: Candidates, k: int, ranking: Ranking = PLAIN) -> list[Hit]:
    """The first k passages by their scores alone: what a reranker reads, before `varied`.

    A parent comes once, by the best of its children.
    """
    order, fused = best_of_passages(candidates, ranking)[:k], candidates.fused(ranking)
    ids = [candidates.ids[at] for at in order]
    rows = [candidates.rows[at] for at in order]
    passages = index.passages(ids, rows)
    vectors = index.vectors(ids, rows) if ranking.diversity > 0 else None
    return [
        Hit(
            passages[candidates.ids[at]],
            score=float(fused[at]),
            cosine=float(candidates.cosine[at]),
            bm25=float(candidates.bm25[at]),
            vector=vectors[candidates.ids[at]] if vectors is not None else None,
        )
        for at in order
        if candidates.ids[at] in passages and (vectors is None or candidates.ids[at] in vectors)
    ]
