"""What each way of cutting documents does: to what is found, and to what is answered.

    MLFOLIO_DATA=FOLDER python benchmarks/cuttings.py [WAY ...]

Two collections, each cut in every way and asked with the same settings (weight 0.8, no expansion,
the bundled encoder as it is): Cranfield's 1,400 abstracts with its 225 questions (which document?),
and SQuAD's 48 articles as whole documents with 500 of the questions of 1.1's development set
(does one of the five passages hold the answer, does what is quoted, and how much of it is the
answer?). Texts without headings are cut by `headings` as by `sentences`; SQuAD's have none.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from mlfolio.core.run import Run
from mlfolio.core.source import OFFICIAL
from mlfolio.data.datasets import place
from mlfolio.parts.retrieval.chunk import ChunkKind
from mlfolio.parts.retrieval.metrics import ndcg
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.sync import Document
from mlfolio.parts.stats import mean_ci95
from mlfolio.parts.text.answers import normalised
from mlfolio.systems.documents.answers import DocumentQuestion
from mlfolio.systems.documents.data import Corpus
from mlfolio.systems.documents.measure import said_right
from mlfolio.systems.documents.model import DocumentsModel
from mlfolio.systems.documents.official import load_cranfield, load_squad, squad_paragraphs
from mlfolio.systems.documents.system import Documents

QUESTIONS = 500


class Row(NamedTuple):
    """What came of one way of cutting one collection."""

    passages: int
    indexed_s: float
    values: dict[str, np.ndarray]


def main() -> None:
    """Prints a line for each way."""
    wanted = sys.argv[1:] or get_args(ChunkKind)
    abstracts, articles = abstracts_of_cranfield(), articles_of_squad()
    print("| chunking | Cranfield passages | s | nDCG@10 | SQuAD passages | s | in five passages "
          "| in what is quoted | F1 |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for way in wanted:
        found, said = searched(abstracts, way), answered(articles, way)
        cells = [way]
        for row in (found, said):
            cells += [f"{row.passages:,}", f"{row.indexed_s:.0f}"]
            cells += [cell(values) for values in row.values.values()]
        print(f"| {' | '.join(cells)} |", flush=True)


def abstracts_of_cranfield() -> Corpus:
    """Cranfield with all of its questions."""
    data, _ = load_cranfield(OFFICIAL)
    return replace(data, train=(), test=(*data.train, *data.test))


def articles_of_squad() -> Corpus:
    """SQuAD's articles as documents, and some of its questions."""
    texts: dict[str, list[str]] = {}
    for _, title, paragraph in squad_paragraphs(place("squad") / "dev-v1.1.json"):
        texts.setdefault(title, []).append(paragraph["context"])
    data = load_squad(OFFICIAL)
    asked = [question for question in data.test if question.relevant]
    documents = [Document.of_text(name, name, "\n\n".join(parts)) for name, parts in texts.items()]
    drawn = random.Random(0).sample(asked, QUESTIONS)
    return replace(data, documents=tuple(documents), test=tuple(drawn))


def searched(data: Corpus, way: str) -> Row:
    """Whether the right documents are found."""
    with tempfile.TemporaryDirectory() as folder:
        model, seconds = fitted(data, way, Path(folder))
        values = [ndcg(model.ranking(each.text, 10), each.relevant) for each in data.test]
        return Row(len(model.index), seconds, {"nDCG@10": np.array(values)})


def answered(data: Corpus, way: str) -> Row:
    """Whether the answer is in the passages, and in what is quoted of them."""
    with tempfile.TemporaryDirectory() as folder:
        model, seconds = fitted(data, way, Path(folder))
        inside, rows = [], []
        for question in data.test:
            hits, _ = model.retrieve(question.text)
            inside.append(holds([hit.passage.text for hit in hits], question))
            (answer,) = model.predict([DocumentQuestion(question=question.text)])
            rows.append(said_right(question, answer))
        values = {"in five passages": np.array(inside, dtype=float)}
        for name in ("holds the answer", "F1"):
            values[name] = np.array([row[name] for row in rows])
        return Row(len(model.index), seconds, values)


def fitted(data: Corpus, way: str, folder: Path) -> tuple[DocumentsModel, float]:
    """The model over documents that are cut in one way, and the seconds that took."""
    knobs = {"chunking": way, "tuned": False, "weight": 0.8, "expansion": "none"}
    started = time.perf_counter()
    model = Documents.with_knobs(knobs).fit(data, Run("documents", folder))
    return model, time.perf_counter() - started


def holds(texts: Sequence[str], question: Question) -> bool:
    """Whether the words of a right answer stand in one of some texts."""
    plain = [f" {' '.join(normalised(text))} " for text in texts]
    return any(f" {' '.join(normalised(a))} " in text for a in question.answers for text in plain)


def cell(values: np.ndarray) -> str:
    """A mean and its 95 % interval."""
    low, high = mean_ci95(values) or (np.nan, np.nan)
    return f"{values.mean():.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    main()
