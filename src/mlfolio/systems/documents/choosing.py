"""What training questions decide about an index as it is: how it is searched, what is an answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from mlfolio.core.run import Run
from mlfolio.parts.retrieval.expand import Way
from mlfolio.parts.retrieval.extract import Signals
from mlfolio.parts.retrieval.metrics import ndcg
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.ranking import DENSE_WEIGHT
from mlfolio.parts.text.embed import BUNDLED

from .data import ENOUGH
from .measure import K
from .model import DocumentsModel

FEWEST: Final = 150  # training questions, below which nothing is trained
HELD_OUT: Final = 5  # every fifth question says what is kept
WEIGHTS: Final = tuple(at / 20 for at in range(10, 21))  # of the vectors


def parted(asked: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """The questions that are learned from, and those held out."""
    seen = [question for at, question in enumerate(asked) if at % HELD_OUT]
    return seen, list(asked[::HELD_OUT])


class Choice(NamedTuple):
    """How an index is searched best: its model, and the nDCG@10 of the questions that say so."""

    model: DocumentsModel
    ndcg: float


def choose_search(
    model: DocumentsModel, asked: Sequence[Question], run: Run, weight: float | None = None,
    expansion: Way | None = None,
) -> Choice:  # fmt: skip
    """The weight of the vectors and the expansion of questions with the best nDCG@10.

    Args:
        model: Whose index is searched.
        asked: Training questions that the documents answer.
        run: Whose.
        weight: The only one that is tried, if it is given or there are less than 30 questions.
        expansion: Likewise; else none is tried against feedback.
    """
    if len(asked) < ENOUGH and weight is None:
        run.note(f"The vectors weigh {DENSE_WEIGHT}, the default: too few training questions.")
        weight = DENSE_WEIGHT
    if expansion is None and len(asked) >= ENOUGH:
        ways: tuple[Way, ...] = ("none", "feedback")
    else:
        ways = (expansion or "none",)
    weights = WEIGHTS if weight is None else (weight,)
    means = pd.DataFrame(index=pd.Index(weights, name="weight of the vectors"))
    for way in ways:
        tried = model.changed({"expansion": way})
        found = [
            (question, tried.search(question.text)[0])
            for question in run.progress(asked, f"choosing how to search ({way})", len(asked))
        ]
        rankings = [replace(model.settings.ranking, weight=one) for one in weights]
        means[way] = [
            np.mean([ndcg(each.documents(ranking, K), q.relevant, K) for q, each in found])
            if found else math.nan
            for ranking in rankings
        ]  # fmt: skip
    values = np.nan_to_num(means.to_numpy())
    # Of equals that without expansion, and of these the weight that is nearest the default.
    _, _, row, column = min(
        (column, abs(weights[row] - DENSE_WEIGHT), row, column)
        for row, column in np.argwhere(np.isclose(values, values.max(), rtol=0, atol=1e-9))
    )
    chosen = {"weight": weights[row], "expansion": ways[column]}
    if values.size > 1:
        said = ", ".join(f"{name} {value}" for name, value in chosen.items())
        title = "How to search" + ", with the encoder fine-tuned" * model.settings.tuned
        run.table(title, means.add_prefix("expansion=").round(4),
                  f"nDCG@{K} of {len(asked):,} training questions; chosen: {said}.")  # fmt: skip
    return Choice(model.changed(chosen), float(values[row, column]))


def scale_confidence(model: DocumentsModel, asked: Sequence[Question], run: Run) -> DocumentsModel:
    """The model with a probability of "in your documents" that holds for its index.

    `CONFIDENCE` does where its encoder and passages are those it was fitted with. Else
    questions are asked twice: as they are, and with the documents that answer them taken away.

    Args:
        model: Whose signals tell.
        asked: Training questions that the documents answer, and that nothing has learned from.
        run: Whose.
    """
    settings = model.settings
    if settings.encoder == BUNDLED and settings.chunking == "sentences" and not settings.tuned:
        return model
    if len(asked) < ENOUGH:
        run.note(
            f"What is an answer was learned with {BUNDLED} and passages of whole sentences: here "
            "it is no probability, and 'not in your documents' may come too often or too seldom. "
            f"With {ENOUGH} training questions it is learned anew."
        )
        return model
    there, missing = signals_of(model, run.progress(asked, "what is an answer", len(asked)))
    confidence = model.settings.confidence.scaled(there, missing)
    answered = [
        np.mean([confidence(each) >= confidence.threshold for each in kind])
        for kind in (there, missing)
    ]
    run.note(
        f"What is an answer was learned on {len(asked):,} training questions, as they are and with "
        f"the documents that answer them taken away: {answered[0]:.0%} of the first are answered "
        f"and {answered[1]:.0%} of the others."
    )
    return model.changed({"confidence": confidence})


def signals_of(
    model: DocumentsModel, asked: Iterable[Question]
) -> tuple[list[Signals], list[Signals]]:
    """What tells whether questions are answered: as they are; with their right documents away."""
    there, missing = [], []
    for question in asked:
        found, _ = model.search(question.text)
        there.append(model.extracted(question.text, found)[1])
        missing.append(model.extracted(question.text, found.without(question.relevant))[1])
    return there, missing
