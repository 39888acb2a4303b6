"""The net: embeddings, a bidirectional LSTM over chunks, the mean and maximum of its states."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

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
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * hidden, 1)
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, batch: Batch) -> Tensor:
        """Log-odds of being positive, shape (reviews,)."""
        return self.read(self.embedding(batch.tokens), batch)

    def read(self, embedded: Tensor, batch: Batch) -> Tensor:
        """The same from embeddings, shape (chunks, longest, width)."""
        packed = pack_padded_sequence(
            self.dropout(embedded), batch.lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        pooled = self.dropout(torch.cat(_pool(states.float(), batch), dim=1))
        odds: Tensor = self.head(pooled).squeeze(1).float() / self.temperature
        return odds


def _pool(states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean and maximum over the words of each review, padding left out, (reviews, 2 * hidden)."""
    lengths = batch.lengths.to(states.device)
    is_padding = torch.arange(states.shape[1], device=states.device) >= lengths[:, None]
    sums = states.masked_fill(is_padding[..., None], 0).sum(dim=1)
    tops = states.masked_fill(is_padding[..., None], -torch.inf).amax(dim=1)
    words = lengths.new_zeros(batch.size).index_add(0, batch.owner, lengths)
    zeros = states.new_zeros(batch.size, states.shape[2])
    mean = zeros.index_add(0, batch.owner, sums) / words[:, None]
    owner = batch.owner[:, None].expand_as(tops)
    top = torch.full_like(zeros, -torch.inf).scatter_reduce(0, owner, tops, "amax")
    return mean, top
