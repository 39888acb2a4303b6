"""What reads a review: one of the nets, with all that it needs to be asked alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mlfolio.core.errors import FileError

Floats = NDArray[np.float64]

EXPLAINED = 400  # words of a review whose shares are told
STEPS = 16  # of the path that shares are summed along


class Share(NamedTuple):
    """A word of a text and what it adds to the log-odds of positive."""

    start: int
    end: int
    effect: float


class Judged(NamedTuple):
    """What a reader makes of a text.

    Attributes:
        odds: Calibrated log-odds of being positive.
        is_read: Whether there is anything in it that the reader can read; marks alone say nothing.
        warnings: What makes an answer less sure than its number says.
    """

    odds: float
    is_read: bool
    warnings: list[str]


class Reader(Protocol):
    """Reads texts.

    Attributes:
        kind: Which of them it is, as `load_reader` knows it.
    """

    kind: ClassVar[str]

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        """What it makes of each text, which is gone through once."""
        ...

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """Calibrated log-odds of being positive, shape (n,)."""
        return np.array([found.odds for found in self.judge(texts)])

    def shares(self, text: str) -> tuple[list[Share], float]:
        """What each word adds to the log-odds, in the text's order, and what is left of them.

        Integrated gradients (Sundararajan et al., 2017) from a text whose words have embeddings of
        nought, in 16 steps. What is left is what the net says before it reads, and what words say
        whose shares are not told.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes all of it, without pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        ...


def load_reader(kind: str, folder: Path) -> Reader:
    """The reader that a model was stored with.

    Raises:
        FileError: There is no such kind.
    """
    if kind == "lstm":
        from .lstm import LstmReader

        return LstmReader.load(folder)
    if kind == "transformer":
        from .transformer import TransformerReader

        return TransformerReader.load(folder)
    raise FileError(f"{folder} has a reader of the kind {kind!r}", "train the model anew")
