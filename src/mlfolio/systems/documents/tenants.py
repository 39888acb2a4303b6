"""The collections of tenants: each in a folder of its own beside the model's, open while asked.

A folder is called by the sha256 of its tenant's name: no name is a path, and names that some disks
take for one (ACME, acme) are two.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from mlfolio.core.errors import MlfolioError
from mlfolio.core.run import write_json
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.stores.lance import LOCK, LanceIndex
from mlfolio.parts.retrieval.stores.opening import drop_index, new_index, open_index, writing_in
from mlfolio.parts.retrieval.uploads import Uploads

from .collection import INDEX, UPLOADS

if TYPE_CHECKING:
    from .model import DocumentsModel

TENANTS = "tenants"
MADE = "tenant.json"  # in a folder: whose it is; without it there is no collection
OPEN = 32  # collections that are held open


class _Open(NamedTuple):
    """An open collection: when its folder was made, and who answers from it."""

    made: int
    model: DocumentsModel


class TenantCollections:
    """The collections of a model's tenants, of which those asked lately are open.

    Args:
        folder: Theirs; it is made with the first of them.
        over: Opens what answers from one of its folders; not needed for copying.
        most: How many are held open.
    """

    def __init__(
        self, folder: Path, over: Callable[[Path], DocumentsModel] | None = None, most: int = OPEN
    ) -> None:
        self.folder = folder
        self._over = over
        self._most = most
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        """The names of the tenants that have a collection."""
        for path in sorted(self.folder.glob(f"*/{MADE}")):
            yield json.loads(path.read_text("utf-8"))["tenant"]

    def get(self, tenant: str) -> DocumentsModel | None:
        """What answers a tenant; None where it has no collection."""
        made = self._made(tenant)
        with self._lock:
            known = self._open.pop(tenant, None)
            if made is None or self._over is None:
                return None
            if known is not None and known.made == made:  # else it was erased and made anew
                self._open[tenant] = known
                return known.model
        model = self._over(self._home(tenant))  # it may take a while: others are not held up
        with self._lock:
            self._open[tenant] = _Open(made, model)
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return model

    def make(self, tenant: str) -> DocumentsModel:
        """What answers a tenant, made if there is none.

        Raises:
            MlfolioError: It was erased at the same moment.
        """
        home = self._home(tenant)
        self.folder.mkdir(exist_ok=True)
        with FileLock(self.folder / LOCK):
            if self._made(tenant) is None:
                shutil.rmtree(home, ignore_errors=True)  # what a broken erasing has left
                home.mkdir()
                write_json(home / MADE, {"tenant": tenant})
        model = self.get(tenant)
        if model is None:
            raise MlfolioError(f"the tenant {tenant} was removed just now")
        return model

    def take_over(self, former: TenantCollections, since: int) -> None:
        """As `Collection.take_over`, for each tenant of a former model."""
        for tenant in former:
            theirs = Uploads(former._home(tenant) / UPLOADS)
            if Uploads(self._home(tenant) / UPLOADS).lacks(theirs, since):
                self.make(tenant).collection.take_over(theirs, since)

    def copy_to(self, folder: Path, dimension: int | None) -> None:
        """Copies all collections, by hard links where the disk allows.

        Args:
            folder: Where to; it is made if there is something to copy.
            dimension: Length of the vectors; None to leave the indexes out, which are then made
                from the uploads when they are opened.
        """
        for tenant in self:
            home, target = self._home(tenant), folder / self._home(tenant).name
            target.mkdir(parents=True)
            if dimension is not None:
                index = opened(home / INDEX, dimension)
                with index.writing():  # nothing is deleted between the one and the other
                    index.copy_to(target / INDEX)
                    Uploads(home / UPLOADS).copy_to(target / UPLOADS)
            else:
                Uploads(home / UPLOADS).copy_to(target / UPLOADS)
            shutil.copy2(home / MADE, target / MADE)

    def _home(self, tenant: str) -> Path:
        return self.folder / _digest(tenant)

    def _made(self, tenant: str) -> int | None:
        """When the collection of a tenant was made, in ns since 1970; None if it was not."""
        try:
            return (self._home(tenant) / MADE).stat().st_mtime_ns
        except FileNotFoundError:
            return None


def opened(folder: Path, dimension: int) -> Index:
    """The index of a folder, made in the store that is wanted if there is none."""
    if folder.exists():
        return open_index(folder, dimension)
    with FileLock(folder.parent / LOCK):  # in a server two processes would make two
        return (open_index if folder.exists() else new_index)(folder, dimension)


@lru_cache(maxsize=4)
def empty_index(dimension: int) -> Index:
    """An index of nothing, for tenants without documents; nobody may write to it."""
    folder = Path(tempfile.mkdtemp(prefix="mlfolio-nothing-"))
    index = LanceIndex(folder / INDEX, dimension)
    weakref.finalize(index, shutil.rmtree, folder, ignore_errors=True)
    return index


def erase(runs: Path, tenant: str) -> bool:
    """Erases every collection of a tenant below a folder, also of a run that is not done yet.

    Raises:
        StoreError: One is in a server that cannot be reached.
    """
    homes = list(runs.rglob(f"{TENANTS}/{_digest(tenant)}"))
    for home in homes:
        # Behind whoever makes it, and behind whoever is just adding to it.
        with FileLock(home.parent / LOCK), writing_in(home / INDEX):
            drop_index(home / INDEX)  # first: a server that is away must not be forgotten
            (home / MADE).unlink(missing_ok=True)
            shutil.rmtree(home)
    return bool(homes)


def _digest(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()
