"""How well a model finds, answers and refuses: scores, beside its rivals."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Score
from mlfolio.parts.retrieval.extract import CONFIDENCE
from mlfolio.parts.retrieval.metrics import ndcg
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.ranking import Candidates, Ranking
from mlfolio.parts.stats import bootstrap_ci95, mean_score, roc_area

from .answers import DocumentQuestion
from .choosing import signals_of
from .data import Corpus
from .measure import FOUND, PROTOCOLS, SAID, K, found_right, said_right, sure
from .model import DocumentsModel

ANSWERED: Final = 1000  # questions beside that are answered too, not only searched for
IN_DOCUMENTS: Final = "AUROC of 'in your documents'"


def search_scores(model: DocumentsModel, data: Corpus, run: Run) -> list[Score]:
    """nDCG@10 of hybrid retrieval, of BM25 alone and of vectors alone, on the test questions."""
    asked = [question for question in data.test if question.relevant]
    found, times = [], []
    for question in run.progress(asked, "asking", len(asked)):
        started = time.perf_counter()
        found.append(model.search(question.text)[0])
        times.append((time.perf_counter() - started) * 1000)
    plain = [replace(each, searches=()) for each in found]
    ways = {"hybrid": (found, model.settings.ranking),
            "BM25": (plain, Ranking(0)), "dense": (plain, Ranking(1))}  # fmt: skip
    values = {way: _ndcgs(asked, *how) for way, how in ways.items()}
    if model.reranker is not None:
        values["hybrid, not read again"] = values["hybrid"]
        ranked = [model.ranking(q.text, K) for q in run.progress(asked, "reading", len(asked))]
        values["hybrid"] = _of_rankings(asked, ranked)
    values["random ranking"] = _chance(asked, [d.name for d in data.readable], run.seed)
    scores = [
        mean_score(
            f"{'' if way == 'hybrid' else f'{way} '}nDCG@10", values, way,
            trivial="random ranking", strong="BM25" if way != "BM25" else None,
            protocol=data.protocol,
        )
        for way in ways
    ]  # fmt: skip
    if model.reranker is not None:
        gain = values["hybrid"] - values["hybrid, not read again"]
        said = f"nDCG@10 with the reranker less that without; {data.protocol}"
        scores.append(mean_score("gain of reranking", {"gain": gain}, "gain", protocol=said))
    run.table(
        "Milliseconds to find passages",
        pd.DataFrame({"ms": np.percentile(times, [50, 99])}, index=["p50", "p99"]).round(1),
        f"{len(times):,} questions, one at a time, {len(model.index):,} passages.",
    )
    return scores


def abstention_scores(model: DocumentsModel, data: Corpus, run: Run) -> list[Score]:
    """How well the model tells questions that the documents answer from others.

    Where all are answered and that was learned anew, the others are the same questions with the
    documents that answer them taken away.
    """
    there = np.array([bool(question.relevant) for question in data.test])
    if not there.any():
        return []
    area: Callable[..., float] = roc_area
    if not there.all():
        answers = model.predict([DocumentQuestion(question=q.text) for q in data.test])
        p_answered = np.array([sure(answer) for answer in answers])
        kinds = [p_answered[there], p_answered[~there]]
        drawn, others = [there, p_answered], "without an answer"
    elif model.settings.confidence != CONFIDENCE:
        signals = signals_of(model, run.progress(data.test, "answering", len(data.test)))
        kinds = [np.array([model.settings.confidence(each) for each in kind]) for kind in signals]
        area, drawn, others = area_of_pairs, kinds, "with their documents taken away"
    else:
        return []
    run.table(
        "Answered or not",
        pd.DataFrame(
            {"questions": [len(kind) for kind in kinds],
             "answered": [(kind >= model.settings.least).sum() for kind in kinds]},
            index=["in the documents", "not in them"],
        ),
        f"Threshold {model.settings.least:.3f}.",
    )  # fmt: skip
    protocol = f"of test questions as they are, and {others}; {data.protocol}"
    return [_area_score(IN_DOCUMENTS, area, drawn, protocol, run.seed)]


def area_of_pairs(there: NDArray[np.float64], away: NDArray[np.float64]) -> float:
    """Area under the ROC curve of questions that are asked twice: drawn again, both go together.

    Args:
        there: The probability for each question that the documents answer, shape (questions,).
        away: The same with the documents that answer it taken away.
    """
    return roc_area(np.repeat([True, False], len(there)), np.concatenate([there, away]))


class Looked(NamedTuple):
    """What was seen of test questions, a row for each.

    Attributes:
        found: Of all that the documents answer, by the way in which they were searched.
        said: Of some of those that have right answers written down.
        there: Whether the documents answer; of those, and of all that they do not.
        sure: The probability of that, as the model sees it.
    """

    found: dict[str, pd.DataFrame]
    said: pd.DataFrame
    there: NDArray[np.bool_]
    sure: NDArray[np.float64]


def look(model: DocumentsModel, data: Corpus, run: Run) -> Looked:
    """Asks the test questions of a collection that is measured beside."""
    asked = [question for question in data.test if question.relevant]
    found: dict[str, list[dict[str, float]]] = {"hybrid": [], "BM25": []}
    for question in run.progress(asked, "asking", len(asked)):
        seen, _ = model.search(question.text)
        words = replace(seen, searches=()).documents(Ranking(0), K)
        best = seen.documents(model.settings.ranking, K)
        if model.reranker is not None:
            best = model.ranking(question.text, K)
        found["hybrid"].append(found_right(question, best))
        found["BM25"].append(found_right(question, words))
    written = [question for question in asked if question.answers]
    draw = random.Random(run.seed)  # noqa: S311 - no secret
    drawn = draw.sample(written, min(ANSWERED, len(written)))
    drawn += [question for question in data.test if not question.relevant]
    answers = [
        model.predict([DocumentQuestion(question=question.text)])[0]
        for question in run.progress(drawn, "answering", len(drawn))
    ]
    said = [said_right(*pair) for pair in zip(drawn, answers, strict=True) if pair[0].answers]
    return Looked(
        {way: pd.DataFrame(rows) for way, rows in found.items()},
        pd.DataFrame(said),
        np.array([bool(question.relevant) for question in drawn], dtype=bool),
        np.array([sure(answer) for answer in answers]),
    )


def scores_beside(name: str, parts: Sequence[Looked], protocol: str, seed: int) -> list[Score]:
    """The scores of a collection that is measured beside.

    Args:
        name: Stands before each metric.
        parts: What was seen of it.
        protocol: How it was measured.
        seed: Of the intervals.
    """
    found = {way: pd.concat([part.found[way] for part in parts]) for way in ("hybrid", "BM25")}
    said = pd.concat([part.said for part in parts])
    there = np.concatenate([part.there for part in parts])
    scores = [
        mean_score(
            f"{name} {metric}", {way: rows[metric] for way, rows in found.items()}, "hybrid",
            strong="BM25", protocol=protocol, seed=seed,
        )
        for metric in FOUND
    ]  # fmt: skip
    scores += [
        mean_score(
            f"{name} {metric}", {"quoted": said[metric]}, "quoted", seed=seed,
            protocol=f"{PROTOCOLS[metric]}; drawn at random; {protocol}",
        )
        for metric in SAID if metric in said
    ]  # fmt: skip
    if there.any() and not there.all():
        p_answered = np.concatenate([part.sure for part in parts])
        told = f"of questions that it answers, and that it does not; {protocol}"
        drawn = [there, p_answered]
        scores.append(_area_score(f"{name} {IN_DOCUMENTS}", roc_area, drawn, told, seed))
    return scores


def _area_score(
    name: str, area: Callable[..., float], drawn: Sequence[NDArray[Any]], protocol: str, seed: int
) -> Score:
    """An area with its interval; what is drawn has an element for each question."""
    return Score(
        name=name,
        value=area(*drawn),
        n=len(drawn[0]),
        ci95=bootstrap_ci95(area, *drawn, seed=seed),
        protocol=f"probability that the documents answer, {protocol}",
        trivial=Baseline(name="chance", value=0.5),
    )


def _ndcgs(
    asked: Sequence[Question], found: Sequence[Candidates], ranking: Ranking
) -> NDArray[np.float64]:
    """nDCG@10 of each question, shape (questions,)."""
    return _of_rankings(asked, [each.documents(ranking, K) for each in found])


def _of_rankings(asked: Sequence[Question], ranked: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    return np.array([ndcg(r, q.relevant, K) for q, r in zip(asked, ranked, strict=True)])


def _chance(asked: Sequence[Question], names: list[str], seed: int) -> NDArray[np.float64]:
    """nDCG@10 of a random ranking for each question, shape (questions,)."""
    rng = np.random.default_rng(seed)
    k = min(K, len(names))
    draws = ([names[i] for i in rng.choice(len(names), k, replace=False)] for _ in asked)
    return np.array([ndcg(draw, q.relevant, K) for draw, q in zip(draws, asked, strict=True)])
