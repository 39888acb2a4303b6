"""How sure a net may say it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor


def best_temperature(logits: Tensor, labels: Tensor) -> Tensor:
    """What logits are divided by for the least negative log-likelihood, a scalar.

    Guo et al. (2017), On calibration of modern neural networks. Platt's correction, as if one
    more item had been seen and its label drawn at random, keeps the temperature away from 0 where a
    small set is answered without an error.

    Args:
        logits: Of items that were not learned from, shape (n, classes).
        labels: Numbers of their classes, shape (n,).
    """
    doubt = 1 / (len(labels) + 1)
    grid = torch.logspace(-1.5, 1.5, 601)
    losses = [F.cross_entropy(logits / t, labels, label_smoothing=doubt) for t in grid]
    return grid[int(torch.stack(losses).argmin())]
