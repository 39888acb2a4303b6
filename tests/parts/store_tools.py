"""What the tests of stores ask an index, and look for in its files."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlfolio.parts.retrieval.index import Index, Within
from mlfolio.parts.retrieval.ranking import Ranking
from mlfolio.parts.retrieval.search import find
from mlfolio.parts.retrieval.stores.opening import open_index
from mlfolio.parts.retrieval.stores.place import STORE
from mlfolio.parts.retrieval.sync import Document

from .retrieval_tools import Words

ENCODER = Words()


def text(name: str, content: str, **metadata: Any) -> Document:
    return Document.of_text(name, "", content, metadata)


def again(index: Index) -> Index:
    return open_index(index.folder, ENCODER.dimension)


def found(index: Index, question: str, within: str | None = None) -> list[str]:
    where = None if within is None else Within(within)
    return find(index, ENCODER, question, within=where).documents(Ranking(0.5))


def secret() -> str:
    """A word that nobody guesses, and that no compression hides from `holds`."""
    return secrets.token_hex(12)


def holds(index: Index, words: str) -> bool:
    """Whether words are in any file of an index; in PostgreSQL, of all that the server has.

    Its log of transactions (`pg_wal`) is left out.
    """
    folders = [index.folder]
    if hasattr(index, "name"):
        import psycopg

        with psycopg.connect(os.environ[STORE], autocommit=True) as connection:
            connection.execute("CHECKPOINT")  # what was dropped is on the disk until then
            ((data,),) = connection.execute("SHOW data_directory").fetchall()
        folders.append(Path(data))
    return any(words.encode() in _bytes(path) for each in folders for path in each.rglob("*"))


def _bytes(path: Path) -> bytes:
    with suppress(FileNotFoundError):  # the server may drop it meanwhile
        if path.is_file() and "pg_wal" not in path.parts:
            return path.read_bytes()
    return b""


def schemas(url: str) -> set[str]:
    import psycopg

    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}
