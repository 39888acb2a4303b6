"""Questions about documents, to measure with: the user's own, or made from the documents."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlfolio.core.errors import FileError
from mlfolio.parts.retrieval.blocks import UnreadableError
from mlfolio.parts.retrieval.extract import terms
from mlfolio.parts.retrieval.sentences import split_sentences
from mlfolio.parts.retrieval.sync import Document

KNOWN_ITEMS = 200  # questions made where the user brings none
KNOWN_ITEM_WORDS = 5  # of a sentence that make such a question


@dataclass(frozen=True)
class Question:
    """A question and the documents that answer it.

    Attributes:
        text: As asked.
        relevant: Grade of each document that answers it; empty where none does.
    """

    text: str
    relevant: Mapping[str, float]


def read_questions(path: Path) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Training and test questions of a JSON lines file.

    A line is `{"question": ..., "document": name, list of names, or null, "split": "train"}`;
    without `split` it is a test question, with `null` nothing answers it.

    Raises:
        FileError: A line is not that, or no test question has an answer.
    """
    parts: dict[str, list[Question]] = {"train": [], "test": []}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            named = row["document"]
            names = [named] if isinstance(named, str) else list(named or [])
            question = Question(str(row["question"]), {str(name): 1.0 for name in names})
            parts[row.get("split", "test")].append(question)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise FileError(
                f"{path.name}, line {number}: {line[:80]!r} is no question "
                f"({type(error).__name__}: {error})",
                'write {"question": "...", "document": "file.pdf"} on each line',
            ) from None
    if not any(question.relevant for question in parts["test"]):
        raise FileError(
            f"{path.name} holds no test question that names a document",
            "add some, or remove the file: then questions are made from the documents",
        )
    return tuple(parts["train"]), tuple(parts["test"])


def known_items(documents: Sequence[Document], seed: int = 0) -> tuple[Question, ...]:
    """Questions made of the documents' own words, up to 200.

    Each is up to five words, in order, of a sentence drawn at random; the document that it comes
    from is the one to be found. It measures whether a passage that is half remembered is found
    again, and favours full-text search: people ask in other words.
    """
    names: dict[str, list[str]] = {}  # of documents with one content: each is as good
    pool: list[tuple[str, str, int]] = []  # digest, sentence, number of its terms
    for document in documents:
        try:
            blocks = document.blocks
        except UnreadableError:
            continue
        names.setdefault(document.digest, []).append(document.name)
        if len(names[document.digest]) == 1:
            sentences = [s for b in blocks if b.kind != "heading" for s in split_sentences(b.text)]
            pool += [(document.digest, s, len(terms(s))) for s in sentences]
    # Long sentences can be told apart; where there are none, short ones have to do.
    least = next((n for n in (KNOWN_ITEM_WORDS + 3, 4, 2) if any(row[2] >= n for row in pool)), 1)
    pool = [row for row in pool if row[2] >= least]
    draw = random.Random(seed)  # noqa: S311 - no secret
    chosen = draw.sample(pool, min(KNOWN_ITEMS, len(pool)))
    return tuple(
        Question(_few_words(sentence, draw), dict.fromkeys(names[digest], 1.0))
        for digest, sentence, _ in sorted(chosen)
    )


def _few_words(sentence: str, draw: random.Random) -> str:
    words = [word.strip(".,;:!?()[]\"'`") for word in sentence.split()]
    telling = [at for at, word in enumerate(words) if terms(word)]
    return " ".join(
        words[at] for at in sorted(draw.sample(telling, min(KNOWN_ITEM_WORDS, len(telling))))
    )
