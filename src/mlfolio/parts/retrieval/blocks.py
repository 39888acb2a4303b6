"""What every reader makes of a file: blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlfolio.core.errors import FileError

Kind = Literal["heading", "text", "item", "code", "table", "blank", "label", "odd"]
BESIDE: tuple[Kind, ...] = ("blank", "label", "odd")  # no text of the document


class UnreadableError(FileError):
    """A file that cannot be turned into text: why, and what would help."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document that never crosses a heading or a page.

    Attributes:
        kind: What it is; "blank" is a page without text, perhaps a scan; "label" is of the file's
            own metadata (see `labels`), and "odd" says why those cannot be read.
        text: Its text; line breaks mean something in code only.
        level: 1 to 6 for headings, else 0.
        page: Counted from 1; None where the format has no pages.
    """

    kind: Kind
    text: str
    level: int = 0
    page: int | None = None


def squeeze(text: str) -> str:
    """Runs of white space to one blank."""
    return " ".join(text.split())


def decode(data: bytes) -> str:
    """Text of unknown encoding: UTF-8 or a byte order mark first, else a statistical guess."""
    marks = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
    encoding = next((name for mark, name in marks if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        guesses = list(from_bytes(data[: 2**18]))
        # Short Western texts fit many code pages equally well: the commonest one breaks the tie.
        ties = {guess.encoding for guess in guesses if guess.chaos == guesses[0].chaos}
        western = not guesses or ties & {"cp1252", "latin_1"}
        return data.decode("cp1252" if western else guesses[0].encoding, errors="replace")
