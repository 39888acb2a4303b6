"""The content of a file to blocks. One that cannot be read says why, and stops no folder.

Ask `apart.parse_file`: it does this in a process that a hostile file cannot make take too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from mlfolio.parts.retrieval.blocks import BESIDE, Block, UnreadableError, decode, squeeze

# suffix -> the reader's module in `formats`, imported when the first such file comes
SUFFIXES = {
    ".pdf": "pdf", ".docx": "word", ".html": "html", ".htm": "html", ".md": "markdown",
    ".mdx": "markdown", ".markdown": "markdown", ".rst": "rst", ".txt": "text",
}  # fmt: skip
REVISION = 4  # of what the readers make of a file: counted up when an index must be made anew
MAX_BYTES = 64 * 2**20
# Of what is read from one file. Shakespeare's works have 5.5 million characters.
MAX_CHARACTERS, MAX_BLOCKS = 10_000_000, 200_000


def parse_bytes(name: str, data: bytes) -> list[Block]:
    """The blocks of a file's content.

    Args:
        name: Its name: the suffix says the format where the first bytes do not.
        data: Its content.

    Raises:
        UnreadableError: The file is empty, too big, damaged, encrypted, without text, or of a
            format that nobody here reads.
    """
    if not data.strip():
        raise UnreadableError("the file is empty", "delete it, or put text into it")
    kind = _kind(Path(name).suffix.lower(), data)
    try:
        found = read_text(data) if kind == "text" else _reader(kind, data)
        blocks = list(
            _bounded(block for block in found if block.text.strip() or block.kind == "blank")
        )
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:
        # The readers stand on five libraries; whatever those raise on a broken file (KeyError,
        # RecursionError, XMLSyntaxError...), the folder has to go on without it.
        raise UnreadableError(
            f"damaged {kind} file ({type(error).__name__})", "save it again from its program"
        ) from error
    if all(block.kind in ("heading", *BESIDE) for block in blocks):
        raise UnreadableError("there is no text in it", "delete it, or put text into it")
    return blocks


def _bounded(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks, as long as they are not too many."""
    characters = 0
    for number, block in enumerate(blocks, start=1):
        characters += len(block.text)
        if characters > MAX_CHARACTERS or number > MAX_BLOCKS:
            raise UnreadableError(
                f"it holds over {MAX_CHARACTERS:,} characters or {MAX_BLOCKS:,} paragraphs",
                "split it",
            )
        yield block


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
