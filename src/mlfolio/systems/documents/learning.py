"""What learns from the training questions: the encoder, and a reranker.

Either is kept only if it brings something on questions held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlfolio.core.errors import UserError
from mlfolio.core.run import Run
from mlfolio.parts.retrieval.cross_encoder import CrossEncoder
from mlfolio.parts.retrieval.cross_training import Example, fit_cross_encoder
from mlfolio.parts.retrieval.encoder_training import fit_encoder
from mlfolio.parts.retrieval.metrics import ndcg
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.ranking import Hit
from mlfolio.parts.retrieval.rerank import rerank
from mlfolio.parts.retrieval.search import first_hits
from mlfolio.parts.text.embed import Encoder
from mlfolio.parts.torch.training import Recipe

from .choosing import FEWEST, parted
from .measure import K
from .model import DocumentsModel

WEIGHTS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ENCODER: Final = Recipe(epochs=3, learning_rate=3e-5, weight_decay=0.01, warm_up=0.1, clip=1.0)
RERANKER: Final = Recipe(epochs=2, learning_rate=5e-5, weight_decay=0.01, warm_up=0.1, clip=1.0)


def tune_encoder(
    model: DocumentsModel, seen: Sequence[Question], run: Run, folder: Path
) -> Encoder:
    """The encoder of a model, fine-tuned.

    Args:
        model: Whose passages answer.
        seen: Questions that are learned from.
        run: Whose.
        folder: Where the new encoder is written.
    """
    examples = [_example(model, each) for each in run.progress(seen, "looking", len(seen))]
    return fit_encoder(examples, ENCODER, run, model.settings.encoder, folder)


def train_reranker(
    model: DocumentsModel, asked: Sequence[Question], run: Run
) -> tuple[CrossEncoder | None, float]:
    """A cross-encoder and its weight; None where it brings nothing on questions held out.

    Args:
        model: Whose passages are read again.
        asked: Training questions that the documents answer.
        run: Whose.

    Raises:
        UserError: They are too few.
    """
    if len(asked) < FEWEST:
        raise UserError(
            f"reranker=trained learns from training questions, and there are {len(asked):,}",
            f"bring {FEWEST} or more, or leave it out",
        )
    seen, rest = parted(asked)
    examples = [_example(model, each) for each in run.progress(seen, "looking", len(seen))]
    encoder = fit_cross_encoder(examples, RERANKER, run)
    found = [_found(model, question)[: model.settings.reread] for question in rest]
    means = {
        weight: float(np.mean([
            ndcg(_documents(rerank(encoder, question.text, hits, len(hits), weight)),
                 question.relevant, K)
            for question, hits in zip(rest, found, strict=True)
        ]))
        for weight in WEIGHTS
    }  # fmt: skip
    best = max(means, key=lambda weight: means[weight])
    index = pd.Index(list(means), name="weight of the reranker")
    table = pd.DataFrame({"nDCG@10": list(means.values())}, index=index).round(4)
    said = f"{len(rest):,} training questions held out; chosen: {best}."
    run.table("Weight of the reranker", table, said)
    if best == 0:
        run.note("The trained reranker brings nothing, so it is left off.")
        return None, 0.0
    return encoder, best


def _found(model: DocumentsModel, question: Question) -> list[Hit]:
    """All that is found, best first."""
    found, _ = model.search(question.text)
    return first_hits(model.index, found, len(found.ids), model.settings.ranking)


def _example(model: DocumentsModel, question: Question) -> Example:
    """The best passage of each right document, and the best ones of others."""
    right: dict[str, str] = {}
    wrong: list[str] = []
    for hit in _found(model, question):
        document = hit.passage.document
        if document not in question.relevant:
            wrong.append(hit.passage.headed)
        else:
            right.setdefault(document, hit.passage.headed)
    return Example(question.text, tuple(right.values()), tuple(wrong[: model.settings.reread]))


def _documents(hits: Sequence[Hit]) -> list[str]:
    return list(dict.fromkeys(hit.passage.document for hit in hits))[:K]
