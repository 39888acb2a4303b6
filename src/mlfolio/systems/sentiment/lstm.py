"""An LSTM as a reader: the net, its vocabulary, and how many words it reads in one go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Self

import torch
from pydantic import AfterValidator, Field
from safetensors.torch import save_file

from mlfolio.core.run import write_json
from mlfolio.parts.torch.stored import Stored, load_net
from mlfolio.parts.torch.threads import one_thread

from .learning import log_odds
from .net import ReviewNet
from .readers import EXPLAINED, STEPS, Judged, Reader, Share
from .words import MOST, UNKNOWN, Ids, Vocabulary, Word, ends_of, to_batch, words_of

KNOWN = 0.5  # share of a review's words that should have occurred in training
Chunk = Annotated[int, Field(ge=10, le=2000)]


def _without_copies(words: list[str]) -> list[str]:
    if len(set(words)) < len(words):
        raise ValueError("a word stands there twice")
    return words


class Facts(Stored):
    """What an LSTM is stored with.

    Attributes:
        words: In the order of their numbers.
        width: Of the embeddings.
        hidden: Width of the LSTM, in each direction.
        chunk: Words that are read in one go.
    """

    words: Annotated[list[str], AfterValidator(_without_copies)]
    width: int
    hidden: int
    chunk: Chunk


class LstmReader(Reader):
    """Reads reviews with an LSTM (see `ReviewNet`).

    Attributes:
        net: In evaluation mode, on the CPU.
        vocabulary: The words that it knows.
        chunk: Words that are read in one go.
    """

    kind: ClassVar[str] = "lstm"

    def __init__(self, net: ReviewNet, vocabulary: Vocabulary, chunk: int) -> None:
        self.net = net.cpu().eval()
        self.vocabulary = vocabulary
        self.chunk = chunk

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        """What it makes of each text; without letters a to z or digits there is nothing to read."""
        read = list(map(ends_of, texts))
        ids = [self.vocabulary.ids(words) for words, _ in read]
        odds = log_odds(self.net, ids, self.chunk).tolist()
        return [_judged(*each) for each in zip(odds, ids, read, strict=True)]

    def shares(self, text: str) -> tuple[list[Share], float]:
        """What each of the first 400 words adds to the log-odds, and what they are without any."""
        words = words_of(text, EXPLAINED)
        if not words:
            return [], 0.0
        one = to_batch([self.vocabulary.ids(words)], self.chunk)
        many = to_batch([self.vocabulary.ids(words)] * STEPS, self.chunk)
        whole = self.net.embedding(one.tokens).detach()  # (chunks, longest, width)
        # The middle of each step of the way from nothing to the review.
        way = (torch.arange(STEPS) + 0.5) / STEPS
        with one_thread():
            embedded = (way[:, None, None, None] * whole).flatten(0, 1).requires_grad_()
            (gradient,) = torch.autograd.grad(self.net.read(embedded, many).sum(), embedded)
            with torch.inference_mode():
                nothing = float(self.net.read(torch.zeros_like(whole), one)[0])
        slopes = gradient.view(STEPS, *whole.shape).mean(dim=0)
        effects = (slopes * whole).sum(dim=2)
        parts = [row[:length] for row, length in zip(effects, one.lengths.tolist(), strict=True)]
        flat = torch.cat(parts).tolist()
        return [Share(w.start, w.end, e) for w, e in zip(words, flat, strict=True)], nothing

    def save(self, folder: Path) -> None:
        """Writes the net's weights as safetensors, and the vocabulary as JSON."""
        save_file(
            {name: weights.contiguous() for name, weights in self.net.state_dict().items()},
            folder / "net.safetensors",
        )
        facts = Facts(
            words=self.vocabulary.words,
            width=self.net.embedding.embedding_dim,
            hidden=self.net.there.hidden_size,
            chunk=self.chunk,
        )
        write_json(folder / "lstm.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote.

        Raises:
            FileError: It is damaged.
        """
        facts = Facts.read(folder / "lstm.json")
        vocabulary = Vocabulary(facts.words)
        make = partial(ReviewNet, len(vocabulary), facts.width, facts.hidden)
        return cls(load_net(make, folder / "net.safetensors"), vocabulary, facts.chunk)


def _judged(odds: float, ids: Ids, read: tuple[list[Word], int]) -> Judged:
    """It is said that few words are known, or that not all were read."""
    words, total = read
    known = [number != UNKNOWN for word, number in zip(words, ids, strict=True) if not word.is_mark]
    warnings = []
    if sum(known) < KNOWN * len(known):
        warnings.append(f"only {sum(known)} of its {len(known)} words were seen in training")
    if len(words) < total:
        warnings.append(f"of its {total:,} words the first and the last {MOST // 2:,} were read")
    return Judged(odds, bool(known), warnings)
