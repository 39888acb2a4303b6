"""Documents: build an index of the user's files, and measure how well it finds the right one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pandas as pd
from pydantic import Field

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.retrieval.chunk import ChunkKind
from mlfolio.parts.retrieval.expand import Way
from mlfolio.parts.retrieval.extract import CONFIDENCE
from mlfolio.parts.retrieval.logistic import KEPT
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.ranking import Fusion
from mlfolio.parts.retrieval.search import CANDIDATES
from mlfolio.parts.text.embed import BUNDLED, get_encoder

from .answers import DocumentQuestion
from .card import CARD
from .choosing import FEWEST, choose_search, parted, scale_confidence
from .data import ENOUGH, Corpus, load_corpus
from .indexing import index_documents, keep_tenants, new_working, remove
from .model import ENCODER, DocumentsModel, named_reranker
from .official import load_official
from .scoring import abstention_scores, look, scores_beside, search_scores
from .settings import TRAINED, Settings


class Documents(System):
    """Answers from a folder of documents, quoted or generated, with their places."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = DocumentsModel

    encoder: str = Field(BUNDLED, description="sentence encoder: the bundled one, or a folder's")
    tuned: bool = Field(
        True, description="whether the encoder learns from the training questions first, where "
        f"there are {FEWEST} or more; kept only if it then finds more for those held out",
    )  # fmt: skip
    chunking: ChunkKind = Field(
        "sentences", description="where passages end; parents: small ones found, large ones quoted"
    )
    chunk_tokens: int = Field(180, ge=32, le=192, description="tokens of a passage at most")
    overlap: int = Field(32, ge=0, le=128, description="tokens that neighbours share at most")
    weight: float | None = Field(
        None, ge=0, le=1, description="of the vectors against BM25; chosen or 0.8 if left"
    )
    fusion: Fusion = Field(
        "scores", description="whether scores of both are added, or reciprocals of their ranks"
    )
    expansion: Way | None = Field(
        None, description="what makes a question say more: what it finds (feedback), or the "
        "language model's made-up answer (hyde) or rewordings (paraphrases); if left, what helps "
        f"on {ENOUGH} or more training questions: feedback or none",
    )  # fmt: skip
    diversity: float = Field(
        0.0, ge=0, le=1, description="what a passage loses by being like one that is chosen"
    )
    per_document: int | None = Field(
        None, ge=1, le=20, description="passages of one document at most; any number if left"
    )
    candidates: int = Field(CANDIDATES, ge=10, le=1000, description="taken from either side")
    reranker: str = Field(
        "", description="cross-encoder that reads the first passages again: a folder, a name on "
        "the Hugging Face hub, or trained (on the training questions)",
    )  # fmt: skip
    reread: int = Field(30, ge=2, le=200, description="passages that it reads")
    reranker_weight: float = Field(
        1.0, ge=0, le=1, description="of it against the first search; chosen where it is trained"
    )
    passages: int = Field(5, ge=1, le=20, description="passages that an answer is made from")
    sentences: int = Field(3, ge=1, le=10, description="sentences quoted at most")
    threshold: float | None = Field(
        None, ge=0, le=1, description="confidence below which it finds nothing; "
        f"{CONFIDENCE.threshold} if left, or what {KEPT:.0%} of the training questions pass "
        "where the encoder is tuned or another",
    )  # fmt: skip

    remembered: int = Field(
        256, ge=0, le=100_000, description="answers that are given again as they were, as long as "
        "no document changes",
    )  # fmt: skip

    def load(self, source: Source) -> Corpus:
        """The documents, and questions about them in a training and a test part."""
        return load_official(source) if source.kind == "official" else load_corpus(source)

    def fit(self, data: Corpus, run: Run) -> DocumentsModel:
        """Builds the index, from the champion's where that was made in the same way.

        Documents that have not changed are not embedded again. Training questions decide how it is
        searched, and what is an answer.
        """
        model = self._learned(data, run)
        keep_tenants(run, model)
        return model

    def evaluate(self, model: DocumentsModel, data: Corpus, run: Run) -> Evaluation:
        """Hybrid retrieval beside BM25 alone, vectors alone and chance, on the test questions.

        The same for what is measured beside, whose parts have a fit of their own each.
        """
        scores = search_scores(model, data, run) + abstention_scores(model, data, run)
        asked = [DocumentQuestion(question=each.text) for each in data.test]
        run.keep_reference(None, [answer.redacted() for answer in model.predict(asked)])
        for name, parts in data.beside.items():
            looked = []
            for part in parts:
                with _aside(run) as own:
                    looked.append(look(self._learned(part, own), part, run))
            scores += scores_beside(name, looked, parts[0].protocol, run.seed)
        return Evaluation(scores=tuple(scores))

    def _learned(self, data: Corpus, run: Run) -> DocumentsModel:
        """The model of some documents, with what their training questions decide."""
        encoder = get_encoder(self.encoder, fetch=True)
        chosen = {"weight", "expansion", "reranker", "tuned"}
        settings = Settings(**self.model_dump(exclude_none=True, exclude=chosen))
        plain = index_documents(settings, encoder, new_working(run), data, run)
        asked = [question for question in data.train if question.relevant]
        seen, held_out = parted(asked)
        model = None
        if self.tuned and len(asked) >= FEWEST:
            model = self._tuned(plain, seen, held_out, data, run)
        if model is None:
            model = choose_search(plain, asked, run, self.weight, self.expansion).model
        model = _with_reranker(model, self.reranker, asked, run)
        trained = model.settings.tuned or model.settings.reranker == TRAINED
        return scale_confidence(model, held_out if trained else asked, run)

    def _tuned(
        self, plain: DocumentsModel, seen: list[Question], held_out: list[Question], data: Corpus,
        run: Run,
    ) -> DocumentsModel | None:  # fmt: skip
        """The model with a fine-tuned encoder; None where that finds no more."""
        from .learning import tune_encoder

        working = new_working(run)
        try:
            encoder = tune_encoder(plain, seen, run, working / ENCODER)
        except BaseException:  # no index goes with it yet
            remove(working)
            raise
        settings = plain.settings.model_copy(update={"tuned": True})
        tuned = index_documents(settings, encoder, working, data, run)
        ways = {"as it was": plain, "fine-tuned": tuned}
        best = {
            way: choose_search(model, held_out, run, self.weight, self.expansion)
            for way, model in ways.items()
        }
        means = [choice.ndcg for choice in best.values()]
        run.table(
            "Encoder",
            pd.DataFrame({"nDCG@10": means}, index=list(best)).round(4),
            f"{len(held_out):,} training questions held out, searched as is best for them.",
        )
        if means[1] > means[0]:
            return best["fine-tuned"].model
        run.note("The fine-tuned encoder finds no more, so it is left off.")
        return None


@contextmanager
def _aside(run: Run) -> Iterator[Run]:
    """A run for what is measured beside: what it says and makes is not kept."""
    with TemporaryDirectory(prefix=".beside-", dir=run.folder) as folder:
        yield Run(run.system, Path(folder), run.seed, run.quiet)


def _with_reranker(
    model: DocumentsModel, name: str, asked: list[Question], run: Run
) -> DocumentsModel:
    """The model with somebody who reads its first passages again, if that is wanted."""
    if name != TRAINED:
        reranker = named_reranker(name, fetch=True)
        settings = model.settings.model_copy(update={"reranker": name})
    else:
        from .learning import train_reranker

        reranker, weight = train_reranker(model, asked, run)
        changes = {"reranker": TRAINED, "reranker_weight": weight} if reranker else {}
        settings = model.settings.model_copy(update=changes)
    return DocumentsModel(model.index, settings, model.encoder, reranker=reranker)
