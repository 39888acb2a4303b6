"""What a fit returns and what is saved, served and watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pandas import DataFrame

LOG_ODDS = "log-odds"


class Input(BaseModel):
    """One question to a model. Unknown fields, NaN and infinities are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Output(BaseModel):
    """One answer of a model. Subclasses narrow the type of `answer` and add what they know.

    Attributes:
        answer: The prediction itself.
        confidence: Calibrated probability that the answer is right, in [0, 1]; None where no such
            number makes sense.
        warnings: What the caller should know before trusting the answer: input cut, value outside
            the training range, category never seen.
    """

    model_config = ConfigDict(frozen=True)

    answer: Any
    confidence: float | None = Field(None, ge=0, le=1)
    warnings: list[str] = []

    def redacted(self) -> Self:
        """What of an answer may be kept where its input may not.

        Warnings quote the input. A model whose answers quote more than that (documents, say)
        leaves that out too.
        """
        return self.model_copy(update={"warnings": []})


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=100_000)


class Conversation(Input):
    """What was said so far, the question last."""

    messages: tuple[Message, ...] = Field(min_length=1, max_length=200)


class Reason(BaseModel):
    """One share in an answer.

    Attributes:
        feature: What of the input it is about, as the user would say it.
        value: The input's value, as text.
        effect: Its share, signed.
        unit: What shares are measured in: log-odds of the answer, or the unit of the answer itself.
    """

    model_config = ConfigDict(frozen=True)

    feature: str
    value: str
    effect: float
    unit: str = LOG_ODDS


@runtime_checkable
class Model(Protocol):
    """Answers questions, alone: without the training data or the training code.

    The types of a question and of an answer are pydantic models. They belong to the instance,
    because a model of the user's own table has the columns of that table.
    """

    @property
    def input_type(self) -> type[Input]:
        """What one question must look like."""
        ...

    @property
    def output_type(self) -> type[Output]:
        """What one answer looks like."""
        ...

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """Answers a batch: one output for each input, in order."""
        ...

    def examples(self) -> list[Any]:
        """A few valid inputs, taken from the training data: for pages, docs and tests."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the model into an existing empty folder, without pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote; runs no code from the files."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A model that can say why."""

    def explain(self, inputs: Sequence[Any]) -> list[list[Reason]]:
        """For each input its reasons, the strongest first."""
        ...


@runtime_checkable
class Reads(Protocol):
    """A model that reads its inputs also from files of a kind of their own: mailboxes, say."""

    def read(self, path: Path) -> Iterator[dict[str, Any]] | None:
        """The rows at a path, by field, with what tells them apart; None if it is no such file."""
        ...


class Measured(NamedTuple):
    """How a model did on questions that somebody brought.

    Attributes:
        marks: A row a question, a column a metric, higher is better; NaN where one does not apply
            to a question.
        protocols: How each metric was measured, by its name, the primary one first.
        notes: What else has to be said.
        tables: What more there is to see, by title.
        failures: What failed on the way. Then the marks are not those of the model as it was set
            up, and it keeps no limit.
    """

    marks: DataFrame
    protocols: dict[str, str]
    notes: tuple[str, ...] = ()
    tables: Mapping[str, DataFrame] = {}
    failures: tuple[str, ...] = ()


@runtime_checkable
class Measures(Protocol):
    """A model that can be measured on questions of one's own, and under other settings."""

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """The same model, asked in another way: knobs that need no new fit, and their values.

        Raises:
            KnobError: One of them needs a new fit.
        """
        ...

    def measure(self, questions: Path, judge: str | None = None) -> Measured:
        """Asks all test questions of a file.

        Args:
            questions: In the form that a run takes.
            judge: Name of a language model that judges answers too.

        Raises:
            FileError: They cannot be read.
        """
        ...

    def make_questions(self, n: int) -> Iterator[dict[str, Any]]:
        """Up to n questions made from the model's own data, each a line of such a file."""
        ...


@runtime_checkable
class Annotates(Protocol):
    """A model that can mark what it sees in a copy of a file: boxes in a film, say."""

    def annotate(self, source: Path, target: Path, options: Mapping[str, Any]) -> str | None:
        """Writes the copy, whole or not at all, and says what was done.

        None if the target's name is of no kind that it writes.
        """
        ...


@runtime_checkable
class Streams(Protocol):
    """A model that can be talked to."""

    @property
    def conversation_type(self) -> type[Conversation]:
        """What a conversation must look like: messages, and maybe fields beside them."""
        ...

    def talk(self, conversation: Conversation) -> Iterator[str | Output]:
        """The pieces of an answer's text as they come; the last item is the whole output."""
        ...


@runtime_checkable
class Warms(Protocol):
    """A model whose first answer would be slow, or would cost somebody something."""

    def warm(self) -> None:
        """Gets ready for the first question, at no cost to others."""
        ...


@runtime_checkable
class Indexes(Protocol):
    """A model over documents that can be changed while it serves."""

    def add(
        self, path: Path, name: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> int:
        """Adds or replaces a document; returns its number of chunks once they are on disk."""
        ...

    def delete(self, name: str) -> bool:
        """Removes a document from every later answer; False if there was none."""
        ...

    def documents(self) -> list[str]:
        """The names of all documents."""
        ...

    def adopt(self, former: Any) -> None:
        """Takes over what was uploaded to, or deleted from, a former model while this was made.

        Of changes to one document in both models the later one counts, so it may be called again,
        and by several processes at once.
        """
        ...


@runtime_checkable
class Tenants(Protocol):
    """A model that holds for each tenant what nobody else may see.

    Every model may be asked by tenants; one without this answers them as it answers everybody.
    """

    def of(self, tenant: str) -> Model:
        """The model of a tenant: it answers from what is the tenant's own, and from that alone.

        It can do what this model can. Files may be opened for it, so it takes a moment, and it is
        to be asked for again at the next question.
        """
        ...

    @classmethod
    def tenants_of(cls, runs: Path) -> set[str]:
        """The tenants of which any model in a folder of runs holds something."""
        ...

    @classmethod
    def erase_tenant(cls, runs: Path, tenant: str) -> bool:
        """Erases what any model in a folder of runs holds of a tenant; False if that is nothing."""
        ...
