"""What a stored model is read back from: facts in JSON, weights in safetensors, both checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file
from torch import Tensor, nn

from mlfolio.core.errors import FileError
from mlfolio.core.run import DAMAGED

Net = TypeVar("Net", bound=nn.Module)


class Stored(BaseModel):
    """What a stored model knows beside its weights: a JSON file, every value of its own type."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

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
    except (ImportError, MemoryError):  # nothing is damaged
        raise
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
    if "temperature" in found and found["temperature"] <= 0:
        raise ValueError("its temperature is not above 0")
