"""The stored model of sentiment: what reads, and when it is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, create_model, model_validator
from scipy.special import expit

from mlfolio.core.model import Input, Output, Reason
from mlfolio.core.run import write_json
from mlfolio.data.texts import LABELS, TEXTS
from mlfolio.parts.torch.stored import Stored
from mlfolio.parts.torch.threads import one_thread

from .readers import Judged, Reader, load_reader

Sure = Annotated[float, Field(ge=0.5, lt=1)]
IDS = ("id", "index", "split", "unnamed: 0")  # columns that tables of reviews have
EXAMPLES = (
    "A quiet film with two fine actors. I did not want it to end.",
    "Two hours of people shouting in cars. The plot makes no sense, the jokes are older than me.",
    "The pictures are lovely, but nothing happens, and then it happens again.",
    "I was told it is boring. It is not: I laughed, I cried, and I have seen it twice.",
)


class Review(Input):
    """A review, or any text that speaks well or ill of something."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    columns: ClassVar[Sequence[str]] = TEXTS  # that may hold the text of a table's row
    text: str = Field("", max_length=1_000_000, description="the review, as it was written")

    @model_validator(mode="before")
    @classmethod
    def _of_row(cls, row: Any) -> Any:
        """Finds the text as `mlfolio run` does; an empty cell is a text without words."""
        if not isinstance(row, Mapping):
            return row
        by_lower = {str(name).lower(): name for name, cell in row.items() if cell is not None}
        found = next((by_lower[name] for name in cls.columns if name in by_lower), None)
        others = {name: cell for name, cell in row.items() if name not in (found, "text")}
        return others if found is None else others | {"text": row[found]}


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


class Facts(Stored):
    """What a model is stored with, beside its reader (see `SentimentModel`)."""

    reader: str
    sure: Sure
    columns: tuple[str, ...] = Field(("text",), min_length=1)  # models of before have none


class SentimentModel:
    """Says whether reviews speak well of a film.

    Attributes:
        reader: What reads them.
        sure: Probability from which a review is called positive or negative.
        columns: Of the table that it learned from, that of the texts first.
        input_type: A review; in a table its text is in that column, or in one of a usual name.
        ignored: Columns that it does not use; allowed in files.
    """

    output_type: ClassVar[type[Output]] = SentimentAnswer

    def __init__(self, reader: Reader, sure: float, columns: Sequence[str] = ("text",)) -> None:
        self.reader = reader
        self.sure = sure
        self.columns = tuple(columns)
        text, *others = columns
        self.input_type = create_model("Review", __base__=Review, __doc__=Review.__doc__)
        self.input_type.columns = (text.lower(), *TEXTS)
        self.ignored = [name for name in (*others, *LABELS, *IDS) if name.lower() != text.lower()]

    def is_sure(self, found: Judged) -> bool:
        """Whether a review is called positive or negative, and not mixed."""
        return found.is_read and float(expit(abs(found.odds))) >= self.sure

    def predict(self, inputs: Sequence[Review]) -> list[SentimentAnswer]:
        """Judges each review."""
        # One by one: the same review gets the same answer, whoever asks at the same time.
        return [self.answer(self._judge(row.text)) for row in inputs]

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
        facts = Facts(reader=self.reader.kind, sure=self.sure, columns=self.columns)
        write_json(folder / "model.json", facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote.

        Raises:
            FileError: It is damaged.
        """
        facts = Facts.read(folder / "model.json")
        return cls(load_reader(facts.reader, folder), facts.sure, facts.columns)

    def answer(self, found: Judged) -> SentimentAnswer:
        """The answer that what a reader has found gives."""
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
