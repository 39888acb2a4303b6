"""The documents of a model: their index, and the files that came while it was served."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlfolio.core.errors import FileError
from mlfolio.parts.retrieval.apart import content
from mlfolio.parts.retrieval.blocks import UnreadableError
from mlfolio.parts.retrieval.chunk import Chunking, run_together
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.sync import Document, drop, merge, put
from mlfolio.parts.retrieval.uploads import Upload, Uploads
from mlfolio.parts.text.vectors import Encodes

INDEX, UPLOADS = "index", "uploads"
LOG = logging.getLogger(__name__)


class Collection:
    """Documents that change while they are asked.

    Attributes:
        index: Their chunks.
        uploads: The files that came while it was served; they lie beside the index.
        encoder: The one that the index was made with.
        cutting: How documents become chunks.
    """

    def __init__(self, index: Index, encoder: Encodes, cutting: Chunking) -> None:
        self.index = index
        self.uploads = Uploads(index.folder.parent / UPLOADS)
        self.encoder = encoder
        self.cutting = cutting

    def names(self) -> list[str]:
        """The names of all documents."""
        return sorted(self.index.documents())

    def page(self, document: str, position: int, page: int | None) -> str:
        """The text of the page that a passage stands on; without pages the text around it."""
        found = self.index.around(document, position, page)
        return run_together([passage.text for passage in found])

    def add(self, path: Path, name: str, metadata: Mapping[str, Any] | None = None) -> int:
        """Adds or replaces a document; returns its number of chunks once they are on disk.

        The file is kept beside the index, so that the models of later runs have it too.

        Args:
            path: Its file.
            name: What citations say.
            metadata: Of it, beside what it says itself.

        Raises:
            FileError: It cannot be read, or the metadata break a rule; the index is as it was.
        """
        try:
            data = content(path)
            document = Document.of_bytes(name, data, path.suffix, metadata)
            return put(
                self.index, document, self.encoder, self.cutting,
                before=lambda: self.uploads.keep(document.name, path.suffix, data, metadata),
            )  # fmt: skip
        except UnreadableError as error:
            raise FileError(f"{name}: {error.message}", error.fix) from None

    def delete(self, name: str) -> bool:
        """Erases a document, its file and its text in the index; False if there was none."""
        with self.index.writing():
            known = name in self.uploads or name in self.index.documents()
            if known:
                self.uploads.delete(name)  # first: what a crash leaves to do, `catch_up` does
            drop(self.index, name)
        return known

    def take_over(self, former: Uploads, since: int) -> None:
        """What was uploaded to, or deleted from, a former collection from a time in ns since 1970.

        Of changes to one document in both the later one counts.
        """
        with self.index.writing():
            self.uploads.take_over(former, since)
        self.catch_up()

    def catch_up(self) -> None:
        """Makes the index say what was uploaded and deleted: nothing to do, as a rule."""
        if not any(self._not_indexed()):
            return
        with self.index.writing():
            stale, gone = self._not_indexed()  # again: another process may have done it
            documents = (upload.document for upload in stale)
            done = merge(self.index, documents, gone, self.encoder, self.cutting)
        for name, why in done.unreadable.items():
            LOG.warning("the uploaded document %s is in no answer any more: %s", name, why)

    def copy_to(self, folder: Path) -> None:
        """Copies the index and the uploads, by hard links: no file is ever changed."""
        self.index.copy_to(folder / INDEX)
        self.uploads.copy_to(folder / UPLOADS)

    def _not_indexed(self) -> tuple[list[Upload], list[str]]:
        """The uploads that are not in the index, and the deleted documents that still are."""
        known = self.index.documents()
        stale = [upload for upload in self.uploads if known.get(upload.name) != upload.digest]
        return stale, [name for name in known if self.uploads.is_deleted(name)]
