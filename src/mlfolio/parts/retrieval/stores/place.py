"""Where an index lies: the address in `MLFOLIO_STORE`, and what a model's folder remembers.

An address may hold a password, so it is in the environment alone. A folder remembers the kind of
store and the name that the index has there; without that file it is the index itself (LanceDB's).
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlfolio.core.errors import FileError, MlfolioError, UserError
from mlfolio.core.run import write_json

STORE = "MLFOLIO_STORE"
EXAMPLE = "postgresql://user:password@host/database"
Kind = Literal["lancedb", "postgresql"]
_FILE = "store.json"
_SCHEMES: dict[str, Kind] = {"": "lancedb", "postgresql": "postgresql", "postgres": "postgresql"}


class StoreError(MlfolioError):
    """A store that cannot be reached, or that does not hold what it should."""


def gone(index: object) -> StoreError:
    """What they are told who hold an index open that somebody has erased meanwhile."""
    return StoreError(
        f"the index {index} is not there any more: it was erased meanwhile",
        "whatever is added anew makes a new one; or mlfolio run documents",
    )


class Place(BaseModel):
    """Which store an index is in, and what it is called there.

    Attributes:
        kind: Of store.
        name: Of the schema in PostgreSQL.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["postgresql"]
    name: str = Field(pattern=r"^mlfolio_[0-9a-f]{16}$")

    @classmethod
    def of(cls, folder: Path) -> Place | None:
        """What a folder remembers; None where it is the index itself.

        Raises:
            FileError: The file is there and cannot be read.
        """
        path = folder / _FILE
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_text("utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise FileError(f"{path} cannot be read: {error}", "mlfolio run documents") from None

    @classmethod
    def new(cls) -> Place:
        """One that no other index has."""
        return cls(kind="postgresql", name=f"mlfolio_{uuid.uuid4().hex[:16]}")

    def keep(self, folder: Path) -> None:
        """Writes it into a folder, which is made if there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_json(folder / _FILE, self)
        except OSError:  # a full disk; an empty folder would be taken for an index in files
            with suppress(OSError):
                folder.rmdir()
            raise


def wanted_kind() -> Kind:
    """The kind of store that `MLFOLIO_STORE` names.

    Raises:
        UserError: There is no such kind.
    """
    scheme, colon, _ = os.environ.get(STORE, "").partition("://")
    if scheme not in _SCHEMES or (scheme and not colon):
        said = f"{scheme}://..." if colon else "no address"  # the rest may hold a password
        raise UserError(
            f"{STORE} names no store ({said})",
            f"{STORE}={EXAMPLE}; or unset it",
        )
    return _SCHEMES[scheme]


def kind_of(folder: Path) -> Kind:
    """The kind of store that the index of a folder is in.

    Raises:
        FileError: What the folder remembers cannot be read.
    """
    place = Place.of(folder)
    return place.kind if place else "lancedb"


def address(place: Place | None = None) -> str:
    """The address of the server that `MLFOLIO_STORE` names.

    Args:
        place: The index that is looked for there.

    Raises:
        StoreError: `MLFOLIO_STORE` names no server.
        UserError: There is no such kind of store.
    """
    if wanted_kind() == "lancedb":
        name = f"the index {place.name}" if place else "the index"
        raise StoreError(
            f"{name} is in PostgreSQL, and {STORE} does not say where",
            f"{STORE}={EXAMPLE}, the database that it was made in",
        )
    return os.environ[STORE]
