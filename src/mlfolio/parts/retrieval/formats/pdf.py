"""PDF files: text page by page."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import pypdfium2 as pdfium

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, squeeze
from mlfolio.parts.retrieval.formats.pdf_lines import Line, mark_headings, read_lines
from mlfolio.parts.retrieval.parse import MAX_CHARACTERS

_PDFIUM = threading.Lock()  # the library serves one thread at a time, and crashes under two
_HYPHEN = re.compile(r"\b(\w+)(?:[\ufffe\x02\u00ad]\n?|-\n)(?=[a-z])(\w+)")
_WHOLE = re.compile(r"(?<![\d.,])\d{1,6}(?![.,]?\d)")  # no part of a price or of a date
_BEFORE = re.compile(r"\W*|.*\b(?:page|p|seite|página|pagina)\W*")  # a page's number
_AFTER = re.compile(r"\W*(?:\w{0,3}\W*\d+\W*)?")  # or "of 12"
_ALONE = re.compile(r"#-?\d+")
_LONGEST = 200  # characters of a header
MAX_PAGES = 5_000


def read(data: bytes) -> Iterator[Block]:
    """Text of each page, less the headers, footers and page numbers that most pages have.

    Headings are the titles of the document's own table of contents, numbered ones, and short lines
    in a larger or bolder font than the text. A page without text is a block of the kind "blank".
    """
    with _PDFIUM, _open(data) as document:
        titles = {squeeze(item.get_title()).lower(): item.level + 1 for item in document.get_toc()}
        pages = list(_read_pages(document))
    if not any(line.text for lines in pages for line in lines):
        raise UnreadableError(
            f"no text in its {len(pages)} pages: a scan?", "run OCR over it first (ocrmypdf)"
        )
    words = {
        word
        for lines in pages
        for line in lines
        for word in re.findall(r"[\w-]+", line.text.lower())
    }
    marked = mark_headings(_without_furniture(pages), titles)
    for number, (lines, parts) in enumerate(zip(pages, marked, strict=True), start=1):
        if not any(line.text for line in lines):
            yield Block("blank", "", page=number)
            continue
        width = _width([line.text for line in lines])
        for level, text in parts:
            if level:
                yield Block("heading", text, min(6, level), number)
            else:
                yield from _paragraphs(_dehyphenate(text, words).split("\n"), width, number)


def _open(data: bytes) -> Any:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "assword" in str(error):
            raise UnreadableError(
                "encrypted: it asks for a password", "save a copy without the password"
            ) from error
        raise UnreadableError("damaged PDF, perhaps cut short", "get or export it again") from error


def _read_pages(document: Any) -> Iterator[list[Line]]:
    """The lines of each page; a damaged page costs itself, not the document."""
    if len(document) > MAX_PAGES:
        raise UnreadableError(f"{len(document):,} pages are over {MAX_PAGES:,}", "split it")
    total = 0
    for number in range(len(document)):
        try:
            with closing(document[number]) as page, closing(page.get_textpage()) as words:
                total += words.count_chars()
                if total > MAX_CHARACTERS:
                    raise UnreadableError(
                        f"it holds over {MAX_CHARACTERS:,} characters", "split it"
                    )
                yield read_lines(words)
        except pdfium.PdfiumError:
            yield []


def _dehyphenate(text: str, words: set[str]) -> str:
    """Join words cut at a line's end; keep the hyphen of those that have it elsewhere."""

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        return f"{left}-{right}" if f"{left}-{right}".lower() in words else left + right

    return _HYPHEN.sub(join, text)


def _without_furniture(pages: list[list[Line]]) -> list[list[Line]]:
    """The lines of the pages less what at least half of them (three or more) have at their edge.

    It must be the same text, but for one number that counts the pages: a row of a table that
    stands at an edge has other numbers, and to lose one is worse than to keep a header. Numbers
    alone are those of pages if at least half of the ones at an edge count them.
    """
    edges = [_edge(lines) for lines in pages]
    sizes, seen = Counter[float](), Counter[str]()
    for line in chain.from_iterable(pages):
        sizes[line.size] += len(line.text)
    size = max(sizes, key=sizes.__getitem__)
    for page, (lines, edge) in enumerate(zip(pages, edges, strict=True)):
        seen.update({form for at in edge for form in _forms(lines[at], page, size)})
    alone = {form: n for form, n in seen.items() if _ALONE.fullmatch(form)}
    common = {form for form, n in seen.items() if n >= max(3, len(pages) / 2)}
    common |= {form for form, n in alone.items() if n >= max(3, sum(alone.values()) / 2)}
    kept = [
        [
            line
            for at, line in enumerate(lines)
            if at not in edge or common.isdisjoint(_forms(line, page, size))
        ]
        for page, (lines, edge) in enumerate(zip(pages, edges, strict=True))
    ]
    return kept if any(line.text for lines in kept for line in lines) else pages  # labels, say


def _edge(lines: list[Line]) -> set[int]:
    """Where the first and the last two lines of a page stand."""
    full = [at for at, line in enumerate(lines) if line.text]
    return {*full[:2], *full[-2:]}


def _forms(line: Line, page: int, size: float) -> set[str]:
    """A line as it is, and with a number that may be the page's less that: "page #1 of 12".

    In a font larger than the text's `size` it is a heading's: "Day 1", "Day 2".
    """
    text = line.text.lower()
    if len(text) > _LONGEST or line.size > size:
        return {text}
    counted = {
        f"{text[: found.start()]}#{int(found[0]) - page}{text[found.end() :]}"
        for found in _WHOLE.finditer(text)
        if _BEFORE.fullmatch(text, 0, found.start()) or _AFTER.fullmatch(text, found.end())
    }
    return {text, *counted}


def _width(lines: list[str]) -> int:
    """How long a full line is."""
    return sorted(len(line) for line in lines)[int(len(lines) * 0.9)]


def _paragraphs(lines: list[str], width: int, page: int) -> Iterator[Block]:
    """Join lines to paragraphs: one ends where a short line ends a sentence."""
    words = list[str]()
    for line in lines:
        words.append(line)
        if not line or (len(line) < 0.8 * width and line.endswith((".", "!", "?", ":"))):
            yield Block("text", " ".join(words).strip(), page=page)
            words = []
    yield Block("text", " ".join(words), page=page)
