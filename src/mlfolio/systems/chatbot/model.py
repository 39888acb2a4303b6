"""The model: what understands, and the desk that it answers for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from mlfolio.core.errors import MlfolioError, UserError
from mlfolio.core.model import Conversation, Input, Output
from mlfolio.core.run import read_json, write_json
from mlfolio.track.conversations import Conversations

from .card import CARD
from .desk import Desk
from .dialogue import Found, Reply, State, step
from .understanding import Guess, Understanding

READ = 1000  # characters of a message that are read
EXAMPLES = 5
DESK, UNDERSTANDING = "desk.json", "understanding"

Said = Annotated[str, StringConstraints(max_length=20_000)]


class ChatMessage(Input):
    """Something that a user says to the bot."""

    text: Said = Field(description="in your own words")
    conversation: str | None = Field(
        None, min_length=8, max_length=200,
        description="id of a conversation that is kept, one that nobody guesses (a UUID); none: "
        "this message stands alone",
    )  # fmt: skip


class ChatAnswer(Output):
    """What the bot says, and what it understood.

    Attributes:
        answer: What it says.
        confidence: Probability that the intent is right, or that there is none, where the text
            decided it; None where the conversation did: values of slots, yes and no, small talk.
        intent: What the turn is about; None where it was not understood.
        probabilities: Of the likeliest intents, given that the text is about any.
        in_scope: How likely the text, taken alone, is about any of the intents.
        understood: Whether the turn was.
        completed: The intent of which all is known now, with the `slots`: what a program acts on.
        slots: The values so far: dates as 2026-12-24, times as 19:30.
        entities: What was found in the text.
        handed_over: Whether a person has to go on.
    """

    answer: str
    intent: str | None
    probabilities: dict[str, float]
    in_scope: float = Field(ge=0, le=1)
    understood: bool
    completed: str | None
    slots: dict[str, str]
    entities: list[Found]
    handed_over: bool

    def redacted(self) -> Self:
        """The intent and how sure that is: the rest repeats what was said."""
        return self.model_copy(update={"answer": "", "slots": {}, "entities": [], "warnings": []})


class ChatbotModel:
    """Answers messages: alone, or as a turn of a conversation.

    Attributes:
        understanding: Gives a text's intent.
        desk: Gives the answers.
        conversations: Keeps the states of those with an id.
    """

    input_type: ClassVar[type[Input]] = ChatMessage
    output_type: ClassVar[type[Output]] = ChatAnswer
    conversation_type: ClassVar[type[Conversation]] = Conversation

    def __init__(self, understanding: Understanding, desk: Desk) -> None:
        self.understanding = understanding
        self.desk = desk
        self.conversations = Conversations(CARD.slug)

    def predict(self, inputs: Sequence[ChatMessage]) -> list[ChatAnswer]:
        """Answers each message, those of one conversation in their order.

        Where a conversation cannot be kept, the answer to its message says so in a warning.
        """
        guesses = self._guesses([row.text for row in inputs])
        return [self._answer(row, guess) for row, guess in zip(inputs, guesses, strict=True)]

    def talk(self, conversation: Conversation) -> Iterator[str | Output]:
        """Answers the last message.

        What the user said before is gone through again, so that nothing has to be kept, and a
        restart loses nothing.
        """
        texts = [m.content for m in conversation.messages if m.role == "user"]
        state, now = State(), self._now()
        answer = None
        for text, guess in zip(texts, self._guesses(texts), strict=True):
            state, reply = step(self.desk, state, text[:READ], guess, now)
            answer = _told(text, guess, reply)
        if answer is None:
            raise UserError("nobody has said anything yet", "say something")
        yield answer.answer
        yield answer

    def examples(self) -> list[ChatMessage]:
        """The first example of some intents."""
        intents = list(self.desk.intents.values())[:EXAMPLES]
        return [ChatMessage(text=intent.examples[0]) for intent in intents]

    def warm(self) -> None:
        """Loads the encoder."""
        self._guesses([self.examples()[0].text])

    def save(self, folder: Path) -> None:
        """Writes the desk, and what understands."""
        write_json(folder / DESK, self.desk)
        (folder / UNDERSTANDING).mkdir()
        self.understanding.save(folder / UNDERSTANDING)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads back what `save` wrote."""
        desk = Desk.model_validate(read_json(folder / DESK, "intents"))
        return cls(Understanding.load(folder / UNDERSTANDING), desk)

    def _guesses(self, texts: Sequence[str]) -> list[Guess]:
        return self.understanding.understand([text[:READ] for text in texts])

    def _answer(self, row: ChatMessage, guess: Guess) -> ChatAnswer:
        now = self._now()

        def turn(stored: str | None) -> tuple[str, Reply]:
            before = State.model_validate_json(stored) if stored else State()
            after, reply = step(self.desk, before, row.text[:READ], guess, now)
            return after.model_dump_json(), reply

        if row.conversation is None:
            return _told(row.text, guess, turn(None)[1])
        try:
            return _told(row.text, guess, self.conversations.turn(row.conversation, turn))
        except MlfolioError as error:
            # Not raised: the server would ask the rest of the batch again, and take turns twice.
            reply = Reply(text=self.desk.phrases.again, understood=False)
            warning = f"the conversation is as it was, send this again: {error.message}"
            lost = {"confidence": None, "warnings": [warning]}
            return _told(row.text, guess, reply).model_copy(update=lost)

    def _now(self) -> datetime:
        zone = self.desk.time_zone
        return datetime.now(ZoneInfo(zone)) if zone else datetime.now().astimezone()


def _told(text: str, guess: Guess, reply: Reply) -> ChatAnswer:
    sure: float | None = None
    if not reply.understood:
        sure = 1 - guess.in_scope
    elif reply.by_guess:
        sure = guess.in_scope * guess.probability
    likeliest = [(guess.intent, guess.probability), *guess.others]
    facts: dict[str, Any] = reply.model_dump(exclude={"text", "by_guess"})
    return ChatAnswer(
        answer=reply.text, confidence=sure, in_scope=guess.in_scope, warnings=_warnings(text),
        probabilities=dict(likeliest), **facts,
    )  # fmt: skip


def _warnings(text: str) -> list[str]:
    if not text.strip():
        return ["the message is empty"]
    if len(text) > READ:
        return [f"only the first {READ:,} of its {len(text):,} characters were read"]
    return []
