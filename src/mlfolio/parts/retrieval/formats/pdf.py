"""PDF files: text page by page."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pypdfium2 as pdfium

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, squeeze

_PDFIUM = threading.Lock()  # the library serves one thread at a time, and crashes under two
_HYPHEN = re.compile(r"\b(\w+)(?:[\ufffe\x02\u00ad]\n?|-\n)(?=[a-z])(\w+)")
_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[A-Z][^.!?]{2,60}$")
_PLAIN = re.compile(
    r"^(Abstract|Introduction|References|Appendix|Conclusions?|Acknowledge?ments?)$"
)


def read(data: bytes) -> Iterator[Block]:
    """Text of each page, less the lines that most pages share (headers, footers, numbers).

    Headings are the titles of the document's own table of contents, and numbered ones. A page
    without text is a block of the kind "blank".
    """
    with _PDFIUM, _open(data) as document:
        titles = {squeeze(item.get_title()).lower(): item.level + 1 for item in document.get_toc()}
        texts = [_page_text(document, number) for number in range(len(document))]
    if not any(text.strip() for text in texts):
        raise UnreadableError(
            f"no text in its {len(texts)} pages: a scan?", "run OCR over it first (ocrmypdf)"
        )
    words = set(re.findall(r"[\w-]+", " ".join(texts).lower()))
    pages = [_dehyphenate(text, words).split("\n") for text in texts]
    furniture = _furniture(pages)
    for number, lines in enumerate(pages, start=1):
        if not any(lines):
            yield Block("blank", "", page=number)
            continue
        kept = [line for line in lines if _shape(line) not in furniture]
        yield from _page_blocks(kept, titles, number)


def _open(data: bytes) -> Any:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "assword" in str(error):
            raise UnreadableError(
                "encrypted: it asks for a password", "save a copy without the password"
            ) from error
        raise UnreadableError("damaged PDF, perhaps cut short", "get or export it again") from error


def _page_text(document: Any, number: int) -> str:
    """The text of a page; a damaged page costs itself, not the document."""
    try:
        with closing(document[number]) as page, closing(page.get_textpage()) as words:
            text: str = words.get_text_range()
    except pdfium.PdfiumError:
        return ""
    return "\n".join(squeeze(line) for line in text.replace("\r\n", "\n").split("\n"))


def _dehyphenate(text: str, words: set[str]) -> str:
    """Join words cut at a line's end; keep the hyphen of those that have it elsewhere."""

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        return f"{left}-{right}" if f"{left}-{right}".lower() in words else left + right

    return _HYPHEN.sub(join, text)


def _shape(line: str) -> str:
    return re.sub(r"\d+", "#", line.lower())


def _furniture(pages: list[list[str]]) -> set[str]:
    """Shapes of lines at the edge of at least half of the pages (three or more)."""
    edges = Counter[str]()
    for lines in pages:
        full = [line for line in lines if line]
        edges.update({_shape(line) for line in full[:2] + full[-2:]})
    return {shape for shape, n in edges.items() if n >= max(3, len(pages) / 2)} | {"#"}


def _page_blocks(lines: list[str], titles: dict[str, int], page: int) -> Iterator[Block]:
    """Join lines to paragraphs: one ends where a short line ends a sentence."""
    width = sorted(len(line) for line in lines)[int(len(lines) * 0.9)] if lines else 0
    words = list[str]()
    for line in lines:
        level = titles.get(line.lower(), 0) or _numbered_level(line)
        if level or not line:
            yield Block("text", " ".join(words), page=page)
            words = []
            if level:
                yield Block("heading", line, level, page)
            continue
        words.append(line)
        if len(line) < 0.8 * width and line.endswith((".", "!", "?", ":")):
            yield Block("text", " ".join(words), page=page)
            words = []
    yield Block("text", " ".join(words), page=page)


def _numbered_level(line: str) -> int:
    match = _NUMBERED.match(line)
    return match.group(1).count(".") + 1 if match else int(bool(_PLAIN.match(line)))
