"""The net and how it learns: an LSTM that reads a window of days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import huber_loss

from mlfolio.core.run import Run
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.device import best_device
from mlfolio.parts.torch.threads import one_thread
from mlfolio.parts.torch.training import Recipe, evaluating, shuffled, train

from .bars import Floats
from .windows import Panel, Rows, Scaler

BATCH, STEPS = 256, 50  # windows of a step at most; fewer for more steps of a pass over few
ANSWERED = 2048  # windows at once


class WindowNet(nn.Module):
    """Maps windows of days to the next move, in units of volatility.

    The move is a small part of what happens, so the head begins at nought: the untrained net says
    "as today", and learns from there.

    Args:
        features: Numbers of a day.
        hidden: Width of the LSTM (Hochreiter and Schmidhuber, 1997).
        dropout: Share of the last state that training leaves out.
    """

    def __init__(self, features: int, hidden: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """Moves, shape (n,), of windows, shape (n, days, features)."""
        states, _ = self.lstm(windows)
        moves: Tensor = self.head(self.dropout(states[:, -1])).squeeze(1).float()
        return moves


@dataclass(frozen=True)
class Forecaster:
    """A trained net, with the scaling and the length of its windows.

    Attributes:
        net: In evaluation mode.
        scaler: Of its features.
        window: Days that it reads.
    """

    net: WindowNet
    scaler: Scaler
    window: int

    def moves(self, features: Floats, ends: Rows) -> Floats:
        """The next move after each of some days, in units of volatility, shape (n,).

        Args:
            features: Of each day, shape (days, features).
            ends: Places of the days in question, each with a whole window before, shape (n,).
        """
        device = self.net.head.weight.device
        days = torch.from_numpy(self.scaler(features))
        found = np.zeros(len(ends))
        with evaluating(self.net), one_thread():
            for at in range(0, len(ends), ANSWERED):
                part = _windows(days, torch.from_numpy(ends[at : at + ANSWERED]), self.window)
                found[at : at + ANSWERED] = self.net(part.to(device)).double().cpu().numpy()
        return found


def fit_net(
    panel: Panel, seen: Rows, unseen: Rows, window: int, hidden: int, recipe: Recipe, run: Run,
    name: str,
) -> tuple[Forecaster, History]:  # fmt: skip
    """Trains a net on some rows and goes back to the epoch that was best on others.

    Args:
        panel: All rows.
        seen: Those that are learned from.
        unseen: Those that say when to stop.
        window: Days that the net reads.
        hidden: Its width.
        recipe: How it learns.
        run: Whose.
        name: What the training is called; each of a run needs its own.
    """
    device = best_device()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        net = WindowNet(panel.features.shape[1], hidden).to(device)
    forecaster = Forecaster(net, Scaler.of(panel.features[panel.ends[seen]]), window)
    days = torch.from_numpy(forecaster.scaler(panel.features))
    ends = torch.from_numpy(panel.ends[seen])
    moves = torch.from_numpy(panel.moves).float()
    wanted = moves[torch.from_numpy(seen)].to(device)

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        # Huber's loss: one crash does not outweigh a year of ordinary days.
        return huber_loss(
            net(_windows(days, ends[rows], window).to(device)), wanted[rows.to(device)]
        )

    def score() -> float:
        said = torch.from_numpy(forecaster.moves(panel.features, panel.ends[unseen])).float()
        return -float(huber_loss(said, moves[torch.from_numpy(unseen)]))

    size = min(BATCH, max(16, len(seen) // STEPS), len(seen))
    with one_thread():
        history = train(net, shuffled(len(seen), size, run.seed), loss, recipe, run, name, score)
    return forecaster, history


def _windows(days: Tensor, ends: Tensor, window: int) -> Tensor:
    """The days up to each of some, shape (n, window, features)."""
    return days[ends[:, None] + torch.arange(1 - window, 1)]
