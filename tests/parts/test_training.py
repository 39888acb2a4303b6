"""The shared training loop: what it learns, and that being killed changes nothing of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from mlfolio.core.errors import UserError
from mlfolio.core.run import Run, read_exhibits
from mlfolio.parts.torch.figures import learning_curve
from mlfolio.parts.torch.training import Recipe, bucketed, shuffled, train
from mlfolio.parts.torch.world import World

# Two clouds of points, told apart by a net with dropout and batch norm; `die` kills the process.
PROGRAM = """
import os, sys
from pathlib import Path
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from mlfolio.core.run import Run
from mlfolio.parts.torch import training
from safetensors.torch import save_file

folder, die, patience = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
training.SAVE_S = 0.0
torch.manual_seed(1)
points = torch.randn(200, 4)
labels = (points.sum(1) > 0).long()
net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 2))
taken = 0

def loss(rows, rng):
    global taken
    taken += 1
    if taken == die:
        os.kill(os.getpid(), 9)
    noisy = points[rows] + torch.randn(len(rows), 4, generator=rng) / 9
    return cross_entropy(net(noisy), labels[rows])

def score():
    return -float(cross_entropy(net(points), labels)) if patience == 9 else -len(torch.randn(1))

recipe, run = training.Recipe(5, 0.02, patience=patience), Run("toy", folder)
history = training.train(net, training.shuffled(200, 20, 0), loss, recipe, run, score=score)
assert (run.earlier > 0) == (taken < 10 * len(history.losses)), run.earlier  # seconds
print(taken, history.best, len(history.losses))
save_file(net.state_dict(), folder / "net.safetensors")
"""


def run(folder: Path, die: int, patience: int) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-c", PROGRAM, str(folder), str(die), str(patience)]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "kills"), [(2, [4]), (9, [8, 12])])
def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, patience: int, kills: list[int]
) -> None:
    """Killed in the first epoch, and in the second; to the end, or until it stops early."""
    whole = run(tmp_path / "whole", 0, patience)
    steps = int(whole.stdout.split()[0])
    for die in kills:
        assert run(tmp_path / "killed", die, patience).returncode == -signal.SIGKILL, die
    ended = run(tmp_path / "killed", 0, patience)

    assert ended.stdout.split()[1:] == whole.stdout.split()[1:], ended.stderr
    assert int(ended.stdout.split()[0]) < steps
    one, other = (load_file(tmp_path / name / "net.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def toy(
    folder: Path, recipe: Recipe, score: Callable[[], float] | None = None
) -> tuple[torch.nn.Module, list[float]]:
    """A line through noisy points; returns the net and its losses."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    net, x = torch.nn.Linear(1, 1), torch.linspace(-1, 1, 64)[:, None]

    def loss(rows: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        noise = torch.randn(len(rows), 1, generator=rng) / 10
        return torch.nn.functional.mse_loss(net(x[rows]), 3 * x[rows] - 1 + noise)

    made = Run("toy", folder)
    history = train(net, shuffled(64, 16, 0), loss, recipe, made, score=score)
    learning_curve(history, made)
    return net, history.losses


def test_a_line_is_learned_and_shown(tmp_path: Path) -> None:
    net, losses = toy(tmp_path, Recipe(60, 0.1))
    assert [float(weights.detach()) for weights in net.parameters()] == pytest.approx(
        [3, -1], abs=0.1
    )
    assert losses[-1] < losses[0] / 10
    assert [exhibit.title for exhibit in read_exhibits(tmp_path)] == ["Learning curve"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 60


def test_it_stops_early_and_goes_back_to_the_best(tmp_path: Path) -> None:
    scores = iter([1.0, 2.0, 1.5, 1.0, 9.0])
    net, losses = toy(tmp_path, Recipe(5, 0.1, patience=2), lambda: next(scores))
    assert len(losses) == 4
    kept = load_file(tmp_path / "checkpoints" / "training.safetensors")
    scores = iter([1.0, 2.0, 0.0, 0.0])
    other, _ = toy(tmp_path / "other", Recipe(5, 0.1, patience=2), lambda: next(scores))
    assert torch.equal(net.weight, other.weight)  # type: ignore[arg-type]
    assert torch.equal(net.weight, kept["net/weight"])  # type: ignore[arg-type]


def copy_of_two(folder: Path, rank: int) -> list[float]:
    """Trains one of two copies whose scores differ by a rounding; returns what all were told."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'met'}", rank=rank, world_size=2,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    try:
        made = Run("toy", folder / str(rank))
        made.folder.mkdir()
        torch.manual_seed(0)
        net, x = torch.nn.Linear(1, 1), torch.linspace(-1, 1, 32)[:, None]
        asked = count(1)
        history = train(
            net,
            shuffled(32, 16, 0),
            lambda rows, rng: torch.nn.functional.mse_loss(net(x[rows]), 3 * x[rows]),
            Recipe(5, 0.1, patience=2),
            made,
            score=lambda: 0.9 + rank * 1e-7 * next(asked),  # one rises, the other never does
            world=World(rank, 2),
        )
    finally:
        dist.destroy_process_group()
    return history.scores


@pytest.mark.slow
def test_copies_that_train_together_stop_together(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        other = pool.submit(copy_of_two, tmp_path, 1)
        scores = copy_of_two(tmp_path, 0)
        assert other.result() == scores
    assert scores == pytest.approx([0.9 + 0.5e-7 * epoch for epoch in range(1, 6)], abs=1e-12)


def test_a_training_that_diverges_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="diverged"):
        toy(tmp_path, Recipe(40, 1e30))


def test_a_full_disk_does_not_stop_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("mlfolio.parts.torch.checkpoint.save_file", full)
    _, losses = toy(tmp_path, Recipe(3, 0.1))
    assert len(losses) == 3
    assert len(caplog.records) == 1


def test_a_checkpoint_of_another_recipe_or_a_damaged_one_is_left_alone(tmp_path: Path) -> None:
    first, _ = toy(tmp_path / "one", Recipe(3, 0.1))
    assert torch.equal(first.weight, toy(tmp_path / "one", Recipe(3, 0.1))[0].weight)
    path = tmp_path / "one" / "checkpoints" / "training.safetensors"
    content = path.read_bytes()
    for damaged in (b"", content[:50], b"\xff" * 8 + content[8:]):
        path.write_bytes(damaged)
        again, _ = toy(tmp_path / "one", Recipe(3, 0.1))
        assert torch.equal(first.weight, again.weight)  # type: ignore[arg-type]
    other, losses = toy(tmp_path / "one", Recipe(4, 0.1))
    assert len(losses) == 4
    assert not torch.equal(first.weight, other.weight)  # type: ignore[arg-type]


def test_batches_have_each_row_once_and_rows_of_one_length_together() -> None:
    lengths = [n % 37 for n in range(1000)]
    for batches in (shuffled(1000, 16, 0), bucketed(lengths, 16, 0)):
        rows = torch.cat(batches(3)).tolist()
        assert len(rows) == len(set(rows)) == 992
        assert [part.tolist() for part in batches(3)] == [part.tolist() for part in batches(3)]
        assert torch.cat(batches(4)).tolist() != rows
    spread = [max(lengths[i] for i in part) - min(lengths[i] for i in part) for part in batches(0)]
    assert sorted(spread)[len(spread) // 2] <= 2


def test_over_epochs_no_row_is_always_left_out() -> None:
    lengths = list(range(30))  # the last of them are the longest
    batches = bucketed(lengths, 4, 0)
    assert {int(row) for epoch in range(20) for row in torch.cat(batches(epoch))} == set(lengths)
