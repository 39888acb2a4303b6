"""A run's index: begun from the champion's where that was made in the same way, else anew."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from importlib.metadata import version
from pathlib import Path
from typing import Final

from mlfolio.core.run import Run
from mlfolio.parts.retrieval.chunk import Chunking
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.parse import REVISION
from mlfolio.parts.retrieval.stores.opening import discard, new_index, open_index
from mlfolio.parts.retrieval.stores.place import StoreError, kind_of, wanted_kind
from mlfolio.parts.retrieval.sync import sync
from mlfolio.parts.retrieval.uploads import Uploads
from mlfolio.parts.text.embed import Encoder

from .collection import INDEX, UPLOADS
from .data import Corpus
from .model import EXAMPLES, DocumentsModel
from .settings import Settings, stored_settings
from .tenants import TENANTS, TenantCollections

_MADE_WITH: Final = ("mlfolio", "lxml", "markdown-it-py", "nltk", "pypdfium2", "python-docx",
                     "tokenizers", "torch", "transformers")  # fmt: skip


def new_working(run: Run) -> Path:
    """A new folder for what a run works with."""
    return Path(tempfile.mkdtemp(prefix=".index-", dir=run.folder))


def index_documents(
    settings: Settings, encoder: Encoder, working: Path, data: Corpus, run: Run
) -> DocumentsModel:
    """The model over an index of all documents, in a folder that goes with it.

    Documents that have not changed since the champion are not embedded again.

    Args:
        settings: How documents are cut, and how they will be asked.
        encoder: That embeds them.
        working: As `new_working` makes it.
        data: Whose documents.
        run: Whose.
    """
    folder, begun = working / INDEX, time.time_ns()
    recipe = _recipe(encoder, settings.cutting)
    index = _start_index(run, folder, recipe, encoder.dimension)
    # The stored model is a copy. This one goes with its object, also after a failure: what is
    # later erased from the stored index must not live on here.
    weakref.finalize(index, remove, working)
    done = sync(index, data.documents, encoder, settings.cutting, run.progress)
    counts = {"added": done.added, "replaced": done.replaced, "removed": done.removed,
              "unreadable": done.unreadable}  # fmt: skip
    run.note(
        f"The index holds {len(index):,} passages of {len(index.documents()):,} documents ("
        + ", ".join(f"{len(names):,} {word}" for word, names in counts.items())
        + ")."
    )
    _keep_uploads(run, working / UPLOADS)
    examples = [question.text for question in data.train if question.relevant][:EXAMPLES]
    made = {"examples": examples, "recipe": recipe, "begun": begun}
    return DocumentsModel(index, settings.model_copy(update=made), encoder)


def keep_tenants(run: Run, model: DocumentsModel) -> None:
    """Copies what the champion's tenants have uploaded.

    Unlike the other uploads it is indexed here: it is in no score, and `load` opens no tenant's.
    """
    if run.previous is None:
        return
    stored = stored_settings(run.previous)
    same = stored is not None and stored.recipe == model.settings.recipe
    dimension = model.encoder.dimension if same else None
    TenantCollections(run.previous / TENANTS).copy_to(model.tenants.folder, dimension)
    tenants = list(model.tenants)
    for tenant in run.progress(tenants, "tenants", len(tenants)):
        model.of(tenant)


def remove(working: Path) -> None:
    """Takes away what a run worked with, in the store too."""
    discard(working / INDEX)
    shutil.rmtree(working, ignore_errors=True)


def _recipe(encoder: Encoder, chunking: Chunking) -> str:
    """What an index depends on beside the files: versions of the readers, encoder, cutting."""
    versions = [f"{name} {version(name)}" for name in _MADE_WITH]
    return "; ".join([*versions, f"readers {REVISION}", encoder.recipe(), str(chunking)])


def _start_index(run: Run, folder: Path, recipe: str, dimension: int) -> Index:
    """A copy of the champion's index if that was made in the same way; else an empty one."""
    stored = stored_settings(run.previous) if run.previous else None
    if run.previous is not None and stored is not None and stored.recipe == recipe:
        former = run.previous / INDEX
        try:
            if former.is_dir() and kind_of(former) == wanted_kind():
                open_index(former, dimension).copy_to(folder)
                return open_index(folder, dimension)
        except StoreError as error:
            run.note(f"All is embedded anew: {error.message}.")
    return new_index(folder, dimension)


def _keep_uploads(run: Run, folder: Path) -> None:
    """Copies what was uploaded to the champion.

    It is not indexed here, because the scores are about the user's folder; `load` does it.
    """
    if run.previous is None:
        return
    Uploads(run.previous / UPLOADS).copy_to(folder)
    if count := len(list(Uploads(folder))):
        run.note(
            f"{count:,} uploaded documents are kept: they will be in the answers, but are not in "
            "these scores."
        )
