"""Word documents (.docx)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from docx import Document
from docx.table import Table

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, squeeze

MAX_UNPACKED = 512 * 2**20  # a docx is a zip: refuse a bomb before it is unpacked


def read(data: bytes) -> Iterator[Block]:
    """Paragraphs by their style, tables row by row (merged cells once)."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        if sum(entry.file_size for entry in package.infolist()) > MAX_UNPACKED:
            raise UnreadableError("it unpacks to more than 512 MB", "split it")
        if "word/document.xml" not in package.namelist():
            raise UnreadableError("a zip archive, but no Word document", "save it again as .docx")
    document = Document(io.BytesIO(data))
    for part in document.iter_inner_content():
        if isinstance(part, Table):
            for row in part.rows:
                cells = dict.fromkeys(squeeze(cell.text) for cell in row.cells)
                yield Block("table", " | ".join(cells))
            continue
        style = (part.style.name if part.style else None) or ""
        heading = re.match(r"(?:Heading |Title)(\d)?", style)
        if heading:
            yield Block("heading", squeeze(part.text), int(heading.group(1) or 1))
        else:
            yield Block("item" if style.startswith("List") else "text", squeeze(part.text))
