"""What tests of retrieval share: a small encoder, and files of every format."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlfolio.parts.text.vectors import Vectors


class Words:
    """An encoder that knows only which words occur: each word has a fixed direction."""

    name = "words"
    dimension = 32
    max_tokens = 256

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w+", text)) for text in texts]

    def encode(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
                out[row] += np.random.default_rng(seed).standard_normal(self.dimension)
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    def encode_query(self, text: str) -> Vectors:
        return self.encode([text])[0]


def make_pdf(path: Path, pages: Sequence[Sequence[str]], password: str | None = None) -> Path:
    """A PDF with lines of text on each page; the first line of a page enters the outline."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    lock = StandardEncryption(password, canPrint=0) if password else None
    canvas = Canvas(str(path), encrypt=lock)
    for number, lines in enumerate(pages):
        if lines:
            canvas.bookmarkPage(str(number))
            canvas.addOutlineEntry(lines[0], str(number), level=0)
        for line, text in enumerate(lines):
            canvas.drawString(72, 760 - 18 * line, text)
        if not lines:  # a drawing and no text: what a scan looks like
            canvas.rect(100, 100, 300, 300, fill=1)
        canvas.showPage()
    canvas.save()
    return path


def make_docx(path: Path) -> Path:
    from docx import Document

    document = Document()
    document.add_heading("Guide", 1)
    document.add_heading("Pumps", 2)
    document.add_paragraph("The blue pump starts at nine bars.")
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text = "valve"
    table.cell(0, 1).text = "shut"
    document.save(str(path))
    return path


def make_styled_pdf(path: Path, pages: Sequence[Sequence[tuple[str, float, str]]]) -> Path:
    """A PDF with lines of (font, size, text) and no outline."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path))
    for lines in pages:
        top = 780.0
        for font, size, text in lines:
            canvas.setFont(font, size)
            top -= 1.5 * size
            canvas.drawString(72, top, text)
        canvas.showPage()
    canvas.save()
    return path


def packed_pdf(stream: bytes, pages: int = 1) -> bytes:
    """A PDF whose pages all draw the same packed stream."""
    packed = zlib.compress(stream, 9)
    kids = b" ".join(b"%d 0 R" % (5 + page) for page in range(pages))
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
        b"/Resources<</Font<</F 3 0 R>>>>>>"
    )
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, pages),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed),
        *[page] * pages,
    ]
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    return out + head + table + tail


def change_docx(source: Path, target: Path, changes: dict[str, bytes]) -> Path:
    """A copy of a Word document with other parts, or more of them."""
    with zipfile.ZipFile(io.BytesIO(source.read_bytes())) as old:
        parts = {name: old.read(name) for name in old.namelist()} | changes
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return target
