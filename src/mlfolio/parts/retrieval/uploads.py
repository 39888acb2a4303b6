"""What was uploaded to an index: the files as they came, so that the next index can have them too.

There is one file for each name that was changed, called by the sha256 of that name, and written
whole or not at all. Its first line is JSON (name, suffix, digest and metadata), the rest the
content. An empty one says that the document was deleted: neither its content nor its name is left.
The file's time is that of the change; a copy keeps it, and of two changes the later one counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlfolio.parts.retrieval.sync import Document


@dataclass(frozen=True, slots=True)
class Upload:
    """A document as it came.

    Attributes:
        name: What citations say.
        suffix: Of the file that it came in: says the format.
        digest: The document's.
        path: Where it lies.
        metadata: That came with it.
    """

    name: str
    suffix: str
    digest: str
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> Document:
        """What is to be indexed."""
        _, _, content = self.path.read_bytes().partition(b"\n")
        return Document.of_bytes(self.name, content, self.suffix, self.metadata)


class Uploads:
    """The uploads of one index. Who changes them holds the index's lock.

    Attributes:
        folder: Where they lie; it is made with the first of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[Upload]:
        """What was uploaded and not deleted since."""
        for path in self._files():
            with path.open("rb") as stream:
                line = stream.readline()
            if line:
                yield Upload(**json.loads(line), path=path)

    def __contains__(self, name: str) -> bool:
        """Whether a document was uploaded and not deleted since."""
        path = self._path(name)
        return path.exists() and path.stat().st_size > 0

    def is_deleted(self, name: str) -> bool:
        """Whether a document was deleted and not uploaded since."""
        path = self._path(name)
        return path.exists() and path.stat().st_size == 0

    def keep(
        self, name: str, suffix: str, content: bytes, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Keeps a document, in the place of a former one.

        Args:
            name: What citations say.
            suffix: Of the file that it came in.
            content: Of that file.
            metadata: That came with it.

        Raises:
            FileError: The metadata break a rule, see `labels_of`.
        """
        digest = Document.of_bytes(name, content, suffix, metadata).digest
        head: dict[str, Any] = {"name": name, "suffix": suffix, "digest": digest}
        if metadata:
            head["metadata"] = dict(metadata)
        self._write(name, json.dumps(head).encode() + b"\n" + content)

    def delete(self, name: str) -> None:
        """Erases a document, and remembers that one of this name is not wanted."""
        self._write(name, b"")

    def copy_to(self, folder: Path) -> None:
        """Copies what was uploaded, not what was deleted."""
        for upload in self:
            _copy(upload.path, folder / upload.path.name)

    def take_over(self, other: Uploads, since: int) -> None:
        """Takes over what was changed in others later than here.

        Args:
            other: Those of another index.
            since: Nanoseconds since 1970; deletions before do not count.
        """
        for path in self._later(other, since):
            _copy(path, self.folder / path.name)

    def lacks(self, other: Uploads, since: int) -> bool:
        """Whether `take_over` would take something over."""
        return any(True for _ in self._later(other, since))

    def _later(self, other: Uploads, since: int) -> Iterator[Path]:
        """The files of others that were changed there later than here."""
        for path in other._files():
            here, there = self.folder / path.name, path.stat()
            is_old = there.st_size == 0 and there.st_mtime_ns <= since
            if not is_old and (not here.exists() or here.stat().st_mtime_ns < there.st_mtime_ns):
                yield path

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))

    def _path(self, name: str) -> Path:
        return self.folder / hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        path = self._path(name)
        part = path.with_name(f".{path.name}")
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # an empty file, which a power cut may leave, means: deleted
        part.replace(path)


def _copy(path: Path, target: Path) -> None:
    """Copies a file whole, with its time: by a link where the disk allows, as none is changed."""
    target.parent.mkdir(exist_ok=True)
    part = target.with_name(f".{target.name}")
    part.unlink(missing_ok=True)
    try:
        os.link(path, part)
    except OSError:
        shutil.copy2(path, part)
    part.replace(target)
    part.unlink(missing_ok=True)  # it stays where both were the same file
