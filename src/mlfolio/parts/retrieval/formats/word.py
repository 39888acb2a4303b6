"""Word documents (.docx)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from docx import Document
from docx.table import Table

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, squeeze

# A docx is a zip. XML takes many times its size in memory, and any part may be XML whatever its
# name says, so no part may be big. What the zip says of its sizes may be a lie.
MAX_PARTS, MAX_PART, MAX_UNPACKED = 10_000, 50 * 2**20, 256 * 2**20


def read(data: bytes) -> Iterator[Block]:
    """Paragraphs by their style, tables row by row."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        _refuse_bombs(package)
        if "word/document.xml" not in package.namelist():
            raise UnreadableError("a zip archive, but no Word document", "save it again as .docx")
    document = Document(io.BytesIO(data))
    styles = {style.style_id: style.name for style in document.styles}
    for part in document.iter_inner_content():
        if isinstance(part, Table):
            yield from _rows(part)
            continue
        style = styles.get(part._p.style) or ""  # part.style searches all styles, every time
        heading = re.match(r"(?:Heading |Title)(\d)?", style)
        if heading:
            yield Block("heading", squeeze(part.text), int(heading.group(1) or 1))
        else:
            yield Block("item" if style.startswith("List") else "text", squeeze(part.text))


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


def _rows(table: Table) -> Iterator[Block]:
    """A cell over several columns is read once, one over several rows in each of them.

    `table.rows[n].cells` would climb through all the rows above for that.
    """
    above: dict[int, str] = {}
    for row in table._tbl.tr_lst:
        cells, column = [], 0
        for cell in row.tc_lst:
            if cell.vMerge != "continue":
                above[column] = squeeze(" ".join(paragraph.text for paragraph in cell.p_lst))
            cells.append(above.get(column, ""))
            column += cell.grid_span
        yield Block("table", " | ".join(cells))
