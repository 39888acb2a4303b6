"""The stored model of sentiment: the net, its vocabulary, and when it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from scipy.special import expit

from mlfolio.core.model import Input, Output, Reason
from mlfolio.core.run import read_json, write_json
from mlfolio.parts.torch.threads import one_thread

from .learning import log_odds
from .net import ReviewNet
from .words import MOST, UNKNOWN, Ids, Vocabulary, Word, ends_of, to_batch, words_of

STEPS = 16  # of the path that shares are summed along
KNOWN = 0.5  # share of a review's words that should have occurred in training
EXPLAINED = 400  # words of a review whose shares are told
FACTS = ("words", "width", "hidden", "chunk", "sure")
EXAMPLES = (
    "A quiet film with two fine actors. I did not want it to end.",
    "Two hours of people shouting in cars. The plot makes no sense, the jokes are older than me.",
    "The pictures are lovely, but nothing happens, and then it happens again.",
    "I was told it is boring. It is not: I laughed, I cried, and I have seen it twice.",
)


class Review(Input):
    """A review, or any text that speaks well or ill of something."""

    text: str = Field(max_length=1_000_000, description="the review, as it was written")


class SentimentAnswer(Output):
    """Whether a review speaks well of a film.

    Attributes:
        answer: `mixed` where neither side is likely enough.
        confidence: That the answer is right; None for `mixed`, which no review of the training
            data was called.
        probabilities: Of positive and of negative; they sum to one.
    """

    answer: Literal["positive", "negative", "mixed"]
    probabilities: dict[str, float]


class SentimentModel:
    """Reads reviews with a net.

    Attributes:
        net: In evaluation mode, on the CPU.
        vocabulary: The words that it knows.
        chunk: Words that are read in one go.
        sure: Probability from which a review is called positive or negative.
    """

    input_type: ClassVar[type[Input]] = Review
    output_type: ClassVar[type[Output]] = SentimentAnswer

    def __init__(self, net: ReviewNet, vocabulary: Vocabulary, chunk: int, sure: float) -> None:
        self.net = net.cpu().eval()
        self.vocabulary = vocabulary
        self.chunk = chunk
        self.sure = sure

    def predict(self, inputs: Sequence[Review]) -> list[SentimentAnswer]:
        """Judges each review."""
        # One by one: the same review gets the same answer, whoever asks at the same time.
        return [self._answer(words_of(row.text)) for row in inputs]

    def explain(self, inputs: Sequence[Review]) -> list[list[Reason]]:
        """What each of the first 400 words adds to the log-odds of the answer, strongest first."""
        return [self._reasons(row) for row in inputs]

    def words(self, text: str) -> list[tuple[str, float]]:
        """Each word that is read, as it was written, and its share in the log-odds of positive.

        Integrated gradients (Sundararajan et al., 2017) from a review whose words have embeddings
        of nought: together with that review's log-odds the shares are the whole's, but for the
        error of 16 steps.
        """
        words = ends_of(words_of(text))[:EXPLAINED]
        shares, _ = self._shares(words)
        return [(text[w.start : w.end], share) for w, share in zip(words, shares, strict=True)]

    def examples(self) -> list[Review]:
        """Reviews of our own invention."""
        return [Review(text=text) for text in EXAMPLES]

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
            "sure": self.sure,
        }
        write_json(folder / "model.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = read_json(folder / "model.json", *FACTS)
        vocabulary = Vocabulary(facts["words"])
        net = ReviewNet(len(vocabulary), facts["width"], facts["hidden"])
        net.load_state_dict(load_file(folder / "net.safetensors"))
        return cls(net, vocabulary, facts["chunk"], facts["sure"])

    def _answer(self, words: Sequence[Word]) -> SentimentAnswer:
        ids = self.vocabulary.ids(ends_of(words))
        chance = float(expit(self._log_odds(ids)))
        sure = max(chance, 1 - chance)
        is_mixed = sure < self.sure or not any(word.word[0].isalnum() for word in words)
        side: Literal["positive", "negative"] = "positive" if chance >= 0.5 else "negative"
        return SentimentAnswer(
            answer="mixed" if is_mixed else side,
            confidence=None if is_mixed else sure,
            probabilities={"positive": chance, "negative": 1 - chance},
            warnings=_warnings(words, ids),
        )

    def _log_odds(self, ids: Ids) -> float:
        with one_thread():
            return float(log_odds(self.net, [ids], self.chunk)[0])

    def _reasons(self, row: Review) -> list[Reason]:
        words = ends_of(words_of(row.text))
        sign = 1 if self._log_odds(self.vocabulary.ids(words)) >= 0 else -1
        words = words[:EXPLAINED]
        effects, before = self._shares(words)
        shares: dict[str, float] = {}
        for each, effect in zip(words, effects, strict=True):
            shares[each.word] = shares.get(each.word, 0.0) + effect
        found = [
            Reason(feature="word", value=word, effect=round(sign * effect, 4))
            for word, effect in shares.items()
        ]
        start = Reason(
            feature="before reading", value="without its words", effect=round(sign * before, 4)
        )
        return sorted([*found, start], key=lambda reason: -abs(reason.effect))

    def _shares(self, words: Sequence[Word]) -> tuple[list[float], float]:
        """What each word adds to the log-odds, and what they are without any."""
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
        shares = (slopes * whole).sum(dim=2)
        parts = [row[:length] for row, length in zip(shares, one.lengths.tolist(), strict=True)]
        return torch.cat(parts).tolist(), nothing


def _warnings(words: Sequence[Word], ids: Ids) -> list[str]:
    """What makes an answer less sure than its number says."""
    plain = [
        number for word, number in zip(ends_of(words), ids, strict=True) if word.word[0].isalnum()
    ]
    if not plain:
        return ["there are no words in it: nothing can be told from it"]
    found = []
    known = sum(number != UNKNOWN for number in plain)
    if known < KNOWN * len(plain):
        found.append(f"only {known} of its {len(plain)} words were seen in training")
    if len(words) > MOST:
        found.append(f"of its {len(words):,} words the first and the last {MOST // 2:,} were read")
    return found
