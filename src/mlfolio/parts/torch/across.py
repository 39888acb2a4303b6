"""The training loop on several machines of a Ray cluster at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from safetensors.torch import load, save
from torch import Generator, Tensor, nn

from mlfolio.core.errors import MlfolioError
from mlfolio.core.run import Run
from mlfolio.parts.cluster import RETRIES, Cluster, telling

from .checkpoint import History
from .training import Recipe, train
from .world import World

LEAST_SHARE: Final = 8  # rows of a step: with fewer, batch norm and the messages are not worth it

Trained = tuple[History, bytes]  # the net's tensors as safetensors: Ray takes none as they are


def train_across(
    net: nn.Module,
    batches: Callable[[int], list[Tensor]],
    loss: Callable[[Tensor, Generator], Tensor],
    recipe: Recipe,
    run: Run,
    name: str = "training",
    score: Callable[[], float] | None = None,
) -> History:
    """`train`, and on a cluster of several machines each of them has a share of each step's rows.

    On the CPU, and for losses that are a mean over rows, none of which needs the others. With
    nothing random in the loss and no batch norm the net is that of one machine, up to the order in
    which numbers are added. Else it is another one, as good: each share is augmented, dropped out
    and normalised by itself. A training that loses a machine begins again, three times at most.

    Args:
        net: As for `train`; so are the others.
        batches: The rows of each step, of all machines together.
        loss: Of some rows; it goes to other machines, with the data that it holds.
        recipe: How.
        run: Whose seed, log and folder it is, and on whose workers it is trained.
        name: What the log calls it.
        score: Of the net on a validation part; each machine asks for it, and their mean counts.

    Raises:
        MlfolioError: The training diverged, or the cluster lost it.
    """
    count, cores = _machines(run, len(batches(0)[0]))
    if count == 1 or next(net.parameters()).device.type != "cpu":
        return train(net, batches, loss, recipe, run, name, score)
    copy = partial(_train_copy, net, batches, loss, recipe, run.seed, name, score, cores)
    history, weights = _on_each(copy, count, cores)
    net.load_state_dict(load(weights))
    net.eval()
    for epoch, value in enumerate(history.losses):
        scores = {f"{name} score": history.scores[epoch]} if history.scores else {}
        run.log(epoch + 1, **{f"{name} loss": value}, **scores)
    run.note(f"The {name} was trained on {count} machines at once, {cores} cores each.")
    return history


def _machines(run: Run, rows: int) -> tuple[int, int]:
    """How many machines share steps of so many rows, and the cores that each of them has."""
    if not isinstance(run.workers, Cluster):
        return 1, 1
    cores = [int(node["Resources"].get("CPU", 0)) for node in run.workers.machines]
    able = [count for count in cores if count]
    return max(1, min(len(able), rows // LEAST_SHARE)), min(able, default=1)


def _train_copy(
    net: nn.Module, batches: Callable[[int], list[Tensor]],
    loss: Callable[[Tensor, Generator], Tensor], recipe: Recipe, seed: int, name: str,
    score: Callable[[], float] | None, cores: int,
) -> Trained | MlfolioError:  # fmt: skip
    """What each machine does. An error of ours is an answer: Ray would begin again after it."""
    from ray.train import get_context

    torch.set_num_threads(cores)
    world = World(get_context().get_world_rank(), get_context().get_world_size())
    with TemporaryDirectory() as folder:
        run = Run(name, Path(folder), seed)
        try:
            history = train(net, batches, loss, recipe, run, name, score, world)
        except MlfolioError as error:
            return error
    return history, save({name: each.contiguous() for name, each in net.state_dict().items()})


def _on_each(copy: Callable[[], Trained | MlfolioError], count: int, cores: int) -> Trained:
    """Has machines train together; what the first of them has in the end."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    with TemporaryDirectory() as folder:  # Ray's own notes
        trainer = TorchTrainer(
            copy,
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(
                num_workers=count,
                resources_per_worker={"CPU": cores},
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(
                storage_path=folder, failure_config=FailureConfig(max_failures=RETRIES)
            ),
        )
        try:
            with telling(), _interruptible():
                found: Any = trainer.fit().return_value
        except TrainingFailedError as error:
            raise MlfolioError(
                f"{count} machines could not train together: {_last_line(error)}",
                "look at them with ray status; or train here: --on local",
            ) from error
    if isinstance(found, MlfolioError):
        raise found
    history, weights = found
    return history, weights


def _last_line(error: Exception) -> str:
    """What is said after all traces."""
    return str(error).strip().splitlines()[-1]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C as everywhere else: Ray would end the process, as if all were well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
