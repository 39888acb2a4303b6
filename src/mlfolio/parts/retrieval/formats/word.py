"""Word documents (.docx)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from docx import Document
from docx.oxml.ns import qn

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, squeeze

# A docx is a zip. XML takes many times its size in memory, and any part may be XML whatever its
# name says, so no part may be big. What the zip says of its sizes may be a lie.
MAX_PARTS, MAX_PART, MAX_UNPACKED = 10_000, 50 * 2**20, 256 * 2**20

_P, _TABLE, _ROW, _CELL, _TEXT = map(qn, ("w:p", "w:tbl", "w:tr", "w:tc", "w:t"))
_BOX = qn("w:txbxContent")
# The same once more, for programs that cannot show a drawing.
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# A paragraph without what is not said in it: its form, and what a tracked change took out.
_UNSAID = {*map(qn, ("w:pPr", "w:rPr", "w:sdtPr", "w:del", "w:moveFrom")), _FALLBACK}
_SIGNS = {qn("w:tab"): " ", qn("w:ptab"): " ", qn("w:br"): " ", qn("w:cr"): " ",
          qn("w:noBreakHyphen"): "-"}  # fmt: skip


def read(data: bytes) -> Iterator[Block]:
    """Paragraphs by their style, tables row by row, as if all tracked changes were accepted."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        _refuse_bombs(package)
        if "word/document.xml" not in package.namelist():
            raise UnreadableError("a zip archive, but no Word document", "save it again as .docx")
    document = Document(io.BytesIO(data))
    styles = {style.style_id: style.name or "" for style in document.styles}
    yield from _blocks(document.element.body, styles)


def _refuse_bombs(package: zipfile.ZipFile) -> None:
    """Unpacks every part, piece by piece, and keeps nothing of it."""
    total = 0
    for number, entry in enumerate(package.infolist(), start=1):
        size = 0
        with package.open(entry) as part:
            while piece := part.read(2**20):
                size += len(piece)
                if size > MAX_PART or total + size > MAX_UNPACKED:
                    raise UnreadableError(
                        f"it unpacks to over {MAX_UNPACKED // 2**20} MB, or one of its parts to "
                        f"over {MAX_PART // 2**20} MB", "split it",
                    )  # fmt: skip
        total += size
        if number > MAX_PARTS:
            raise UnreadableError(f"it has over {MAX_PARTS:,} parts", "split it")


def _inner(element: Any, *tags: str) -> Iterator[Any]:
    """The nearest elements of some tags: content controls and the like may lie between."""
    for child in element:
        if child.tag in tags:
            yield child
        elif child.tag not in _UNSAID:
            yield from _inner(child, *tags)


def _blocks(element: Any, styles: Mapping[str, str]) -> Iterator[Block]:
    """What a body, a cell or a text box holds; a text box comes after its paragraph."""
    for part in _inner(element, _P, _TABLE):
        if part.tag == _TABLE:
            yield from _rows(part, styles)
            continue
        style, text = styles.get(part.style) or "", squeeze(_text(part))
        if heading := re.match(r"(?:Heading |Title)(\d)?", style):
            yield Block("heading", text, int(heading.group(1) or 1))
        else:
            yield Block("item" if style.startswith("List") else "text", text)
        for box in _inner(part, _BOX):
            yield from _blocks(box, styles)


def _text(element: Any) -> str:
    """What a paragraph says itself, without the text boxes in it."""
    if element.tag == _TEXT:
        return element.text or ""
    if element.tag in _SIGNS or element.tag in _UNSAID or element.tag == _BOX:
        return _SIGNS.get(element.tag, "")
    return "".join(map(_text, element))


def _rows(table: Any, styles: Mapping[str, str]) -> Iterator[Block]:
    """A cell over several columns is read once, one over several rows in each of them.

    `rows[n].cells` of a `docx.table.Table` would climb through all the rows above for that.
    """
    above: dict[int, str] = {}
    for row in _inner(table, _ROW):
        cells, column = [], 0
        for cell in _inner(row, _CELL):
            if cell.vMerge != "continue":
                above[column] = " ".join(b.text for b in _blocks(cell, styles) if b.text)
            cells.append(above.get(column, ""))
            column += cell.grid_span
        yield Block("table", " | ".join(cells))
