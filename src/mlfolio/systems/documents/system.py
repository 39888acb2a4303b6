"""Documents: build an index of the user's files, and measure how well it finds the right one."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from mlfolio.core.card import Card
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System
from mlfolio.parts.retrieval.chunk import Chunking, ChunkKind
from mlfolio.parts.retrieval.expand import Way
from mlfolio.parts.retrieval.extract import Confidence
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.metrics import ndcg
from mlfolio.parts.retrieval.parse import REVISION
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.ranking import DENSE_WEIGHT, Candidates, Fusion, Ranking
from mlfolio.parts.retrieval.search import CANDIDATES
from mlfolio.parts.retrieval.stores.opening import discard, new_index, open_index
from mlfolio.parts.retrieval.stores.place import StoreError, kind_of, wanted_kind
from mlfolio.parts.retrieval.sync import sync
from mlfolio.parts.retrieval.uploads import Uploads
from mlfolio.parts.stats import bootstrap_ci95, mean_score, roc_area
from mlfolio.parts.text.embed import BUNDLED, Encoder, get_encoder

from .answers import DocumentQuestion
from .card import CARD
from .collection import INDEX, UPLOADS
from .data import ENOUGH, Corpus, load_corpus
from .model import ENCODER, EXAMPLES, DocumentsModel, named_reranker
from .settings import TRAINED, Settings, stored_settings
from .tenants import TENANTS, TenantCollections

K = 10
_MADE_WITH = ("mlfolio", "lxml", "markdown-it-py", "nltk", "pypdfium2", "python-docx", "tokenizers",
              "torch", "transformers")  # fmt: skip
WEIGHTS = np.round(np.arange(0.5, 1.001, 0.05), 2)  # tried on training questions


class Documents(System):
    """Answers from a folder of documents, quoted or generated, with their places."""

    card: ClassVar[Card] = CARD
    model: ClassVar[type[Model]] = DocumentsModel

    encoder: str = Field(BUNDLED, description="sentence encoder: the bundled one, or a folder's")
    tuned: bool = Field(
        False, description="whether the encoder learns from the training questions first; kept "
        "only if it then finds more for those held out",
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
    expansion: Way = Field(
        "none", description="what makes a question say more: what it finds (feedback), or the "
        "language model's made-up answer (hyde) or rewordings (paraphrases)",
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
    threshold: float = Field(
        Confidence().threshold, ge=0, le=1, description="confidence below which it finds nothing"
    )

    remembered: int = Field(
        256, ge=0, le=100_000, description="answers that are given again as they were, as long as "
        "no document changes",
    )  # fmt: skip

    def load(self, source: Source) -> Corpus:
        """The documents, and questions about them in a training and a test part."""
        return load_corpus(source)

    def fit(self, data: Corpus, run: Run) -> DocumentsModel:
        """Builds the index, from the champion's where that was made in the same way.

        Documents that have not changed are not embedded again.
        """
        encoder = get_encoder(self.encoder, fetch=True)
        if self.encoder != BUNDLED or self.tuned or self.chunking != "sentences":
            run.note(
                f"Confidence and threshold were fitted with {BUNDLED} and passages of whole "
                "sentences: otherwise they are no probability, and 'not in your documents' may "
                "come too often or too seldom."
            )
        asked = [question for question in data.train if question.relevant]
        if self.tuned:
            model = self._tuned(encoder, asked, data, run)
        else:
            model = self._weighed(self._indexed(encoder, _working(run), data, run), asked, run)
        _keep_tenants(run, model)
        return _with_reranker(model, self.reranker, asked, run)

    def _tuned(
        self, encoder: Encoder, asked: list[Question], data: Corpus, run: Run
    ) -> DocumentsModel:
        """The model with a fine-tuned encoder, or with its own where that finds no less."""
        from .learning import parted, tune_encoder

        seen, rest = parted(asked, "tuned")
        plain = self._weighed(self._indexed(encoder, _working(run), data, run), rest, run)
        working = _working(run)
        learned = tune_encoder(plain, seen, run, working / ENCODER)
        tuned = self._weighed(self._indexed(learned, working, data, run, tuned=True), rest, run)
        means = [
            float(_of_rankings(rest, [model.ranking(q.text, K) for q in rest]).mean())
            for model in (plain, tuned)
        ]
        run.table(
            "Encoder",
            pd.DataFrame({"nDCG@10": means}, index=["as it was", "fine-tuned"]).round(4),
            f"{len(rest):,} training questions held out, with the weight that is best for them.",
        )
        if means[1] > means[0]:
            return tuned
        run.note("The fine-tuned encoder finds no more, so it is left off.")
        return plain

    def _indexed(
        self, encoder: Encoder, working: Path, data: Corpus, run: Run, tuned: bool = False
    ) -> DocumentsModel:
        """The model over an index in a folder that goes with it."""
        folder, begun = working / INDEX, time.time_ns()
        chunking = Chunking(self.chunking, self.chunk_tokens, self.overlap)
        recipe = _recipe(encoder, chunking)
        index = _start_index(run, folder, recipe, encoder.dimension)
        # The stored model is a copy. This one goes with its object, also after a failure: what is
        # later erased from the stored index must not live on here.
        weakref.finalize(index, _remove, working)
        done = sync(index, data.documents, encoder, chunking, run.progress)
        counts = {"added": done.added, "replaced": done.replaced, "removed": done.removed,
                  "unreadable": done.unreadable}  # fmt: skip
        run.note(
            f"The index holds {len(index):,} passages of {len(index.documents()):,} documents ("
            + ", ".join(f"{len(names):,} {word}" for word, names in counts.items())
            + ")."
        )
        _keep_uploads(run, working / UPLOADS)
        examples = [q.text for q in data.train if q.relevant][:EXAMPLES]
        knobs = self.model_dump(exclude_none=True, exclude={"reranker", "tuned"})
        settings = Settings(**knobs, tuned=tuned, examples=examples, recipe=recipe, begun=begun)
        return DocumentsModel(index, settings, encoder)

    def _weighed(self, model: DocumentsModel, asked: list[Question], run: Run) -> DocumentsModel:
        """The model with the weight of its vectors: the given one, or what questions choose."""
        if self.weight is not None:
            return model
        return model.changed({"weight": _choose(model, asked, run)})

    def evaluate(self, model: DocumentsModel, data: Corpus, run: Run) -> Evaluation:
        """Hybrid retrieval beside BM25 alone, vectors alone and chance, on the test questions."""
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
        scores += self._abstention(model, data, run)
        return Evaluation(scores=tuple(scores))

    def _abstention(self, model: DocumentsModel, data: Corpus, run: Run) -> list[Score]:
        """How well the model tells questions that the documents answer from others."""
        there = np.array([bool(question.relevant) for question in data.test])
        if there.all() or not there.any():
            return []
        answers = model.predict([DocumentQuestion(question=q.text) for q in data.test])
        said = np.array([answer.found for answer in answers])
        confidence = np.array([answer.confidence for answer in answers], dtype=float)
        p_answered = np.where(said, confidence, 1 - confidence)
        run.table(
            "Answered or not",
            pd.DataFrame(
                {"questions": [there.sum(), (~there).sum()],
                 "answered": [said[there].sum(), said[~there].sum()]},
                index=["in the documents", "not in them"],
            ),
            f"Threshold {model.settings.threshold}.",
        )  # fmt: skip
        auc = Score(
            name="AUROC of 'in your documents'",
            value=roc_area(there, p_answered),
            n=len(there),
            ci95=bootstrap_ci95(roc_area, there, p_answered, seed=run.seed),
            protocol="probability that the documents answer, on test questions with and without "
            f"an answer; {data.protocol}",
            trivial=Baseline(name="chance", value=0.5),
        )
        return [auc]


def _working(run: Run) -> Path:
    """A new folder for what a run works with."""
    return Path(tempfile.mkdtemp(prefix=".index-", dir=run.folder))


def _choose(model: DocumentsModel, asked: Sequence[Question], run: Run) -> float:
    """The weight with the best nDCG@10 on training questions, if there are enough."""
    if len(asked) < ENOUGH:
        run.note(f"The vectors weigh {DENSE_WEIGHT}, the default: too few training questions.")
        return DENSE_WEIGHT
    found = [
        model.search(question.text)[0]
        for question in run.progress(asked, "choosing the weight", len(asked))
    ]
    rankings = [replace(model.settings.ranking, weight=float(weight)) for weight in WEIGHTS]
    means = pd.DataFrame(
        {"nDCG@10": [float(_ndcgs(asked, found, ranking).mean()) for ranking in rankings]},
        index=pd.Index(WEIGHTS, name="weight of the vectors"),
    )
    best = float(WEIGHTS[int(means["nDCG@10"].to_numpy().argmax())])
    run.table("Weight of the vectors", means, f"{len(asked):,} training questions; chosen: {best}.")
    return best


def _with_reranker(
    model: DocumentsModel, name: str, asked: Sequence[Question], run: Run
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


def _recipe(encoder: Encoder, chunking: Chunking) -> str:
    """What an index depends on beside the files: versions of the readers, encoder, cutting."""
    versions = [f"{name} {version(name)}" for name in _MADE_WITH]
    return "; ".join([*versions, f"readers {REVISION}", encoder.recipe(), str(chunking)])


def _start_index(run: Run, folder: Path, recipe: str, dimension: int) -> Index:
    """A copy of the champion's index if that was made in the same way; else an empty one."""
    stored = stored_settings(run.previous) if run.previous else None
    if run.previous is not None and stored is not None and stored.recipe == recipe:
        former = run.previous / INDEX
        try:
            if former.is_dir() and kind_of(former) == wanted_kind():
                open_index(former, dimension).copy_to(folder)
                return open_index(folder, dimension)
        except StoreError as error:
            run.note(f"All is embedded anew: {error.message}.")
    return new_index(folder, dimension)


def _remove(working: Path) -> None:
    """Takes away what a fit worked with, in the store too."""
    discard(working / INDEX)
    shutil.rmtree(working, ignore_errors=True)


def _keep_uploads(run: Run, folder: Path) -> None:
    """Copies what was uploaded to the champion.

    It is not indexed here, because the scores are about the user's folder; `load` does it.
    """
    if run.previous is None:
        return
    Uploads(run.previous / UPLOADS).copy_to(folder)
    if count := len(list(Uploads(folder))):
        run.note(
            f"{count:,} uploaded documents are kept: they will be in the answers, but are not in "
            "these scores."
        )


def _keep_tenants(run: Run, model: DocumentsModel) -> None:
    """Copies what the champion's tenants have uploaded.

    Unlike the other uploads it is indexed here: it is in no score, and `load` opens no tenant's.
    """
    if run.previous is None:
        return
    stored = stored_settings(run.previous)
    same = stored is not None and stored.recipe == model.settings.recipe
    dimension = model.encoder.dimension if same else None
    TenantCollections(run.previous / TENANTS).copy_to(model.tenants.folder, dimension)
    tenants = list(model.tenants)
    for tenant in run.progress(tenants, "tenants", len(tenants)):
        model.of(tenant)


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
