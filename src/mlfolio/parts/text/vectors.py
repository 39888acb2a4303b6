"""What index and search need of an encoder: no torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Encodes(Protocol):
    """What the index and the search need of an encoder; tests bring a small one."""

    name: str
    dimension: int
    max_tokens: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special ones and without a limit."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (n, dimension)."""
        ...

    def encode_query(self, text: str) -> Vectors:
        """The unit vector of one short text, shape (dimension,)."""
        ...
