"""Texts and pictures as vectors, by which drift of what is no number and no category is seen."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlfolio.core.errors import MissingExtraError
from mlfolio.monitor.columns import ColumnKind

MOST: Final = 500  # of a column that are embedded, then and now: a minute would be too long
READ: Final = 1_000  # characters of a text
SIDE: Final = 32  # pixels of a picture's side, which the small backbone is used to


def spread(n: int) -> NDArray[np.int64]:
    """Which of n rows are embedded: some, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, MOST)).round().astype(np.int64))


def embed(kind: ColumnKind, values: Sequence[Any]) -> NDArray[Any]:
    """Vectors of texts, or of pictures in base64, shape (n, width).

    The same values are embedded once: a reference stays as it is from look to look.

    Raises:
        MissingExtraError: What makes them is not installed.
    """
    try:
        return _embed(
            kind, tuple(str(value)[: READ if kind == "text" else None] for value in values)
        )
    except ImportError as error:
        extra = "text" if kind == "text" else "deep"
        raise MissingExtraError(f"drift of a {kind}", extra, error.name or "") from None


@lru_cache(maxsize=8)
def _embed(kind: ColumnKind, values: tuple[str, ...]) -> NDArray[Any]:
    if kind == "text":
        from mlfolio.parts.text.embed import get_encoder

        return get_encoder().encode(values)
    from mlfolio.parts.vision.backbone import SMALL, get_backbone
    from mlfolio.parts.vision.nets import features_of
    from mlfolio.parts.vision.reading import read_rgb, squash

    pictures = [squash(read_rgb(base64.b64decode(value), SIDE), SIDE) for value in values]
    return features_of(get_backbone(SMALL, 0), np.stack(pictures))
