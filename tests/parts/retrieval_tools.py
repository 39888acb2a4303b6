"""What tests of retrieval share: a small encoder, and files of every format."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlfolio.parts.retrieval.vectors import Vectors


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
