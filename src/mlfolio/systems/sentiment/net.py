"""The net: embeddings, LSTMs that read chunks in both directions, mean and maximum of states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .words import PADDING, Batch


class ReviewNet(nn.Module):
    """Maps reviews to calibrated log-odds of being positive.

    Pooling over all words, as Conneau et al. (2017, Supervised learning of universal sentence
    representations) do, lets a gradient reach every word of a long review in one step, and the
    chunks of a review be read at the same time.

    Args:
        words: Numbers in the vocabulary.
        width: Of the embeddings.
        hidden: Width of the LSTM, in each direction.
        dropout: Share of embeddings' and of pooled states' parts that training leaves out.
    """

    temperature: Tensor

    def __init__(self, words: int, width: int, hidden: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[PADDING] = 0
        self.there = nn.LSTM(width, hidden, batch_first=True)
        self.back = nn.LSTM(width, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * hidden, 1)
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, batch: Batch) -> Tensor:
        """Log-odds of being positive, shape (reviews,)."""
        return self.read(self.embedding(batch.tokens), batch)

    def read(self, embedded: Tensor, batch: Batch) -> Tensor:
        """The same from embeddings, shape (chunks, longest, width).

        Padding stands at the end, where no state of a word sees it: one LSTM reads the words, the
        other reads them turned round. The states are those of torch's bidirectional LSTM on a
        packed sequence, whose gradient takes five times as long on a CPU.
        """
        words = self.dropout(embedded)
        turned = _turn(self.back(_turn(words, batch))[0], batch)
        states = torch.cat([self.there(words)[0], turned], dim=2).float()
        pooled = self.dropout(torch.cat(_pool(states, batch), dim=1))
        odds: Tensor = self.head(pooled).squeeze(1).float() / self.temperature
        return odds


def _turn(words: Tensor, batch: Batch) -> Tensor:
    """The words of each chunk in the opposite order, (chunks, longest, width); padding stays."""
    place = torch.arange(words.shape[1], device=words.device)
    last = batch.lengths[:, None] - 1
    source = torch.where(place > last, place, last - place)
    return words.gather(1, source[..., None].expand_as(words))


def _pool(states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean and maximum over the words of each review, padding left out, (reviews, 2 * hidden)."""
    lengths = batch.lengths
    is_padding = torch.arange(states.shape[1], device=states.device) >= lengths[:, None]
    sums = states.masked_fill(is_padding[..., None], 0).sum(dim=1)
    tops = states.masked_fill(is_padding[..., None], -torch.inf).amax(dim=1)
    words = lengths.new_zeros(batch.size).index_add(0, batch.owner, lengths)
    zeros = states.new_zeros(batch.size, states.shape[2])
    mean = zeros.index_add(0, batch.owner, sums) / words[:, None]
    owner = batch.owner[:, None].expand_as(tops)
    top = torch.full_like(zeros, -torch.inf).scatter_reduce(0, owner, tops, "amax")
    return mean, top
