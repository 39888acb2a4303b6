"""How a model does on questions that somebody brought: what it finds, says, cites and refuses."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from mlfolio.core.errors import FileError, nearest
from mlfolio.core.model import Measured
from mlfolio.parts.llm.judge import Judge
from mlfolio.parts.retrieval.expand import UNEXPANDED
from mlfolio.parts.retrieval.generate import renumber
from mlfolio.parts.retrieval.metrics import hit, ndcg, recall, reciprocal_rank
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.stats import roc_area
from mlfolio.parts.text.answers import exact, f1, normalised

from .answers import QUOTED, DocumentAnswer

if TYPE_CHECKING:
    from .model import DocumentsModel

K: Final = 10
NEAR: Final = 5
NAMED: Final = 5  # documents that are not there, of those that are told
FOUND: Final = ("nDCG@10", "hit@5")  # what is measured of published collections
SAID: Final = ("F1", "holds the answer")
PROTOCOLS: Final = {
    "nDCG@10": "documents ranked by their best passage; linear gain",
    "recall@10": "share of the right documents among the first ten",
    "hit@5": "whether a right document is among the first five",
    "MRR@10": "one over the place of the first right document, 0 beyond the tenth",
    "exact match": "whether the words are those of a right answer, by SQuAD's rules; questions "
    "with a right answer written down",
    "F1": "words shared with the nearest right answer, by SQuAD's rules",
    "holds the answer": "whether a right answer stands in what is said",
    "citation precision": "share of the cited documents that are right; answers that cite, to "
    "questions that the documents answer",
    "citation recall": "share of the right documents that are cited, 0 where none is; answers to "
    "questions that the documents answer",
    "answered": "questions that the documents answer",
    "refused": "questions that nothing in the documents answers",
}
JUDGED: Final = {  # beside what can be counted
    "faithfulness": "citation precision",
    "answer relevancy": "F1",
    "context precision": "nDCG@10",
    "context recall": "recall@10",
}
_CITED = re.compile(r"\s*\[\d+\]|[“”]")


def measure(
    model: DocumentsModel, asked: Sequence[Question], answers: Sequence[DocumentAnswer],
    judge: Judge | None = None,
) -> Measured:  # fmt: skip
    """Looks at what was found and at what was said.

    Args:
        model: Who was asked.
        asked: With the documents that answer them, and maybe right answers.
        answers: What it said to each.
        judge: A language model that looks too.
    """
    found = [model.ranking(each.text, K) for each in asked]
    rows = [_looked_at(*each) for each in zip(asked, found, answers, strict=True)]
    values = pd.DataFrame(rows, columns=list(PROTOCOLS), dtype=float)
    tables = {"Answered, by confidence": _by_confidence(asked, answers)}
    notes = _notes(asked, answers)
    protocols = dict(PROTOCOLS)
    if judge is not None:
        judged = pd.DataFrame(
            [_judged(judge, model, *each) for each in zip(asked, answers, strict=True)],
            columns=list(JUDGED), dtype=float,
        )  # fmt: skip
        tables["The judge"] = _about_judge(values, judged, asked, answers)
        values = values.join(judged)
        protocols |= dict.fromkeys(JUDGED, f"judged by {judge}, after RAGAS")
    kept = [name for name in protocols if values[name].notna().any()]
    return Measured(
        values[kept], {name: protocols[name] for name in kept}, notes, tables, _failures(answers)
    )


def lost_documents(asked: Sequence[Question], known: Sequence[str]) -> tuple[str, ...]:
    """A note of the documents that questions name and that are not there; none where all are.

    Args:
        asked: The questions.
        known: Names of the documents that there are.

    Raises:
        FileError: None of those that they name is there.
    """
    named = {name for question in asked for name in question.relevant}
    lost = sorted(named.difference(known))
    if not lost:
        return ()
    shown = ", ".join(_with_nearest(name, known) for name in lost[:NAMED])
    shown += f" and {len(lost) - NAMED} more" * (len(lost) > NAMED)
    if len(lost) == len(named):
        raise FileError(f"no document that the questions name is there: {shown}",
                        "name them as citations do")  # fmt: skip
    return (f"{len(lost):,} of the {len(named):,} documents that the questions name are not there, "
            f"so they are never found: {shown}.",)  # fmt: skip


def _with_nearest(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f"{name!r} (did you mean {near!r}?)" if near else repr(name)


def _failures(answers: Sequence[DocumentAnswer]) -> tuple[str, ...]:
    """How often the language model failed, with the first reason: such answers are not its own."""
    found = [answer for answer in answers if answer.found]
    failures = []
    for warned, of, said in (
        (QUOTED, found, "answers were quoted"),
        (UNEXPANDED, answers, "questions were searched with as they were asked"),
    ):
        why = [each for one in of for each in one.warnings if each.startswith(warned)]
        if why:
            reason = why[0].removeprefix(f"{warned}: ")
            failures.append(
                f"{len(why):,} of {len(of):,} {said}: the language model failed ({reason})."
            )
    return tuple(failures)


def _looked_at(
    question: Question, ranking: Sequence[str], answer: DocumentAnswer
) -> dict[str, float]:
    """What can be said of one question; the rest is left out."""
    right = question.relevant
    if not right:
        return {"refused": float(not answer.found)}
    row = found_right(question, ranking) | {"answered": float(answer.found)}
    if question.answers:
        row |= said_right(question, answer)
    if answer.found:
        cited = _cited(answer)
        row["citation recall"] = len(cited & set(right)) / len(right)
        if cited:
            row["citation precision"] = len(cited & set(right)) / len(cited)
    return row


def _cited(answer: DocumentAnswer) -> set[str]:
    """The documents that an answer cites; its sources are all passages where it cites none."""
    _, used, _ = renumber(answer.answer, len(answer.sources))
    return {answer.sources[at].document for at in used}


def found_right(question: Question, ranking: Sequence[str]) -> dict[str, float]:
    """How good a ranking of documents is, for a question that some of them answer."""
    right = question.relevant
    return {
        "nDCG@10": ndcg(ranking, right, K),
        "recall@10": recall(ranking, right, K),
        "hit@5": hit(ranking, right, NEAR),
        "MRR@10": reciprocal_rank(ranking, right, K),
    }


def said_right(question: Question, answer: DocumentAnswer) -> dict[str, float]:
    """How good an answer is, for a question with right answers written down."""
    said = _CITED.sub("", answer.answer) if answer.found else ""
    return {
        "exact match": exact(said, question.answers),
        "F1": f1(said, question.answers),
        "holds the answer": float(any(_holds(said, each) for each in question.answers)),
    }


def _judged(
    judge: Judge, model: DocumentsModel, question: Question, answer: DocumentAnswer
) -> dict[str, float]:
    """A judge's marks for what was answered; NaN where it gave none."""
    if not answer.found:
        return {}
    hits, _ = model.retrieve(question.text)
    passages, said = [each.passage.text for each in hits], _CITED.sub("", answer.answer)
    marks = {
        "faithfulness": judge.faithfulness(question.text, said, passages),
        "answer relevancy": judge.relevancy(question.text, said),
        "context precision": judge.context_precision(question.text, said, passages),
    }
    if question.answers:
        truth = question.answers[0]
        marks["context recall"] = judge.context_recall(question.text, truth, passages)
    return marks


