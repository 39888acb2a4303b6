"""The lines of a PDF's pages with their fonts, and which of them are headings."""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pypdfium2.raw as pdfium

from mlfolio.parts.retrieval.blocks import squeeze

_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[A-Z][^.!?]{2,60}$")
_PLAIN = re.compile(
    r"^(Abstract|Introduction|References|Appendix|Conclusions?|Acknowledge?ments?)$"
)
_BOLD = 600  # weight
_LARGER = 1.15  # than the text, in a heading
_LONGEST = 120  # characters of a heading
_RARE = 0.2  # share of bold characters, up to which bold lines are headings
_WORD = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page.

    Attributes:
        text: What it says.
        size: Of its font in points, to the half; of the smallest where there are several.
        is_bold: Whether all of it is.
    """

    text: str
    size: float = 0.0
    is_bold: bool = False


Part = tuple[int, str]  # level of a heading, or 0, and its text or that of the lines between


def read_lines(words: Any) -> list[Line]:
    """The lines of a page's text (a `PdfTextPage`)."""
    lines, at = [], 0
    for line in words.get_text_range().replace("\r\n", "\n").split("\n"):
        text = squeeze(line)
        size, is_bold = _font(words, at, line) if text else (0.0, False)
        lines.append(Line(text, size, is_bold))
        at += _units(line) + 2  # pdfium ends its lines with \r\n
    return lines


def mark_headings(
    pages: Sequence[Sequence[Line]], titles: Mapping[str, int]
) -> Iterator[list[Part]]:
    """Parts the lines of each page into headings and what is between them.

    Args:
        pages: Their lines.
        titles: Of the document's own table of contents, in small letters, with their levels.
    """
    fonts = _Fonts(pages)
    for lines in pages:
        yield list(_parts(lines, titles, fonts))


class _Fonts:
    """Which fonts of a document are those of headings.

    The text has the size that most characters have. A larger one is that of headings if what is
    set in it is short, as a rule: it may also be the text of a document with long footnotes.
    """

    def __init__(self, pages: Sequence[Sequence[Line]]) -> None:
        characters, runs, bold = Counter[float](), Counter[float](), 0
        for lines in pages:
            for size, run in groupby(lines, key=lambda line: line.size):
                for line in run:
                    characters[size] += len(line.text)
                    bold += line.is_bold * len(line.text)
                runs[size] += 1
        self._body = max(characters, key=characters.__getitem__, default=0.0)
        self._sizes = sorted(
            (
                size
                for size, n in characters.items()
                if size >= _LARGER * self._body and n <= _LONGEST * runs[size]
            ),
            reverse=True,
        )
        self._is_bold_rare = bold <= _RARE * characters.total()

    def level(self, run: Sequence[Line]) -> int:
        """The level of successive lines of one font as a heading; 0 if they are none."""
        size, text = run[0].size, " ".join(line.text for line in run)
        if len(text) > _LONGEST or text.endswith((".", ",", ";")) or not _WORD.search(text):
            return 0
        if size in self._sizes:
            return self._sizes.index(size) + 1
        stands_out = run[0].is_bold and self._is_bold_rare and size >= self._body
        if stands_out and len(run) == 1 and not text[0].islower() and text[-1] not in ":!?":
            return len(self._sizes) + 1
        return 0


def _parts(lines: Sequence[Line], titles: Mapping[str, int], fonts: _Fonts) -> Iterator[Part]:
    """The headings of a page, those over several lines joined, and what is between them."""
    between, heading, level = list[str](), list[str](), 0
    for _, group in groupby(lines, key=lambda line: (line.size, line.is_bold)):
        run = list(group)
        by_font = fonts.level(run)
        for line in run:
            named = titles.get(line.text.lower(), 0) or _numbered_level(line.text)
            if heading and (named or not by_font):
                yield level, " ".join(heading)
                heading = []
            if between and (named or by_font):
                yield 0, "\n".join(between)
                between = []
            if named or by_font:
                level = level if heading else named or by_font
                heading.append(line.text)
            else:
                between.append(line.text)
        if heading:
            yield level, " ".join(heading)
            heading = []
    if between:
        yield 0, "\n".join(between)


def _numbered_level(line: str) -> int:
    match = _NUMBERED.match(line)
    return match.group(1).count(".") + 1 if match else int(bool(_PLAIN.match(line)))


def _font(words: Any, start: int, line: str) -> tuple[float, bool]:
    """Size and boldness of a line, by its first, middle and last sign; drop caps do not count.

    Args:
        words: The page's text.
        start: Where the line begins in it, in UTF-16 units.
        line: The line.
    """
    inked = [at for at, sign in enumerate(line) if not sign.isspace()]
    matrix, sizes, bold = pdfium.FS_MATRIX(), [], []
    for at in {inked[0], inked[len(inked) // 2], inked[-1]}:
        sign = pdfium.FPDFText_GetCharIndexFromTextIndex(words, start + _units(line[:at]))
        pdfium.FPDFText_GetMatrix(words, sign, matrix)
        scale = math.hypot(matrix.c, matrix.d)  # some programs write size 1, and scale that
        sizes.append(pdfium.FPDFText_GetFontSize(words, sign) * scale)
        bold.append(_is_bold(words, sign))
    return round(2 * min(sizes)) / 2, all(bold)


def _is_bold(words: Any, sign: int) -> bool:
    weight: int = pdfium.FPDFText_GetFontWeight(words, sign)
    if weight > 0:
        return weight >= _BOLD
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()  # a font that is not in the file
    pdfium.FPDFText_GetFontInfo(words, sign, name, len(name), flags)
    return b"bold" in name.value.lower()


def _units(text: str) -> int:
    """Length in UTF-16, as pdfium counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
