"""Files to blocks. A file that cannot be read says why; a folder is never stopped by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from mlfolio.parts.retrieval.blocks import Block, UnreadableError, decode, squeeze

# suffix -> the reader's module in `formats`, imported when the first such file comes
SUFFIXES = {
    ".pdf": "pdf", ".docx": "word", ".html": "html", ".htm": "html", ".md": "markdown",
    ".mdx": "markdown", ".markdown": "markdown", ".rst": "rst", ".txt": "text",
}  # fmt: skip
MAX_BYTES = 64 * 2**20


def parse_file(path: Path) -> list[Block]:
    """The blocks of a file, in reading order.

    Raises:
        UnreadableError: The file is empty, too big, damaged, encrypted, without text, or of a
            format that nobody here reads.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UnreadableError(
            f"{size / 2**20:.0f} MB is over the limit of {MAX_BYTES // 2**20} MB", "split it"
        )
    return parse_bytes(path.name, path.read_bytes())


def parse_bytes(name: str, data: bytes) -> list[Block]:
    """The blocks of a file's content.

    Args:
        name: Its name: the suffix says the format where the first bytes do not.
        data: Its content.

    Raises:
        UnreadableError: As `parse_file`.
    """
    if not data.strip():
        raise UnreadableError("the file is empty", "delete it, or put text into it")
    kind = _kind(Path(name).suffix.lower(), data)
    try:
        found = read_text(data) if kind == "text" else _reader(kind, data)
        blocks = [block for block in found if block.text or block.kind == "blank"]
    except UnreadableError:
        raise
    except Exception as error:
        # The readers stand on five libraries; whatever those raise on a broken file (KeyError,
        # RecursionError, XMLSyntaxError...), the folder has to go on without it.
        raise UnreadableError(
            f"damaged {kind} file ({type(error).__name__})", "save it again from its program"
        ) from error
    if all(block.kind in ("heading", "blank") for block in blocks):
        raise UnreadableError("there is no text in it", "delete it, or put text into it")
    return blocks


def read_text(data: bytes) -> Iterator[Block]:
    """Paragraphs parted by empty lines."""
    for paragraph in re.split(r"\n\s*\n", decode(data).replace("\r\n", "\n")):
        yield Block("text", squeeze(paragraph))


def _reader(kind: str, data: bytes) -> Iterator[Block]:
    blocks: Iterator[Block] = import_module(f"mlfolio.parts.retrieval.formats.{kind}").read(data)
    return blocks


def _kind(suffix: str, data: bytes) -> str:
    """The format by its first bytes where they tell, else by the file's name."""
    if suffix not in SUFFIXES:
        raise UnreadableError(
            f"{suffix or 'no suffix'} is not a format that is read here",
            f"convert it to one of {', '.join(sorted(SUFFIXES))}",
        )
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return "word"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableError(
            "an encrypted or old Word file", "save it as .docx without a password"
        )
    kind = SUFFIXES[suffix]
    if kind in ("pdf", "word"):
        raise UnreadableError(
            f"named {suffix}, but its content is not", "save it again as what it is"
        )
    if b"\x00" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError("binary content, not text", "convert it to text")
    return kind
