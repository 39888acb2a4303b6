"""Making and opening an index, in whatever store it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from mlfolio.core.errors import MlfolioError
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.stores.place import Place, address, wanted_kind

LOG = logging.getLogger(__name__)


def new_index(folder: Path, dimension: int) -> Index:
    """An empty index in the store that `MLFOLIO_STORE` names: files, if it names none.

    Args:
        folder: Where its files are, or what leads to it.
        dimension: Length of its vectors.

    Raises:
        StoreError: The store cannot be reached, or lets us make nothing.
        UserError: `MLFOLIO_STORE` names no store.
        MissingExtraError: The extra `stores` is not installed.
    """
    if wanted_kind() == "postgresql":
        from mlfolio.parts.retrieval.stores.postgres import PostgresIndex

        return PostgresIndex.new(folder, dimension, address())
    from mlfolio.parts.retrieval.stores.lance import LanceIndex

    return LanceIndex(folder, dimension)


def open_index(folder: Path, dimension: int) -> Index:
    """The index of a folder; its files are made where nothing is there yet.

    Raises:
        StoreError: It is in a store that `MLFOLIO_STORE` does not name, or that cannot be reached.
        UserError: `MLFOLIO_STORE` names no store.
        MissingExtraError: The extra `stores` is not installed.
    """
    place = Place.of(folder)
    if place is None:
        from mlfolio.parts.retrieval.stores.lance import LanceIndex

        return LanceIndex(folder, dimension)
    from mlfolio.parts.retrieval.stores.postgres import PostgresIndex

    return PostgresIndex(folder, dimension, address(place), place.name)


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Held where `Index.writing` is, of the index of a folder, which need not be opened.

    Raises:
        FileError: What the folder remembers cannot be read.
        StoreError: The server cannot be reached.
    """
    place = Place.of(folder)
    if place is None:
        from mlfolio.parts.retrieval.stores.lance import LOCK

        with FileLock(folder / LOCK):
            yield
        return
    from mlfolio.parts.retrieval.stores.server import said, writing_to

    with said(place.name), writing_to(address(place), place.name):
        yield


def drop_index(folder: Path) -> None:
    """Drops what the index of a folder has in a server; nothing where it is the files there.

    Raises:
        FileError: What the folder remembers cannot be read.
        StoreError: The server cannot be reached.
    """
    place = Place.of(folder)
    if place is not None:
        from mlfolio.parts.retrieval.stores import postgres

        postgres.discard(address(place), place.name)


def discard(folder: Path) -> None:
    """Drops something temporary; what cannot be dropped is logged."""
    try:
        drop_index(folder)
    except MlfolioError as error:
        LOG.warning("a temporary index is left behind: %s", error.message)
