"""SciFact's abstracts and claims; and beside them Cranfield and SQuAD, where they can be had."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mlfolio.core.errors import DataUnavailableError
from mlfolio.core.source import Source
from mlfolio.data.datasets import get_dataset, place
from mlfolio.parts.retrieval.questions import Question
from mlfolio.parts.retrieval.sync import Document

from .data import Corpus

UNANSWERED: Final = 1000  # of SQuAD 2.0's questions that its paragraphs do not answer
_RECORD = re.compile(r"^\.I \d+\s*$", re.MULTILINE)
_FIELD = re.compile(r"^\.([TABW])\n(.*?)(?=^\.[TABW]$|\Z)", re.MULTILINE | re.DOTALL)


def load_official(source: Source) -> Corpus:
    """SciFact, with what is measured beside it.

    Raises:
        DataUnavailableError: SciFact is neither here nor to be had.
    """
    return load_scifact(source, beside=dict(_beside(source)))


def _beside(source: Source) -> Iterator[tuple[str, tuple[Corpus, ...]]]:
    """The other collections; those that are neither here nor to be had are left out."""
    with suppress(DataUnavailableError):
        yield "Cranfield", load_cranfield(source)
    with suppress(DataUnavailableError):
        yield "SQuAD", (load_squad(source),)


def load_scifact(source: Source, **more: Any) -> Corpus:
    """SciFact: 5,183 abstracts and claims to train on, and 300 to test on (BEIR's split)."""
    record = get_dataset("scifact")
    with zipfile.ZipFile(place("scifact") / "scifact.zip") as archive:

        def lines(name: str) -> Iterable[str]:
            return io.TextIOWrapper(archive.open(f"scifact/{name}"), "utf-8")

        rows = [json.loads(line) for line in lines("corpus.jsonl")]
        asked = {row["_id"]: row["text"] for row in map(json.loads, lines("queries.jsonl"))}
        parts: dict[str, tuple[Question, ...]] = {}
        for part in ("train", "test"):
            relevant: dict[str, dict[str, float]] = {}
            for row in csv.DictReader(lines(f"qrels/{part}.tsv"), delimiter="\t"):
                grades = relevant.setdefault(row["query-id"], {})
                grades[row["corpus-id"]] = float(row["score"])
            parts[part] = tuple(Question(asked[key], grades) for key, grades in relevant.items())
    tested = {question.text for question in parts["test"]}  # two claims are in both parts
    return Corpus(
        source=source,
        dataset=record.title,
        licence=record.licence,
        documents=tuple(Document.of_text(r["_id"], r["title"], r["text"]) for r in rows),
        protocol="SciFact test claims in BEIR's form; documents ranked by their best passage",
        train=tuple(question for question in parts["train"] if question.text not in tested),
        test=parts["test"],
        **more,
    )


def load_cranfield(source: Source) -> tuple[Corpus, Corpus]:
    """Cranfield's 1,400 abstracts and 225 questions, which have no split: two folds.

    Each half of the questions is asked after the other half was learned from. Judgements count
    whatever their grade.
    """
    record, folder = get_dataset("cranfield"), place("cranfield")
    papers = [_fields(part) for part in _records(folder / "cran.all.1400")]
    documents = tuple(
        Document.of_text(str(number), paper["T"], _abstract(paper))
        for number, paper in enumerate(papers, start=1)
    )
    # The judgements number the questions as they come, not as they are numbered.
    relevant: dict[int, dict[str, float]] = {}
    for line in (folder / "cranqrel").read_text("utf-8").splitlines():
        question, document, _ = line.split()
        relevant.setdefault(int(question), {})[document] = 1.0
    asked = [
        Question(_fields(part)["W"], relevant[number])
        for number, part in enumerate(_records(folder / "cran.qry"), start=1)
    ]
    parts = (tuple(asked[::2]), tuple(asked[1::2]))
    folds = [
        Corpus(
            source=source,
            dataset=record.title,
            licence=record.licence,
            documents=documents,
            protocol="Cranfield's 225 questions, each asked after every other one was learned "
            "from; any judged document is right; documents ranked by their best passage",
            train=train,
            test=test,
        )
        for train, test in (parts, parts[::-1])
    ]
    return folds[0], folds[1]


def load_squad(source: Source) -> Corpus:
    """SQuAD: the 2,067 paragraphs of 1.1's development set are the documents, all questions asked.

    Beside the 10,570 that they answer there are 1,000 of 2.0 that they do not; these are of the
    articles that `CONFIDENCE` was not fitted on.
    """
    record, folder = get_dataset("squad"), place("squad")
    documents, asked = [], []
    for name, title, paragraph in squad_paragraphs(folder / "dev-v1.1.json"):
        documents.append(Document.of_text(name, title, paragraph["context"]))
        for each in paragraph["qas"]:
            answers = tuple(dict.fromkeys(answer["text"] for answer in each["answers"]))
            asked.append(Question(each["question"], {name: 1.0}, answers))
    second = list(squad_paragraphs(folder / "dev-v2.0.json"))
    _, unseen = confidence_parts(name for name, _, _ in second)
    unanswered = [
        Question(each["question"], {})
        for name, _, paragraph in second
        if name in unseen
        for each in paragraph["qas"]
        if each["is_impossible"]
    ]
    drawn = random.Random(0).sample(  # noqa: S311 - no secret
        unanswered, min(UNANSWERED, len(unanswered))
    )
    return Corpus(
        source=source,
        dataset=record.title,
        licence=record.licence,
        documents=tuple(documents),
        protocol="SQuAD 1.1's development set, its paragraphs as documents; nothing learned",
        test=(*asked, *drawn),
    )


def squad_paragraphs(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The name, the article's title and the content of each paragraph of a SQuAD file."""
    for article in json.loads(path.read_text("utf-8"))["data"]:
        for number, paragraph in enumerate(article["paragraphs"]):
            yield f"{article['title']}/{number}", article["title"].replace("_", " "), paragraph


def confidence_parts(names: Iterable[str]) -> tuple[set[str], set[str]]:
    """SQuAD 2.0's paragraphs whose articles `CONFIDENCE` was fitted on, and the others.

    Args:
        names: Of all paragraphs of its development set, `<article>/<number>`.
    """
    paragraphs = list(names)
    articles = sorted({name.rpartition("/")[0] for name in paragraphs})
    random.Random(0).shuffle(articles)  # noqa: S311 - no secret
    first = set(articles[: len(articles) // 2])
    fitted = {name for name in paragraphs if name.rpartition("/")[0] in first}
    return fitted, set(paragraphs) - fitted


def _records(path: Path) -> list[str]:
    return _RECORD.split(path.read_text("utf-8"))[1:]


def _fields(record: str) -> dict[str, str]:
    """Title, authors, source and words of a record, by their letters, on one line each."""
    return {letter: " ".join(text.split()) for letter, text in _FIELD.findall(record)}


def _abstract(paper: dict[str, str]) -> str:
    """The words of a paper without its title, which they begin with; the title if that is all."""
    return paper.get("W", "").removeprefix(paper["T"]).strip() or paper["T"]
