"""A desk: what a bot knows, in one YAML file that a person can write (`hotel.yaml` is one)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import (
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from mlfolio.core.errors import nearest
from mlfolio.data.strict_yaml import Part, read_yaml, wrong
from mlfolio.parts.text.entities import find, read

SAMPLE = Path(__file__).with_name("hotel.yaml")
STORIES = Path(__file__).with_name("hotel-stories.yaml")
KINDS = ("date", "time", "number", "email", "code", "text")
BOUNDS = {  # how they are written, and what they are compared as
    "date": (r"-?\d{1,5}", int, "whole days, such as 1 or 365"),
    "time": (r"([01]\d|2[0-3]):[0-5]\d", str, "a time as 18:00"),
    "number": (r"-?\d{1,12}(\.\d{1,6})?", float, "a number"),
}
KEPT = 5  # examples of an intent, of a table of texts and intents
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Slot(Part):
    """Something that has to be known before an intent can be answered.

    Attributes:
        kind: `date`, `time`, `number`, `email`, `code` (4 to 12 letters and digits), `text`
            (whatever is said), or the name of a list.
        ask: The question for it. Without one it is taken where it is said, and never asked for.
        cues: Words beside a value that tell it from others of its kind (`from`, `nights`).
        default: What it is where nobody cares.
        opening: Of kind `text`: whether it takes the message that began the intent, if that says
            more than its title.
        after: Another date, that this one has to be later than; then "3 nights" is said of it too.
        min: Least value: of a number; of a time (`18:00`); of a date in days from today, or from
            the date that it comes after. Dates in the past are refused unless it is negative.
        max: Greatest value, likewise.
    """

    kind: Name
    ask: Text | None = None
    cues: tuple[Text, ...] = ()
    default: Text | None = None
    opening: bool = False
    after: Name | None = None
    min: Text | None = None
    max: Text | None = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        bounds = {name: at for name in ("min", "max") if (at := getattr(self, name)) is not None}
        if bounds and self.kind not in BOUNDS:
            raise wrong(f"only dates, times and numbers have a {min(bounds)}", min(bounds))
        for name, bound in bounds.items():
            shape, _, meant = BOUNDS[self.kind]
            if not re.fullmatch(shape, bound, re.ASCII):
                raise wrong(f"{bound!r} is not {meant}", name)
        if len(bounds) == 2:
            _, measure, _ = BOUNDS[self.kind]
            if measure(bounds["min"]) > measure(bounds["max"]):
                raise wrong(f"{bounds['min']!r} is above max, {bounds['max']!r}", "min")
        return self


class Saying(Part):
    """What somebody may say in a few words, and what follows from it.

    Attributes:
        says: The words, as they may be said; `yes` and `no` stand for every way to say them.
        answer: What is answered.
        intent: Or the intent that is gone on with.
    """

    says: tuple[Text, ...] = Field(min_length=1)
    answer: Text | None = None
    intent: Name | None = None

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if (self.answer is None) == (self.intent is None):
            raise wrong("needs either an answer or an intent")
        return self


class Intent(Part):
    """Something that people want.

    Attributes:
        examples: Ways to say it, the more different the better.
        answer: The answer; `{slot}` stands for a slot's value. Or one for each value of a list.
        title: What it is called towards the user; its name in words if left out.
        slots: What has to be known, in the order that it is asked for.
        confirm: A question with the slots, asked before the answer is given.
        follow_ups: What may be asked right after the answer, which alone would say too little.
        hand_over: Whether a person goes on from here.
    """

    examples: tuple[Text, ...] = Field(min_length=1)
    answer: Text | dict[Name, Text] | None = None
    title: Text | None = None
    slots: dict[Name, Slot] = Field({})
    confirm: Text | None = None
    follow_ups: tuple[Saying, ...] = ()
    hand_over: bool = False


class Phrases(Part):
    """What the bot says besides the answers; each may be put in the desk's own words."""

    fallback: Text = "Sorry, I did not understand that. Could you put it another way?"
    again: Text = "Sorry, I did not get that."
    one_of: Text = "It can be one of: {values}."
    not_there: Text = "Sorry, “{said}” does not exist."
    not_possible: Text = "Sorry, “{said}” is not possible, only {bounds}."
    cancelled: Text = "All right, never mind: {title}."
    left_alone: Text = "All right, I leave that as it is."
    change: Text = "What should be different?"
    back: Text = "Back to where we were ({title})."
    hand_over: Text = "A colleague goes on from here, one moment please."
    waiting: Text = "A colleague will answer you here. (“Start over” brings me back.)"
    fresh: Text = "Let us start over. What can I do for you?"


