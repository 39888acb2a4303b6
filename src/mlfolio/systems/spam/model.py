"""The stored model of spam: one weight for each n-gram and each sign of form, in log-odds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field
from scipy.sparse import csr_array, hstack
from scipy.special import expit

from mlfolio.core.model import Input, Output, Reason
from mlfolio.core.run import read_json, write_json
from mlfolio.parts.text.linear import Floats, Linear
from mlfolio.parts.text.tfidf import Texts, TfidfEncoder

from .clean import FORM, PATTERNS, form_of, read, undisguise
from .mail import is_mailbox, read_mails

CLASSES = ("ham", "spam")
READ = 20_000  # characters of a message that are read
KNOWN = 0.3  # share of a message's words that should have occurred in training
FORM_WEIGHT = 0.2  # of the signs of form beside n-grams whose rows have length one
JOINERS = "\u200c\u200d"  # hidden too, but emoji and Persian need them
EXAMPLES = (
    "You have won a free tablet! Call 0900 123 4567 to claim, 1.50/min. T&Cs apply",
    "running late, can you pick up some bread on your way? thanks x",
    "Your parcel is held, pay the fee of 2.99 today: http://parcel-fee.example/4821",
    "The meeting moved to Tuesday at 10, room 204. See you there",
)


class Message(Input):
    """A message: an SMS, or subject and text of a mail."""

    text: str = Field(max_length=5_000_000, description="the message; of a mail, subject and text")


class SpamAnswer(Output):
    """Whether a message is spam.

    Attributes:
        answer: `spam` only from the threshold on, which is set for few false alarms.
        probabilities: Of ham and of spam; they sum to one.
    """

    answer: Literal["ham", "spam"]
    probabilities: dict[str, float]


class SpamModel:
    """Scores messages by a weighted sum of TF-IDF and signs of form.

    Attributes:
        encoder: Makes the n-grams' features, words first.
        linear: The weights of the n-grams, then of the signs of form; scores are log-odds of spam.
        threshold: Probability from which a message is called spam.
        longest: Characters of the longest training message.
        ignored: What files may have beside the text.
    """

    input_type: ClassVar[type[Input]] = Message
    output_type: ClassVar[type[Output]] = SpamAnswer
    ignored: ClassVar[tuple[str, ...]] = ("from", "subject", "label")

    def __init__(
        self, encoder: TfidfEncoder, linear: Linear, threshold: float, longest: int
    ) -> None:
        self.encoder = encoder
        self.linear = linear
        self.threshold = threshold
        self.longest = longest
        self._words = frozenset(encoder.terms_[0])

    def predict(self, inputs: Sequence[Message]) -> list[Output]:
        """Judges each message."""
        if not inputs:
            return []
        plain = [undisguise(row.text[:READ]) for row in inputs]
        rows = features(self.encoder, list(map(read, plain)), form_of(plain))
        return self.answer(inputs, expit(self.linear.scores(rows)[:, 0]))

    def answer(self, inputs: Sequence[Message], chances: Floats) -> list[Output]:
        """The answers that probabilities of spam, shape (n,), give to messages."""
        return [
            self._answer(row, undisguise(row.text[:READ]), chance)
            for row, chance in zip(inputs, chances.tolist(), strict=True)
        ]

    def explain(self, inputs: Sequence[Message]) -> list[list[Reason]]:
        """What each word and the form add to the log-odds of the answer; together all of it."""
        return [self._reasons(undisguise(row.text[:READ])) for row in inputs]

    def read(self, path: Path) -> Iterator[dict[str, Any]] | None:
        """The mails of a mailbox as inputs, each with its sender and subject; None if it is none.

        Raises:
            FileError: There is no mail in it.
        """
        if not is_mailbox(path):
            return None
        return (
            {"from": mail.sender, "subject": mail.subject, "text": mail.message}
            for mail in read_mails(path)
        )

    def words(self, text: str) -> list[tuple[str, float]]:
        """Each word of a text as it is read, and what it adds to the log-odds of spam."""
        line = read(undisguise(text[:READ]))
        shares = self.encoder.shares(line, self.linear.weights[: self.encoder.n_features, 0])
        return [(line[share.start : share.end], share.effect) for share in shares]

    def examples(self) -> list[Input]:
        """Messages of our own invention: those that were learned from are private."""
        return [Message(text=text) for text in EXAMPLES]

    def save(self, folder: Path) -> None:
        """Writes the encoder, the weights and `model.json`."""
        self.encoder.save(folder)
        self.linear.save(folder)
        write_json(folder / "model.json", {"threshold": self.threshold, "longest": self.longest})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        facts = read_json(folder / "model.json", "threshold", "longest")
        encoder, linear = TfidfEncoder.load(folder), Linear.load(folder)
        return cls(encoder, linear, facts["threshold"], facts["longest"])

    def _answer(self, row: Message, plain: str, chance: float) -> SpamAnswer:
        spam = chance >= self.threshold
        return SpamAnswer(
            answer="spam" if spam else "ham",
            confidence=chance if spam else 1 - chance,
            probabilities={"ham": 1 - chance, "spam": chance},
            warnings=self._warnings(row.text, plain, chance),
        )

    def _warnings(self, text: str, plain: str, chance: float) -> list[str]:
        """What makes an answer less sure than its number says."""
        words = [word for word in read(plain).split() if any(c.isalpha() for c in word)]
        known = [word for word in words if self._words.intersection(_parts(word))]
        found = []
        if not plain.strip():
            found.append("the message is empty: nothing can be told from it")
        elif not known:
            found.append("none of its words was seen in training")
        elif len(known) < KNOWN * len(words):
            found.append(f"only {len(known)} of its {len(words)} words were seen in training")
        if len(text) > READ:
            found.append(f"only the first {READ:,} of its {len(text):,} characters were read")
        elif len(text) > self.longest:
            found.append(
                f"it has {len(text):,} characters; no training message had more than "
                f"{self.longest:,}"
            )
        if _hides(text[:READ], plain):
            found.append("it has hidden or look-alike signs, which were read as plain ones")
        if 0.5 <= chance < self.threshold:
            found.append("more likely spam than not, but not sure enough to be called so")
        return found

    def _reasons(self, plain: str) -> list[Reason]:
        """The shares in the log-odds of the answer: of words, of form, and of the bias."""
        form = form_of([plain])[0]
        weights = FORM_WEIGHT * self.linear.weights[self.encoder.n_features :, 0]
        shares: dict[tuple[str, str], float] = {}
        for word, effect in self.words(plain):
            shares["word", word] = shares.get(("word", word), 0.0) + effect
        for name, value, weight in zip(FORM, form.tolist(), weights.tolist(), strict=True):
            shown = "yes" if name in PATTERNS else f"{value:.2f}"
            shares[f"form: {name}", shown] = value * weight
        shares["before reading", "any message"] = float(self.linear.bias[0])
        sign = 1 if expit(sum(shares.values())) >= self.threshold else -1
        reasons = [
            Reason(feature=feature, value=value, effect=round(sign * effect, 4))
            for (feature, value), effect in shares.items()
            if effect
        ]
        return sorted(reasons, key=lambda reason: -abs(reason.effect))


def features(encoder: TfidfEncoder, texts: Texts, form: Floats) -> csr_array:
    """The features of messages: n-grams, then signs of form, shape (n, features).

    Args:
        encoder: Is fitted.
        texts: As `clean.read` gives them, or counted.
        form: As `clean.form_of` gives it.
    """
    parts = [encoder.transform(texts), csr_array(FORM_WEIGHT * form)]
    return csr_array(hstack(parts, format="csr"))


def _parts(word: str) -> list[str]:
    """The words within what blanks part: `don't` has two."""
    return re.findall(r"\w+", word)


def _hides(text: str, plain: str) -> bool:
    """Whether undisguising a text brought plain letters forth, or took hidden signs away."""
    letters = [sum(c.isalnum() and c.isascii() for c in version) for version in (text, plain)]
    return letters[1] > letters[0] or any(
        unicodedata.category(c) == "Cf" and c not in JOINERS for c in text
    )
