"""The user's folder, or a small town's papers; and questions about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from mlfolio.core.errors import FileError
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.doctor import shared_finding
from mlfolio.data.fingerprint import fingerprint
from mlfolio.parts.retrieval.blocks import UnreadableError
from mlfolio.parts.retrieval.labels import read_metadata
from mlfolio.parts.retrieval.questions import (
    KNOWN_ITEM_WORDS,
    Question,
    known_items,
    read_questions,
)
from mlfolio.parts.retrieval.sync import Document, list_files

QUESTIONS, METADATA = "questions.jsonl", "metadata.jsonl"
ENOUGH = 30  # questions, below which scores and choices are mostly chance


@dataclass(frozen=True)
class Corpus:
    """Documents and questions about them; the documents are known to `fit`, test questions not.

    Attributes:
        source: Where they come from.
        dataset: Name of the data set, or of the user's folder.
        licence: As its publisher states it.
        documents: All documents, readable or not (`readable`, `unreadable`).
        train: Questions to choose the fusion weight with.
        test: Questions that are measured on, some of them perhaps without an answer.
        protocol: Where the test questions come from, in words.
        other: Number of files of formats that are not read, by suffix.
        described: Names of the documents whose metadata stand in a file beside them.
        beside: Collections that are measured beside this one, as they come: each in parts that
            are learned from and asked on their own.
    """

    source: Source
    dataset: str
    licence: str
    documents: tuple[Document, ...]
    train: tuple[Question, ...] = ()
    test: tuple[Question, ...] = ()
    protocol: str = ""
    other: Mapping[str, int] = field(default_factory=dict)
    described: tuple[str, ...] = ()
    beside: Mapping[str, Sequence[Corpus]] = field(default_factory=dict)

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        contents = [f"{d.name}\t{d.digest}" for d in sorted(self.documents, key=lambda d: d.name)]
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(*contents, *_plain(self.train), *_plain(self.test)),
            test_fingerprint=fingerprint(*contents, *_plain(self.test)),
            rows={
                "documents": len(self.readable),
                "unreadable files": len(self.unreadable),
                "training questions": len(self.train),
                "test questions": len(self.test),
            },
        )

    @cached_property
    def unreadable(self) -> dict[str, str]:
        """Names of the documents that cannot be read, and why."""
        found = {}
        for document in self.documents:
            try:
                document.blocks  # noqa: B018 - read once, kept
            except UnreadableError as error:
                found[document.name] = error.message
        return found

    @property
    def readable(self) -> list[Document]:
        """The documents that can be read."""
        return [document for document in self.documents if document.name not in self.unreadable]

    def check(self) -> list[Finding]:
        """Files and pages that cannot be read, copies, other formats, questions that say little."""
        findings = [*_unreadable(self.unreadable), *_blank_pages(self.readable)]
        findings += [*_odd_names(self.readable), *_odd_metadata(self.readable)]
        findings += [*_copies(self.readable), *_few(self.test)]
        if self.other:
            counts = ", ".join(f"{n} {suffix}" for suffix, n in sorted(self.other.items()))
            findings.append(
                Finding(level="note", check="formats", message=f"files left out: {counts}",
                        fix="convert them to pdf, docx, html, md, rst or txt")
            )  # fmt: skip
        seen = {question.text.casefold() for question in self.train}
        shared = sum(question.text.casefold() in seen for question in self.test)
        findings += shared_finding(shared, len(self.test))
        names = {document.name for document in self.documents}
        asked = [*self.train, *self.test]
        lost = sorted({name for question in asked for name in question.relevant} - names)
        if lost:
            findings.append(
                Finding(level="warning", check="questions",
                        message=f"questions name documents that are not there: {_some(lost)}",
                        fix=f"correct {QUESTIONS}")
            )  # fmt: skip
        if strange := sorted(set(self.described) - names):
            findings.append(
                Finding(level="warning", check="metadata",
                        message=f"metadata of documents that are not there: {_some(strange)}",
                        fix=f"correct {METADATA}")
            )  # fmt: skip
        return findings

    def without_test(self) -> Self:
        """The same documents with no test questions."""
        return replace(self, test=())


def load_corpus(source: Source) -> Corpus:
    """The documents and questions of a source.

    Raises:
        FileError: The user's folder holds no document, or its questions or metadata cannot be read.
    """
    if source.is_sample:
        return _folder(source, Path(__file__).parent / "sample", "Fennmouth (invented)")
    assert source.path is not None  # noqa: S101 - own data have a path
    path = source.path
    return _file(source, path) if path.is_file() else _folder(source, path, path.name)


def _folder(source: Source, folder: Path, name: str) -> Corpus:
    known, other = list_files(folder)
    if not known:
        raise FileError(
            f"there is no document in {folder}",
            "put pdf, docx, html, md, rst or txt files into it",
        )
    path = folder / METADATA
    metadata = read_metadata(path) if path.is_file() else {}
    documents = tuple(
        Document.of_file(path, name, metadata.get(name)) for name, path in known.items()
    )
    own = (QUESTIONS, METADATA)
    suffixes = [Path(n).suffix.lower() or "(none)" for n in other if n not in own]
    corpus = Corpus(
        source=source,
        dataset=name,
        licence="part of mlfolio" if source.is_sample else "the user's own",
        documents=documents,
        other={suffix: suffixes.count(suffix) for suffix in set(suffixes)},
        described=tuple(metadata),
    )
    if (folder / QUESTIONS).is_file():
        train, test = read_questions(folder / QUESTIONS)
        protocol = f"{QUESTIONS}; documents ranked by their best passage"
        return replace(corpus, train=train, test=test, protocol=protocol)
    return _with_known_items(corpus)


def _file(source: Source, path: Path) -> Corpus:
    document = Document.of_file(path, path.name)
    return _with_known_items(
        Corpus(source=source, dataset=path.name, licence="the user's own", documents=(document,))
    )


def _with_known_items(corpus: Corpus) -> Corpus:
    """The corpus with questions made of its own sentences."""
    test = known_items(corpus.documents)
    if not test:
        raise FileError(
            f"none of the {len(corpus.documents)} files of {corpus.dataset} holds a sentence: "
            + "; ".join(f"{name}: {why}" for name, why in list(corpus.unreadable.items())[:3]),
            "convert them so that they hold text",
        )
    protocol = (
        f"known-item search: {KNOWN_ITEM_WORDS} words of a sentence drawn at random (seed 0) find "
        "its document; favours full text, whose words they are"
    )
    return replace(corpus, test=test, protocol=protocol)


def _unreadable(reasons: Mapping[str, str]) -> list[Finding]:
    shown = [
        Finding(level="warning", check="unreadable", message=f"{name}: {why}",
                fix="it will be in no answer")
        for name, why in list(reasons.items())[:20]
    ]  # fmt: skip
    if len(reasons) > len(shown):
        more = f"... and {len(reasons) - len(shown)} more files that cannot be read"
        shown.append(Finding(level="warning", check="unreadable", message=more))
    return shown


def _blank_pages(documents: Iterable[Document]) -> list[Finding]:
    blank = [(d.name, pages) for d in documents if (pages := d.blank_pages)]
    if not blank:
        return []
    files = [
        f"{len(pages)} in {name} ({_some([str(page) for page in pages])})" for name, pages in blank
    ]
    message = f"pages without text, perhaps scanned: {'; '.join(files[:20])}"
    if len(files) > 20:
        message += f"; and {len(files) - 20} more files"
    fix = "they are in no answer; run OCR over them first (ocrmypdf)"
    return [Finding(level="warning", check="blank pages", message=message, fix=fix)]


def _odd_names(documents: Iterable[Document]) -> list[Finding]:
    odd = [document.name for document in documents if r"\udc" in document.name]
    if not odd:
        return []
    message = f"names that are not UTF-8 are cited with escapes: {_some(odd)}"
    return [Finding(level="note", check="names", message=message, fix="rename the files")]


def _odd_metadata(documents: Iterable[Document]) -> list[Finding]:
    odd = [f"{document.name} ({document.odd})" for document in documents if document.odd]
    if not odd:
        return []
    message = f"no metadata are read from {_some(odd)}"
    return [Finding(level="note", check="metadata", message=message, fix="mend it")]


def _few(test: Sequence[Question]) -> list[Finding]:
    asked = sum(bool(question.relevant) for question in test)
    if not 0 < asked < ENOUGH:
        return []
    message = f"test questions that the documents answer: only {asked}, so the scores say little"
    fix = f"write {ENOUGH} or more into {QUESTIONS}"
    return [Finding(level="warning", check="few questions", message=message, fix=fix)]


def _copies(documents: Iterable[Document]) -> list[Finding]:
    by_digest: dict[str, list[str]] = {}
    for document in documents:
        by_digest.setdefault(document.content, []).append(document.name)
    groups = [" = ".join(names) for names in by_digest.values() if len(names) > 1]
    if not groups:
        return []
    message = f"identical documents: {_some(groups)}"
    return [Finding(level="note", check="copies", message=message, fix="keep one of each")]


def _some(names: Sequence[str], n: int = 5) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def _plain(questions: Iterable[Question]) -> list[str]:
    rows: list[Any] = [[q.text, sorted(q.relevant.items())] for q in questions]
    return [json.dumps(row) for row in rows]
