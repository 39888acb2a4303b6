"""Metadata of documents as labels.

A label is a key and one value: `team=legal`. A document whose key has several values has a label
for each. Texts are compared without regard to case, numbers by what they are worth (2024 is
2024.0), and what is written alike is alike: the text "2024" is the number.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from mlfolio.core.errors import FileError
from mlfolio.parts.retrieval.json_lines import read_json_lines

MAX_KEYS = 50
MAX_VALUE = 200  # characters
MAX_METADATA = 4_000  # characters of all labels of a document: each of its passages has them
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_WHOLE = 10**21  # from here on numbers are written with an exponent
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})([t ].*)?", re.ASCII)
_NO_TEXT = ("Cc", "Cs")  # control characters and halves of characters
_FIX = 'metadata are flat: {"team": "legal", "year": 2024, "tags": ["draft", "internal"]}'


def labels_of(metadata: Mapping[Any, Any]) -> tuple[str, ...]:
    """The labels of a document.

    Args:
        metadata: Key -> a text, number or boolean, or a list of such; None counts as not written.

    Returns:
        Without doubles, in order.

    Raises:
        FileError: A key or a value breaks a rule, or there are too many.
    """
    if len(metadata) > MAX_KEYS:
        raise FileError(f"{len(metadata)} keys of metadata; at most {MAX_KEYS}", "leave some out")
    labels: list[str] = []
    for key, given in metadata.items():
        name = _key(key)
        for value in given if isinstance(given, list | tuple) else [given]:
            labels += [] if value is None else [f"{name}={_checked(name, value)}"]
    size = sum(map(len, labels))
    if size > MAX_METADATA:
        raise FileError(
            f"{size:,} characters of metadata; at most {MAX_METADATA:,}", "leave some out"
        )
    return tuple(sorted(set(labels)))


def _key(given: Any) -> str:
    """A key in lower case."""
    key = given.lower() if isinstance(given, str) else ""
    if not _KEY.fullmatch(key):
        raise FileError(
            f"{shown(given)} is no key of metadata",
            "up to 50 letters, digits, - and _, a letter first: review_date",
        )
    return key


def _checked(key: str, value: Any) -> str:
    try:
        return as_text(value)
    except ValueError as error:
        raise FileError(f"{key} = {shown(value)}: {error}", _FIX) from None


def as_text(value: Any) -> str:
    """A value as labels have it.

    Raises:
        ValueError: It is nothing that a label has.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_as_text(value)
    if not isinstance(value, str):
        raise ValueError("no text, number or boolean, nor a list of such")
    text = unicodedata.normalize("NFC", " ".join(value.split()).casefold())
    if not text or any(unicodedata.category(c) in _NO_TEXT for c in text):
        raise ValueError("an empty text, or one with control characters")
    if len(text) > MAX_VALUE:
        raise ValueError(f"a text of {len(text):,} characters; at most {MAX_VALUE}")
    return text


def _number_as_text(number: float) -> str:
    """The same text for the same number, whether it is whole by its type or by its value."""
    if abs(number) < _WHOLE and number == int(number):
        return str(int(number))
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("a number without end")
    return repr(number)


def read_metadata(path: Path) -> dict[str, dict[str, Any]]:
    """The metadata of documents in a JSON lines file.

    A line is `{"document": name, key: value, ...}`.

    Returns:
        Metadata by the document's name.

    Raises:
        FileError: It cannot be read, or a line is not that, or a document is there twice.
    """
    found: dict[str, dict[str, Any]] = {}

    def take(row: dict[str, Any]) -> None:
        name = row.pop("document")
        if not isinstance(name, str):
            raise TypeError(f"{name!r} is no name of a document")
        labels_of(row)
        if name in found:
            raise FileError(f"{name!r} is there twice", "join them")
        found[name] = row

    form = '{"document": "file.pdf", "team": "legal"}'
    read_json_lines(path, take, "metadata", form)
    return found


def as_number(text: str) -> float | None:
    """The number that a value is, if it is one."""
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text) if text.lstrip("-").isdigit() else float(text)
    return number if math.isfinite(number) else None


def as_day(text: str) -> str | None:
    """The day that a value begins with, if it is one; as text, which orders as days do."""
    found = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(found[1]).isoformat() if found else None
    except ValueError:
        return None


def shown(given: Any) -> str:
    """A value for a message, cut where it is long."""
    text = repr(given)
    return text if len(text) <= 80 else text[:77] + "..."
