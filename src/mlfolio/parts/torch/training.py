"""One loop for every net. It reads from top to bottom, and a killed one goes on to the same bits.

The chance of a step (dropout, augmentation) comes from a seed of its own and the learning rate is a
function of the step, so a checkpoint is weights, the optimizer's averages and the step's number.
The bits are the same on the same machine with the same number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from mlfolio.core.errors import UserError
from mlfolio.core.run import Run

from .checkpoint import Checkpoint, History
from .device import autocast
from .world import World

SAVE_S = 60.0  # between checkpoints within an epoch
POOL = 50  # batches whose rows are sorted by length together
ALONE = World()


@dataclass(frozen=True)
class Recipe:
    """What decides a training, besides the net, the data and the seed.

    Attributes:
        epochs: Passes over the data.
        learning_rate: Its peak.
        weight_decay: Of matrices and kernels; biases and norms are left alone.
        warm_up: Share of the steps in which the rate rises to its peak; then it falls to nothing
            along a cosine (Smith and Topin, 2019, Super-convergence).
        clip: Greatest norm of a gradient.
        betas: Of Adam's averages; short trainings want a shorter memory, (0.9, 0.99).
        patience: Epochs without a better score after which it stops and goes back to the best
            one. None: it never does, and the last one counts.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = math.inf
    betas: tuple[float, float] = (0.9, 0.999)
    patience: int | None = None

    def rate(self, share: float) -> float:
        """The learning rate after a share of all steps."""
        if share < self.warm_up:
            return self.learning_rate * share / self.warm_up
        rest = (share - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * (1 + math.cos(math.pi * rest)) / 2


def shuffled(n: int, size: int, seed: int) -> Callable[[int], list[Tensor]]:
    """Of each epoch the rows of its batches, each row once; what fills no batch is left out."""

    def batches(epoch: int) -> list[Tensor]:
        rows = torch.randperm(n, generator=seeded(seed, epoch))
        return list(torch.split(rows[: n // size * size], size))

    return batches


def bucketed(lengths: Sequence[int], size: int, seed: int) -> Callable[[int], list[Tensor]]:
    """The same, with rows of about the same length together: less is padded."""
    known = torch.as_tensor(lengths)

    def batches(epoch: int) -> list[Tensor]:
        rng = seeded(seed, epoch)
        rows = torch.randperm(len(known), generator=rng)[: len(known) // size * size]
        pools = torch.split(rows, POOL * size)  # of rows cut already: sorted, the longest would go
        ordered = torch.cat([pool[known[pool].argsort(stable=True)] for pool in pools])
        parts = torch.split(ordered, size)
        return [parts[place] for place in torch.randperm(len(parts), generator=rng).tolist()]

    return batches


def train(
    net: nn.Module,
    batches: Callable[[int], list[Tensor]],
    loss: Callable[[Tensor, Generator], Tensor],
    recipe: Recipe,
    run: Run,
    name: str = "training",
    score: Callable[[], float] | None = None,
    world: World = ALONE,
) -> History:
    """Trains a net in place; which epoch's weights it has at the end, `patience` says.

    What a killed run of the same name has kept (see `Run.take_over`) is gone on with.

    Args:
        net: In any mode and on any device; it comes back ready to answer.
        batches: The rows of each step of an epoch, equally many in each (see `shuffled`).
        loss: Of some rows, a scalar; what is random in it draws from the generator, or from torch.
        recipe: How.
        run: Whose seed, progress bar and folder it is.
        name: What the bar and the log call it; each of a run needs its own.
        score: Of the net on a validation part, higher is better.
        world: Which of several copies that train together this one is.
    """
    device = next(net.parameters()).device
    optimizer = make_optimizer(net, recipe)
    rows = batches(0)
    steps_each = len(rows)
    facts = f"{recipe}, seed {run.seed}, {device}, {[part.tolist() for part in rows]}"
    kept = Checkpoint(run.checkpoint(name), net, optimizer, facts)
    history = kept.load()
    if history.step:
        run.note(f"The training of the {name} went on after step {history.step:,}.")
        run.earlier += history.seconds
    total, started = recipe.epochs * steps_each, time.monotonic() - history.seconds
    left = range(history.step, history.step if _is_over(history, recipe) else total)
    order: list[Tensor] = []
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        for step in run.progress(left, name, total=total, done=history.step):
            epoch, place = divmod(step, steps_each)
            if not order or place == 0:
                order = batches(epoch)
                net.train()
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate((step + 0.5) / total)
            share = world.share(order[place])
            rng = seeded(run.seed, world.number(step))
            torch.manual_seed(rng.initial_seed())
            with autocast(device):
                value = loss(share, rng)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            value = world.average(value, net, len(share) / len(order[place]))
            if recipe.clip < math.inf:
                nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            optimizer.step()
            history.step = step + 1
            history.running += value.item()
            history.seconds = time.monotonic() - started
            if place == steps_each - 1:
                world.agree(net)
                _end_epoch(history, steps_each, net, score, recipe, run, name, world)
                kept.save(history, is_best=recipe.patience is not None and history.best == epoch)
                if _is_over(history, recipe):
                    break
            elif time.monotonic() - kept.saved > SAVE_S:
                kept.save(history)
    kept.finish(history)
    net.eval()
    return history


def _is_over(history: History, recipe: Recipe) -> bool:
    without_better = len(history.losses) - 1 - history.best
    return history.finished or (recipe.patience is not None and without_better >= recipe.patience)


def _end_epoch(
    history: History, steps: int, net: nn.Module, score: Callable[[], float] | None,
    recipe: Recipe, run: Run, name: str, world: World,
) -> None:  # fmt: skip
    """Writes down how an epoch went, and whether it is the best so far."""
    history.losses.append(history.running / steps)
    history.running = 0.0
    if not math.isfinite(history.losses[-1]):
        raise UserError(
            f"the training of the {name} diverged: its loss is no number", "a lower learning_rate"
        )
    epoch, measured = len(history.losses) - 1, {f"{name} loss": history.losses[-1]}
    if score is not None:
        with evaluating(net):
            history.scores.append(world.mean(score()))
        measured[f"{name} score"] = history.scores[-1]
    before = max(history.scores[:-1], default=-math.inf)
    if score is None or recipe.patience is None or history.scores[-1] > before:
        history.best = epoch
    run.log(epoch + 1, **measured)


def seeded(seed: int, number: int) -> Generator:
    """The generator of one step or epoch: any of them can be gone through without the others."""
    return Generator().manual_seed((seed * 1_000_003 + number) % 2**63)


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW on what is to be trained; weight decay is for matrices and kernels only."""
    trained = [weights for weights in net.parameters() if weights.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, recipe.learning_rate, recipe.betas)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """No dropout and no gradients for a while."""
    was = net.training
    net.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        net.train(was)
