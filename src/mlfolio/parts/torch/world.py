"""Several copies of one training that go through each step together, each with its share of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce


@dataclass(frozen=True)
class World:
    """Which of how many copies this one is; alone it changes nothing.

    All copies have the same net at each step: they begin with the same weights, and learn from the
    average of their gradients (data-parallel stochastic gradient descent).

    Attributes:
        rank: This copy, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, rows: Tensor) -> Tensor:
        """This copy's rows of a step; none is in two shares."""
        return torch.tensor_split(rows, self.size)[self.rank]

    def number(self, step: int) -> int:
        """A number for each step of each copy: what is random differs in all of them."""
        return step * self.size + self.rank

    def average(self, loss: Tensor, net: nn.Module, share: float) -> Tensor:
        """Makes of a copy's loss and gradients those of the whole step, and returns that loss.

        Args:
            loss: A scalar, the mean over the copy's rows.
            net: With the gradients of that loss.
            share: Of the step's rows that are the copy's, in (0, 1].
        """
        if self.size == 1:
            return loss
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        return self._sum([loss.detach(), *gradients], share)[0]

    def mean(self, value: float) -> float:
        """The average of a number over all copies: what it decides, all decide alike.

        Machines round differently, and a copy that stops by a score of its own leaves the others
        waiting for it.
        """
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        all_reduce(total)
        return total.item() / self.size

    def agree(self, net: nn.Module) -> None:
        """Gives all copies the same running averages: batch norm keeps those of its own rows."""
        kept = [buffer for buffer in net.buffers() if buffer.is_floating_point()]
        if self.size > 1 and kept:
            self._sum(kept, 1 / self.size)

    def _sum(self, tensors: list[Tensor], weight: float) -> list[Tensor]:
        """The weighted sum over all copies, in place: one message instead of one a tensor."""
        flat = torch.cat([tensor.flatten().float() for tensor in tensors]) * weight
        all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
        return tensors
