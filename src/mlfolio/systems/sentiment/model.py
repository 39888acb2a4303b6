"""The stored model of sentiment: what reads, and when it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field
from scipy.special import expit

from mlfolio.core.model import Input, Output, Reason
from mlfolio.core.run import read_json, write_json
from mlfolio.parts.torch.threads import one_thread

from .readers import Judged, Reader, load_reader

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
    """Says whether reviews speak well of a film.

    Attributes:
        reader: What reads them.
        sure: Probability from which a review is called positive or negative.
    """

    input_type: ClassVar[type[Input]] = Review
    output_type: ClassVar[type[Output]] = SentimentAnswer

    def __init__(self, reader: Reader, sure: float) -> None:
        self.reader = reader
        self.sure = sure

    def is_sure(self, found: Judged) -> bool:
        """Whether a review is called positive or negative, and not mixed."""
        return found.is_read and float(expit(abs(found.odds))) >= self.sure

    def predict(self, inputs: Sequence[Review]) -> list[SentimentAnswer]:
        """Judges each review."""
        # One by one: the same review gets the same answer, whoever asks at the same time.
        return [self._answer(row.text) for row in inputs]

    def explain(self, inputs: Sequence[Review]) -> list[list[Reason]]:
        """What each of the first words adds to the log-odds of the answer, strongest first."""
        return [self._reasons(row.text) for row in inputs]

    def words(self, text: str) -> list[tuple[str, float]]:
        """Each word that is read, as it was written, and its share in the log-odds of positive."""
        shares, _ = self.reader.shares(text)
        return [(text[share.start : share.end], share.effect) for share in shares]

    def examples(self) -> list[Review]:
        """Reviews of our own invention."""
        return [Review(text=text) for text in EXAMPLES]

    def save(self, folder: Path) -> None:
        """Writes the reader, and what is asked of it."""
        self.reader.save(folder)
        write_json(folder / "model.json", {"reader": self.reader.kind, "sure": self.sure})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = read_json(folder / "model.json", "reader", "sure")
        return cls(load_reader(facts["reader"], folder), facts["sure"])

    def _answer(self, text: str) -> SentimentAnswer:
        found = self._judge(text)
        chance, is_mixed = float(expit(found.odds)), not self.is_sure(found)
        side: Literal["positive", "negative"] = "positive" if chance >= 0.5 else "negative"
        no_words = ["there are no words in it: nothing can be told from it"]
        return SentimentAnswer(
            answer="mixed" if is_mixed else side,
            confidence=None if is_mixed else max(chance, 1 - chance),
            probabilities={"positive": chance, "negative": 1 - chance},
            warnings=found.warnings if found.is_read else no_words,
        )

    def _judge(self, text: str) -> Judged:
        with one_thread():
            (found,) = self.reader.judge([text])
        return found

    def _reasons(self, text: str) -> list[Reason]:
        sign = 1 if self._judge(text).odds >= 0 else -1
        found, before = self.reader.shares(text)
        shares: dict[str, float] = {}
        for share in found:
            word = text[share.start : share.end].lower().replace("’", "'")
            shares[word] = shares.get(word, 0.0) + share.effect
        reasons = [
            Reason(feature="word", value=word, effect=round(sign * effect, 4))
            for word, effect in shares.items()
        ]
        start = Reason(
            feature="before reading", value="without its words", effect=round(sign * before, 4)
        )
        return sorted([*reasons, start], key=lambda reason: -abs(reason.effect))
