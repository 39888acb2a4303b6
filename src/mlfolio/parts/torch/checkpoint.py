"""What a training keeps on disk, so that a killed one can be gone on with.

One file, written whole or not at all, without pickle: tensors as safetensors, and in its header
what else there is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import mlfolio

Tensors = dict[str, Tensor]
LOG = logging.getLogger(__name__)


@dataclass
class History:
    """What became of a training.

    Attributes:
        losses: Mean loss of each epoch.
        scores: Of the validation part after each epoch; empty without one.
        step: How many steps were taken.
        running: Sum of the losses of the steps since the last epoch's end.
        best: The epoch, from 0, whose weights the net has at the end.
        finished: Whether nothing is left to be done.
        seconds: That were spent, those of an interrupted run before it too.
    """

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    step: int = 0
    running: float = 0.0
    best: int = -1
    finished: bool = False
    seconds: float = 0.0


class Checkpoint:
    """The file of one training.

    Args:
        path: Where it is; its folder is made.
        net: What is trained.
        optimizer: By what.
        circumstances: All that decides the outcome, as a text; a checkpoint of others is not gone
            on with.

    Attributes:
        saved: When it was written last, on the monotonic clock.
    """

    def __init__(
        self, path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, circumstances: str
    ) -> None:
        self._path = path
        self._net = net
        self._optimizer = optimizer
        self._circumstances = hashlib.sha256(
            "\n".join([circumstances, _machine(), _code(), _digest(net)]).encode()
        ).hexdigest()
        self._is_writable = True
        self._best: Tensors = {}
        self.saved = time.monotonic()

    def load(self) -> History:
        """Puts weights and averages back as they were; the beginning where there is no file."""
        try:
            with safe_open(self._path, "pt") as file:
                header = file.metadata() or {}
                if header.get("circumstances") != self._circumstances:
                    return History()
                history = TypeAdapter(History).validate_json(header["history"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValidationError, KeyError):
            return History()
        self._best = _part(tensors, "best")
        self._net.load_state_dict(_part(tensors, "net"))
        averages = self._optimizer.state_dict()
        averages["state"] = {}
        for name, tensor in _part(tensors, "optimizer").items():
            number, _, what = name.partition(".")
            averages["state"].setdefault(int(number), {})[what] = tensor
        self._optimizer.load_state_dict(averages)
        return history

    def save(self, history: History, is_best: bool = False) -> None:
        """Writes all that is needed to go on; the best weights so far are kept beside."""
        net = _copy(self._net.state_dict())
        if is_best:
            self._best = _copy(net)  # the format shares no memory
        state = self._optimizer.state_dict()["state"]
        averages = {
            f"{number}.{what}": value for number, each in state.items()
            for what, value in each.items()
        }  # fmt: skip
        self._write(history, net=net, best=self._best, optimizer=_copy(averages))
        self.saved = time.monotonic()

    def finish(self, history: History) -> None:
        """Gives the net its best weights; a run that is killed later trains nothing again."""
        if self._best:
            self._net.load_state_dict(self._best)
        history.finished = True
        self._write(history, net=_copy(self._net.state_dict()))

    def _write(self, history: History, **parts: Tensors) -> None:
        tensors = {f"{part}/{name}": t for part, each in parts.items() for name, t in each.items()}
        header = {
            "circumstances": self._circumstances,
            "history": TypeAdapter(History).dump_json(history).decode(),
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, temporary, header)
            temporary.replace(self._path)
        except (OSError, SafetensorError) as error:  # no reason to stop what goes well
            if self._is_writable:
                LOG.warning("no checkpoint can be written, the training goes on: %s", error)
            self._is_writable = False
        finally:
            temporary.unlink(missing_ok=True)


def _machine() -> str:
    """What else the bits depend on."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {cuda}"


@cache
def _code() -> str:
    """A hash of this package: another program would go on to something else."""
    digest = hashlib.sha256()
    for path in sorted(Path(mlfolio.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _digest(net: nn.Module) -> str:
    """A hash of the net's names, shapes and weights, untrained."""
    digest = hashlib.sha256()
    for name, tensor in _copy(net.state_dict()).items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _part(tensors: Tensors, part: str) -> Tensors:
    return {
        name.removeprefix(f"{part}/"): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{part}/")
    }


def _copy(tensors: dict[str, Any]) -> Tensors:
    """Copies on the CPU that share no memory, as the format wants them."""
    return {name: each.detach().cpu().clone().contiguous() for name, each in tensors.items()}
