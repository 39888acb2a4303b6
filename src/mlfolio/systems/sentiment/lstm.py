"""An LSTM as a reader: the net, its vocabulary, and how many words it reads in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file, save_file

from mlfolio.core.run import read_json, write_json
from mlfolio.parts.torch.threads import one_thread

from .learning import log_odds
from .net import ReviewNet
from .readers import EXPLAINED, STEPS, Floats, Share
from .words import MOST, UNKNOWN, Vocabulary, ends_of, to_batch, words_of

KNOWN = 0.5  # share of a review's words that should have occurred in training
FACTS = ("words", "width", "hidden", "chunk")


class LstmReader:
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

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """Calibrated log-odds of being positive, shape (n,)."""
        return log_odds(self.net, list(map(self.vocabulary.read, texts)), self.chunk)

    def shares(self, text: str) -> tuple[list[Share], float]:
        """What each of the first 400 words adds to the log-odds, and what they are without any."""
        words = ends_of(words_of(text))[:EXPLAINED]
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

    def warnings(self, text: str) -> list[str]:
        """That few words are known, or that not all were read."""
        words = words_of(text)
        ids = self.vocabulary.ids(ends_of(words))
        plain = [
            number
            for word, number in zip(ends_of(words), ids, strict=True)
            if word.word[0].isalnum()
        ]
        found = []
        known = sum(number != UNKNOWN for number in plain)
        if known < KNOWN * len(plain):
            found.append(f"only {known} of its {len(plain)} words were seen in training")
        if len(words) > MOST:
            found.append(
                f"of its {len(words):,} words the first and the last {MOST // 2:,} were read"
            )
        return found

    def save(self, folder: Path) -> None:
        """Writes the net's weights as safetensors, and the vocabulary as JSON."""
        save_file(
            {name: weights.contiguous() for name, weights in self.net.state_dict().items()},
            folder / "net.safetensors",
        )
        facts = {
            "words": self.vocabulary.words,
            "width": self.net.embedding.embedding_dim,
            "hidden": self.net.there.hidden_size,
            "chunk": self.chunk,
        }
        write_json(folder / "lstm.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = read_json(folder / "lstm.json", *FACTS)
        vocabulary = Vocabulary(facts["words"])
        net = ReviewNet(len(vocabulary), facts["width"], facts["hidden"])
        net.load_state_dict(load_file(folder / "net.safetensors"))
        return cls(net, vocabulary, facts["chunk"])
