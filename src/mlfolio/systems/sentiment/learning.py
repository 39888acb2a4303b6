"""How the net learns: words left out at random, a schedule, a temperature at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Generator, Tensor

from mlfolio.core.run import Run
from mlfolio.parts.torch.across import train_across
from mlfolio.parts.torch.calibration import best_temperature
from mlfolio.parts.torch.checkpoint import History
from mlfolio.parts.torch.training import Recipe, bucketed, evaluating

from .net import ReviewNet
from .words import UNKNOWN, Ids, to_batch

FORGET = 0.1  # share of the words that training does not see
BATCH = 64  # reviews of a step, at most; of small sets fewer, for more steps
STEPS = 50  # of an epoch, where there are so few reviews
ANSWERED = 64  # reviews that are answered at once


@dataclass(frozen=True)
class Examples:
    """Reviews as numbers, and which are positive.

    Attributes:
        reviews: The words of each.
        positive: 1 or 0, shape (n,).
    """

    reviews: Sequence[Ids]
    positive: NDArray[np.int64]


def fit_net(
    net: ReviewNet, seen: Examples, unseen: Examples, recipe: Recipe, longest: int, run: Run
) -> History:
    """Trains a net, goes back to its best epoch, and calibrates it.

    Args:
        net: Untrained.
        seen: What is learned from.
        unseen: What says when to stop, and the temperature.
        recipe: How.
        longest: Words of a chunk.
        run: Whose.
    """
    device = net.temperature.device
    positive = torch.from_numpy(seen.positive).float().to(device)

    def loss(rows: Tensor, rng: Generator) -> Tensor:
        batch = to_batch([seen.reviews[row] for row in rows.tolist()], longest)
        forgotten = torch.rand(batch.tokens.shape, generator=rng) < FORGET
        known = batch.tokens.masked_fill(forgotten & (batch.tokens > 0), UNKNOWN)
        odds = net(batch._replace(tokens=known).to(device))
        return F.binary_cross_entropy_with_logits(odds, positive[rows.to(device)])

    def score() -> float:
        return float(((log_odds(net, unseen.reviews, longest) > 0) == unseen.positive).mean())

    lengths = [len(review) for review in seen.reviews]
    size = min(BATCH, max(8, len(lengths) // STEPS), len(lengths))
    history = train_across(net, bucketed(lengths, size, run.seed), loss, recipe, run, "net", score)
    odds = torch.from_numpy(log_odds(net, unseen.reviews, longest)).float()
    logits = torch.stack([torch.zeros_like(odds), odds], dim=1)
    net.temperature.copy_(best_temperature(logits, torch.from_numpy(unseen.positive)))
    return history


def log_odds(net: ReviewNet, reviews: Sequence[Ids], longest: int) -> NDArray[np.float64]:
    """Log-odds of being positive, shape (n,); reviews of about a length are read together."""
    order = np.argsort([len(review) for review in reviews], kind="stable")
    found = np.zeros(len(reviews))
    with evaluating(net):
        for at in range(0, len(order), ANSWERED):
            rows = order[at : at + ANSWERED]
            batch = to_batch([reviews[row] for row in rows], longest).to(net.temperature.device)
            found[rows] = net(batch).double().cpu().numpy()
    return found
