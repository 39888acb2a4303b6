"""Where the data of a run come from: the user's own, the official set, or the embedded sample."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlfolio.core.errors import FileError

SourceKind = Literal["own", "official", "sample"]


class Source(BaseModel):
    """One of three sources of data, never confused.

    Attributes:
        kind: `own` (the user's path), `official` (the published set) or `sample` (embedded).
        path: Where the user's own data lie; None for the other kinds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SourceKind
    path: Path | None = None

    @classmethod
    def own(cls, path: Path | str) -> Source:
        """The user's own file or folder.

        Raises:
            FileError: There is nothing at `path`.
        """
        resolved = Path(path).expanduser()
        if path == "" or not resolved.exists():  # Path("") would be the working folder
            raise FileError(
                f"there is no file or folder {str(path)!r}",
                "check the path; the words 'sample' and 'official' name the other two sources",
            )
        return cls(kind="own", path=resolved.resolve())

    @property
    def is_sample(self) -> bool:
        """Whether scores on it say nothing about the real task."""
        return self.kind == "sample"

    def __str__(self) -> str:
        """What screens and reports print: SAMPLE is shouted so that nobody overlooks it."""
        if self.kind == "own":
            return f"own data ({self.path})"
        return "SAMPLE" if self.is_sample else "official data"


SAMPLE = Source(kind="sample")
OFFICIAL = Source(kind="official")
