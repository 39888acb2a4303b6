"""What reads a review: one of the nets, with all that it needs to be asked alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file
from torch import Tensor, nn

from mlfolio.core.errors import FileError
from mlfolio.core.run import DAMAGED

Floats = NDArray[np.float64]

EXPLAINED = 400  # words of a review whose shares are told
STEPS = 16  # of the path that shares are summed along


Net = TypeVar("Net", bound=nn.Module)


class Stored(BaseModel):
    """What a stored model knows beside its weights: a JSON file, every value of its own type."""

    model_config = ConfigDict(strict=True, frozen=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what `write_json` wrote.

        Raises:
            FileError: It is not there, or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise FileError(f"{path} is damaged: {error}", DAMAGED) from None


def load_net(make: Callable[[], Net], path: Path) -> Net:
    """A net with stored weights, ready to answer.

    Args:
        make: Makes it with other weights.
        path: A file of safetensors.

    Raises:
        FileError: The net cannot be made, or these are no weights of it.
    """
    try:
        with torch.device("meta"):  # without memory: damaged sizes may ask for a lot of it
            wanted = make().state_dict()
        weights = load_file(path)
        _require_weights(wanted, weights)
        net = make()
        net.load_state_dict(weights)
    except Exception as error:  # those of torch, safetensors and transformers have no common base
        raise FileError(f"{path} holds no weights of the net: {error!s:.300}", DAMAGED) from None
    return net.eval()


def _require_weights(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Sees that tensors are those of a net, and numbers that it can answer with.

    Raises:
        ValueError: They are not.
    """
    kinds, known = (
        {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()}
        for tensors in (found, wanted)
    )
    if strange := sorted(name for name, _ in kinds.items() ^ known.items()):
        raise ValueError(f"{strange[0]} is not the net's")
    if broken := [name for name, each in found.items() if not each.isfinite().all()]:
        raise ValueError(f"{broken[0]} has values that are no numbers")
    if found["temperature"] <= 0:
        raise ValueError("its temperature is not above 0")


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
        """What each word adds to the log-odds, in the text's order, and what they are without any.

        Integrated gradients (Sundararajan et al., 2017) from a text whose words have embeddings of
        nought: together they are the whole's log-odds, but for the error of 16 steps.
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
