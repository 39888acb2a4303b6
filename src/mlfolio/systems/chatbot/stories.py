"""Test stories: conversations in a file, with what the bot should make of each turn.

```yaml
stories:
  - name: the day is taken back
    turns:
      - {user: I need a single room on Monday, intent: book_room, slots: {arrival: "2026-06-08"}}
      - {user: "no, Tuesday", slots: {arrival: "2026-06-09"}, says: how many nights}
```
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from mlfolio.data.strict_yaml import Part, read_yaml

from .desk import Desk, Name, Text
from .dialogue import Reply, State, step
from .understanding import Guess

Understand = Callable[[Sequence[str]], list[Guess]]


class Turn(Part):
    """What a user says, and what should come of it; what is left out is not looked at.

    Attributes:
        user: The message.
        intent: What it should be understood as; `none` for not at all.
        slots: Values that should be known after it; `none` for one that should not.
        says: A piece of the reply, in any case.
        completed: The intent that should be answered by it.
        handed_over: Whether a person should go on.
    """

    user: Text
    intent: Name | None = None
    slots: dict[Name, Name] = Field({})
    says: Text | None = None
    completed: Name | None = None
    handed_over: bool | None = None


class Story(Part):
    """One conversation, and when it takes place."""

    name: Name
    turns: tuple[Turn, ...] = Field(min_length=1)
    now: datetime = datetime(2026, 6, 3, 10)  # a Wednesday


class Stories(Part):
    """The content of a file."""

    stories: tuple[Story, ...] = Field(min_length=1)


class Failure(NamedTuple):
    """The first turn of a story that came out otherwise.

    Attributes:
        story: Its name.
        turn: The turn's number, from 1.
        user: What was said in it.
        what: What differs: `intent`, `slot arrival`, `says`...
        expected: What it should be.
        got: What it is.
    """

    story: str
    turn: int
    user: str
    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        """One line."""
        where = f"{self.story!r}, turn {self.turn} ({self.user!r})"
        return f"{where}: {self.what} should be {self.expected!r}, is {self.got!r}"


def read_stories(path: Path) -> tuple[Story, ...]:
    """The stories in a file.

    Raises:
        FileError: It cannot be read, or holds none.
    """
    return read_yaml(path, Stories).stories


def run_stories(stories: Sequence[Story], desk: Desk, understand: Understand) -> list[Failure]:
    """Plays stories; of each that fails the first turn that does, in order."""
    failures = (_play(story, desk, understand) for story in stories)
    return [failure for failure in failures if failure is not None]


def _play(story: Story, desk: Desk, understand: Understand) -> Failure | None:
    state = State()
    guesses = understand([turn.user for turn in story.turns])
    for number, (turn, guess) in enumerate(zip(story.turns, guesses, strict=True), 1):
        state, reply = step(desk, state, turn.user, guess, story.now)
        for what, (expected, got) in _compared(turn, reply).items():
            same = expected == got if what != "says" else expected.lower() in got.lower()
            if not same:
                return Failure(story.name, number, turn.user, what, expected, got)
    return None


def _compared(turn: Turn, reply: Reply) -> dict[str, tuple[str, str]]:
    """What a turn expects, and what there is."""
    found: dict[str, tuple[Any, Any]] = {
        "intent": (turn.intent, reply.intent),
        "completed": (turn.completed, reply.completed),
        "handed_over": (turn.handed_over, reply.handed_over),
        "says": (turn.says, reply.text),
    }
    for name, value in turn.slots.items():
        found[f"slot {name}"] = value, reply.slots.get(name)
    return {
        what: (str(expected), "none" if got is None else str(got))
        for what, (expected, got) in found.items()
        if expected is not None
    }
