"""Mailboxes as messages: mbox, maildir, eml. Files are only ever read.

Mails come from strangers. Nothing of them is run, fetched or unpacked: attachments are passed
over, archives too, and of a mail no more than `MAX_BYTES` is looked at. What the parser cannot
make sense of is read as the text it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.policy import Compat32
from html.parser import HTMLParser
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mlfolio.core.errors import FileError

MAX_BYTES = 2**20  # of a mail; more are attachments, or an attack
MAX_HEADER = 1000  # characters of a header that are decoded
MAX_HTML = 200_000  # characters of a page of HTML
MAX_DEPTH = 20  # of parts within parts
LINE = 65536  # bytes that are read at once
SLOW = {"idna", "punycode"}  # encodings whose decoding takes the square of the length
HIDDEN = {"head", "script", "style", "template", "title"}


class Mail(NamedTuple):
    """A mail, as its reader sees it: sender, subject, and text without HTML or attachments."""

    sender: str
    subject: str
    text: str

    @property
    def message(self) -> str:
        """Subject and text, which is what is judged."""
        return f"{self.subject}\n{self.text}".strip()


def read_mails(path: Path) -> Iterator[Mail]:
    """The mails of an mbox or eml file, of a maildir, or of all files in a folder.

    Raises:
        FileError: There is none, or it may not be read.
    """
    found = False
    try:
        for file in _files(path):
            for raw in _raw_mails(file):
                found = True
                yield parse_mail(raw)
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror or error}", "check who may read it"
        ) from None
    if not found:
        raise FileError(f"there is no mail in {path}", "name an mbox or eml file, or a maildir")


def is_mailbox(path: Path) -> bool:
    """Whether a path looks like mails: a folder, an mbox file (by its first line) or an eml."""
    if path.is_dir() or not path.is_file():  # a pipe would be read empty by a look at it
        return path.is_dir()
    if path.suffix.lower() in (".eml", ".mbox"):
        return True
    with path.open("rb") as file:
        return file.read(5) == b"From "


def parse_mail(raw: bytes) -> Mail:
    """One mail; of a broken one whatever can be read.

    Args:
        raw: Its bytes, headers and all; beyond `MAX_BYTES` they are not looked at.
    """
    raw = raw[:MAX_BYTES]
    try:
        message = message_from_bytes(raw, policy=_Short())
        text = _text_of(message)
        return Mail(_header(message, "From"), _header(message, "Subject"), text)
    except Exception:  # what a parser says to parts nested a thousand deep, and the like
        return Mail("", "", _decode(raw, "utf-8"))


def html_text(page: str) -> str:
    """What a page of HTML shows."""
    reader, page = _Reader(), page[:MAX_HTML]
    try:
        reader.feed(page)
        rest = reader.rawdata  # from a tag without an end; `close` takes the square of its length
    except AssertionError:  # what the parser says to some broken declarations
        reader.pieces, rest = [], page
    text = "".join(reader.pieces) + re.sub(r"<[^<>]*>?", " ", rest)
    return re.sub(r"[^\S\n]+", " ", text).strip()


def _files(path: Path) -> list[Path]:
    """The files of mails at a path, in a lasting order; links are not followed."""
    if not path.is_dir():
        return [path]
    files = (file for file in sorted(path.rglob("*")) if file.is_file() and not file.is_symlink())
    return [file for file in files if "tmp" not in file.relative_to(path).parts[:-1]]


def _raw_mails(path: Path) -> Iterator[bytes]:
    """The bytes of each mail in a file, the first `MAX_BYTES` of each."""
    with path.open("rb") as file:
        if file.read(5) == b"From ":
            file.seek(0)
            yield from _split(file)
        else:
            file.seek(0)
            yield file.read(MAX_BYTES)


def _split(file: BinaryIO) -> Iterator[bytes]:
    """The mails of an mbox: each begins with a line `From ...` after an empty one."""
    pieces: list[bytes] = []
    size, empty, begins = 0, True, True
    while line := file.readline(LINE):
        if begins and empty and line.startswith(b"From "):
            if pieces:
                yield b"".join(pieces)
            pieces, size = [b""], 0
        elif size < MAX_BYTES:
            pieces.append(line)
            size += len(line)
        empty = begins and not line.strip(b"\r\n")
        begins = line.endswith(b"\n")
    if pieces:
        yield b"".join(pieces)


def _text_of(part: Message, depth: int = 0) -> str:
    """The text of a part: of alternatives the last, which is the one that is shown."""
    if depth > MAX_DEPTH or part.get_content_disposition() == "attachment":
        return ""
    content = part.get_payload()
    if isinstance(content, list):
        texts = (_text_of(inner, depth + 1) for inner in content if isinstance(inner, Message))
        if part.get_content_type() == "multipart/alternative":
            return next(filter(None, reversed(list(texts))), "")
        return "\n".join(filter(None, texts))
    if part.get_content_maintype() != "text" or part.get_filename():
        return ""
    raw = part.get_payload(decode=True)
    text = _decode(raw if isinstance(raw, bytes) else b"", part.get_content_charset("utf-8"))
    return html_text(text) if part.get_content_subtype() == "html" else text.strip()


def _decode(raw: bytes, charset: str) -> str:
    """Bytes as text, by the encoding they claim or, where that fails, as UTF-8 with gaps."""
    try:
        return raw.decode("utf-8" if charset.lower() in SLOW else charset)
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


def _header(message: Message, name: str) -> str:
    """A header in one line, as people read it."""
    value = str(message.get(name, ""))
    with suppress(LookupError, ValueError):  # an encoding that does not exist, or does not fit
        value = str(make_header(decode_header(value)))
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


class _Short(Compat32):
    """Headers as they are, cut: the parameters of a long one take the square of its length.

    Not `policy.default`, which raises on many a header that spam has.
    """

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MAX_HEADER]


class _Reader(HTMLParser):
    """Collects the text of a page, without what browsers do not show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HIDDEN and not self._hidden:
            self._hidden = tag
        elif tag not in ("a", "b", "em", "font", "i", "span", "strong", "u"):
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)
