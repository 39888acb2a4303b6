"""Word documents (.docx)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from docx import Document
from docx.table import Table

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, squeeze

# A docx is a zip: refuse a bomb before it is unpacked. XML takes many times its size in memory.
MAX_XML, MAX_UNPACKED = 50 * 2**20, 512 * 2**20


def read(data: bytes) -> Iterator[Block]:
    """Paragraphs by their style, tables row by row."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        sizes = {entry.filename: entry.file_size for entry in package.infolist()}
        xml = sum(size for name, size in sizes.items() if name.endswith((".xml", ".rels")))
        if xml > MAX_XML or sum(sizes.values()) > MAX_UNPACKED:
            raise UnreadableError("it unpacks to over 50 MB of XML, or 512 MB in all", "split it")
        if "word/document.xml" not in sizes:
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