class Desk(Part):
    """All that a bot knows.

    Attributes:
        intents: By name.
        lists: By name the values of each list, and by value the other ways to say it.
        small_talk: What may be said at any time: greetings, thanks.
        out_of_scope: Examples of what is about none of the intents.
        phrases: What the bot says besides the answers.
        hand_over_after: Turns in a row that were not understood, after which a person takes over.
        day_first: Whether 3/4 is the third of April, and not the fourth of March.
        time_zone: Where "today" is, such as `Europe/Zurich`; empty for the server's.
    """

    intents: dict[Name, Intent] = Field(min_length=2)
    lists: dict[Name, dict[Name, tuple[Text, ...]]] = Field({})
    small_talk: tuple[Saying, ...] = ()
    out_of_scope: tuple[Text, ...] = ()
    phrases: Phrases = Phrases()
    hand_over_after: int = Field(3, ge=1, le=100)
    day_first: bool = True
    time_zone: str = ""

    @field_validator("lists", mode="before")
    @classmethod
    def _lists_may_be_short(cls, given: object) -> object:
        """`[a, b]` for values with no other names, and `a:` for such a one among others."""
        if not isinstance(given, dict):
            return given

        def full(values: object) -> object:
            if isinstance(values, list) and all(isinstance(value, str) for value in values):
                return {value: [] for value in values}
            if isinstance(values, dict):
                return {value: names or [] for value, names in values.items()}
            return values

        return {name: full(values) for name, values in given.items()}

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name in set(self.lists) & set(KINDS):
            raise wrong(f"{name!r} is no name for a list: it is a kind of slot", "lists", name)
        if self.time_zone and self.time_zone not in available_timezones():
            _require("time zone", self.time_zone, sorted(available_timezones()), "time_zone")
        for number, saying in enumerate(self.small_talk):
            self._check_saying(saying, "small_talk", number)
        for name, intent in self.intents.items():
            at = ("intents", name)
            for slot_name, slot in intent.slots.items():
                _check_slot(self, intent, slot, *at, "slots", slot_name)
            for number, saying in enumerate(intent.follow_ups):
                self._check_saying(saying, *at, "follow_ups", number)
            self._check_answer(intent, *at)
        return self

    def _check_saying(self, saying: Saying, *at: str | int) -> None:
        if saying.intent is not None:
            _require("intent", saying.intent, self.intents, *at, "intent")

    def _check_answer(self, intent: Intent, *at: str | int) -> None:
        """Placeholders name slots that will be known, and answers by value know every value."""
        known = [n for n, slot in intent.slots.items() if slot.ask or slot.default]
        answers = intent.answer if isinstance(intent.answer, dict) else {"": intent.answer or ""}
        if isinstance(intent.answer, dict) and self.answered_by(intent) is None:
            raise wrong(
                "answers by value need a slot of a list with just these values, that is asked "
                f"for or has a default: {', '.join(answers)}", *at, "answer",
            )  # fmt: skip
        for field, text in (
            ("confirm", intent.confirm or ""),
            ("answer", " ".join(answers.values())),
        ):
            for name in PLACEHOLDER.findall(text):
                _require("slot to be asked for", name, known, *at, field)

    def answered_by(self, intent: Intent) -> str | None:
        """The slot whose value chooses the answer, where there is an answer for each value."""
        if not isinstance(intent.answer, dict):
            return None
        known = {n: s for n, s in intent.slots.items() if s.ask or s.default}
        values = {name: set(self.lists.get(slot.kind, ())) for name, slot in known.items()}
        return next((name for name in known if values[name] == set(intent.answer)), None)

    def title(self, intent: str) -> str:
        """What an intent is called towards the user."""
        return self.intents[intent].title or in_words(intent)

    def examples(self) -> list[tuple[str, str]]:
        """Each example with its intent."""
        return [(text, name) for name, intent in self.intents.items() for text in intent.examples]

    @classmethod
    def of_examples(
        cls, pairs: Iterable[tuple[str, str]], out_of_scope: Sequence[str] = ()
    ) -> Self:
        """The desk of a table of texts and intents: to each the answer is the intent in words.

        Of each intent the first five examples are kept.
        """
        kept: dict[str, list[str]] = {}
        for text, intent in pairs:
            examples = kept.setdefault(intent, [])
            if len(examples) < KEPT:
                examples.append(text[:2000])
        intents = {name: {"examples": texts} for name, texts in kept.items()}
        outside = [text[:2000] for text in out_of_scope[:KEPT]]
        return cls.model_validate({"intents": intents, "out_of_scope": outside})


def read_desk(path: Path) -> Desk:
    """The desk in a YAML file.

    Raises:
        FileError: It cannot be read, or is none; all faults with line, field, rule and value.
    """
    return read_yaml(path, Desk)


def in_words(name: str) -> str:
    """`book_room` as people write it."""
    return re.sub(r"[_\s]+", " ", name).strip()


def _check_slot(desk: Desk, intent: Intent, slot: Slot, *at: str | int) -> None:
    _require("kind", slot.kind, [*KINDS, *desk.lists], *at, "kind")
    if slot.kind in desk.lists and slot.default is not None:
        _require(f"value of {slot.kind}", slot.default, desk.lists[slot.kind], *at, "default")
    if slot.kind in ("date", "time", "number", "email") and slot.default is not None:
        found = find(read(slot.default), {}, datetime(2000, 1, 1, 12), desk.day_first)
        if [entity.kind for entity in found if entity.readings] != [slot.kind]:
            raise wrong(f"{slot.default!r} is no {slot.kind}", *at, "default")
        # Whether a date is allowed depends on the day that it is asked on.
        if slot.kind in ("time", "number"):
            measure = BOUNDS[slot.kind][1]
            value = measure(found[0].readings[0])
            if not measure(slot.min or value) <= value <= measure(slot.max or value):
                raise wrong(f"{slot.default!r} is beyond min or max", *at, "default")
    if slot.after is not None:
        firsts = [n for n, s in intent.slots.items() if s.kind == "date" and s.after is None]
        if slot.kind != "date":
            raise wrong("only a date comes after another", *at, "after")
        _require("other date", slot.after, firsts, *at, "after")


def _require(what: str, name: str, known: Iterable[str], *at: str | int) -> None:
    names = list(known)
    if name not in names:
        near = nearest(name, names)
        hint = f"did you mean {near!r}? " if near else ""
        shown = ", ".join(names[:20]) or "none"
        raise wrong(f"there is no {what} {name!r}; {hint}there are: {shown}", *at)