def _about_judge(
    values: pd.DataFrame, judged: pd.DataFrame, asked: Sequence[Question],
    answers: Sequence[DocumentAnswer],
) -> pd.DataFrame:  # fmt: skip
    """How often it gave no mark, and how its marks go with what was counted (Spearman's rho).

    Where either is the same for all there is no rho: NaN.
    """
    found = np.array([each.found for each in answers])
    written = np.array([bool(each.answers) for each in asked])
    rows = {}
    for mark, counted in JUDGED.items():
        wanted = found & written if mark == "context recall" else found
        both = pd.DataFrame({"judged": judged[mark], "counted": values[counted]}).dropna()
        varies = bool((both.min() < both.max()).all())
        rho = both.judged.corr(both.counted, method="spearman") if varies else math.nan
        failed = judged.loc[wanted, mark].isna().sum()
        rows[mark] = [int(wanted.sum()), int(failed), counted, round(rho, 3)]
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["asked", "no mark", "beside", "rank correlation"]
    )


def _holds(text: str, answer: str) -> bool:
    """Whether the words of an answer stand in a text, one after the other."""
    return f" {' '.join(normalised(answer))} " in f" {' '.join(normalised(text))} "


def sure(answer: DocumentAnswer) -> float:
    """Probability that the documents answer; NaN where a language model says they do not."""
    if answer.confidence is None:
        return math.nan
    return answer.confidence if answer.found else 1 - answer.confidence


def _by_confidence(asked: Sequence[Question], answers: Sequence[DocumentAnswer]) -> pd.DataFrame:
    """What share would be answered with other thresholds."""
    there = np.array([bool(each.relevant) for each in asked])
    p_answered = np.nan_to_num([sure(each) for each in answers])
    index = pd.Index(np.round(np.arange(0.1, 1, 0.1), 1), name="threshold")
    parts = {"that the documents answer": there, "that they do not": ~there}
    return pd.DataFrame(
        {name: [(p_answered[part] >= least).mean() for least in index]
         for name, part in parts.items() if part.any()},
        index=index,
    ).round(3)  # fmt: skip


def _notes(asked: Sequence[Question], answers: Sequence[DocumentAnswer]) -> tuple[str, ...]:
    there = [bool(each.relevant) for each in asked]
    p_answered = np.array([sure(each) for each in answers])
    if all(there) or not any(there) or np.isnan(p_answered).any():
        return ()
    area = roc_area(there, p_answered)
    return (
        f"What the documents answer is told from what they do not with an AUROC of {area:.3f}.",
    )
