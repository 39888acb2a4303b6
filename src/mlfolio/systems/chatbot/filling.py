"""Which value is for which slot: the one that was asked for, or is named, or is taken back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from pydantic import BaseModel

from mlfolio.parts.text import acts
from mlfolio.parts.text.entities import Entity, find, nearest_value, read

from .desk import Desk, Intent, Slot, in_words
from .slots import check, default_of, resolve_date

NEAR = 3  # words between a cue and its value
SHORT = 6  # words of an answer in which a value may be spelled wrong
MAX_TEXT = 500  # characters that a slot of kind `text` keeps


class Form(BaseModel):
    """An intent whose slots are being filled, or were.

    Attributes:
        intent: Its name.
        slots: The values, in the order in which they were last said.
        asked: The slot that was last asked for.
        confirming: Whether all is known, and a yes is waited for.
    """

    intent: str
    slots: dict[str, str] = {}
    asked: str | None = None
    confirming: bool = False


@dataclass(frozen=True)
class Heard:
    """Something that a user said, as it was read.

    Attributes:
        desk: Whose user.
        text: As it was written.
        line: As `entities.read` gives it.
        entities: What was found in it, in its order.
        now: When it was said.
    """

    desk: Desk
    text: str
    line: str
    entities: tuple[Entity, ...]
    now: datetime

    @classmethod
    def of(cls, desk: Desk, text: str, now: datetime, expected: str = "") -> Heard:
        """Reads a text, after a question for a value of the kind `expected`."""
        line = read(text)
        found = find(line, desk.lists, now, desk.day_first, expected)
        return cls(desk, " ".join(text.split()), line, tuple(found), now)

    @property
    def is_bare(self) -> bool:
        """Whether it only tells a value, which alone is about nothing: "215"."""
        return bool(self.entities) and not self.content() and not acts.asks(self.line)

    def content(self) -> set[str]:
        """The words that are neither values nor small words."""
        line = self.line
        for entity in reversed(self.entities):
            line = f"{line[: entity.start]} {line[entity.end :]}"
        return set(acts.bare(line).split()) - acts.FILLERS - acts.STOP


def put(heard: Heard, form: Form) -> tuple[set[str], str]:
    """Puts what was heard into the slots of a form.

    Returns:
        The slots that something was said of, and what is wrong with what was said.
    """
    intent = heard.desk.intents[form.intent]
    pairs = _assigned(heard, form, intent)
    problems, touched = [], set()
    for name, slot in intent.slots.items():  # in their order: a departure is checked by its arrival
        if name not in pairs:
            continue
        value, problem = check(heard.desk, slot, pairs[name], form.slots, heard.now)
        if problem:
            problems.append(problem)
            form.asked, form.confirming = name, False
            continue
        touched.add(name)
        form.slots.pop(name, None)  # what is said last stands last
        form.slots[name] = value
    _drop_what_is_overtaken(form, intent, touched)
    if form.asked and not touched and not problems:
        touched |= _put_otherwise(heard, form, intent.slots[form.asked], form.asked)
    return touched, problems[0] if problems else ""


def begin(heard: Heard, form: Form) -> None:
    """Takes the text that began an intent for a slot that wants it, unless it says no more."""
    intent, title = heard.desk.intents[form.intent], heard.desk.title(form.intent)
    if heard.content() - set(read(f"{in_words(form.intent)} {title}").split()):
        for name, slot in intent.slots.items():
            if slot.opening:
                form.slots.setdefault(name, heard.text[:MAX_TEXT])


def slot_named(heard: Heard, form: Form) -> str | None:
    """The filled slot that is named without a value: "the date"."""
    words = set(re.findall(r"[\w-]+", heard.line)) - acts.STOP
    for name in form.slots:
        slot = heard.desk.intents[form.intent].slots[name]
        if slot.ask and words & {*read(in_words(name)).split(), slot.kind, *slot.cues}:
            return name
    return None


def accepts(slot: Slot, entity: Entity) -> bool:
    """Whether an entity is of a kind that a slot takes."""
    if entity.kind == "duration":
        said = set(entity.text.split()) & set(slot.cues)
        return slot.after is not None or (slot.kind == "number" and bool(said))
    return entity.kind == slot.kind


def _drop_what_is_overtaken(form: Form, intent: Intent, touched: set[str]) -> None:
    """A departure that a new arrival is later than has to be said again."""
    for name, slot in intent.slots.items():
        if slot.after in touched and name in form.slots and name not in touched:
            first = resolve_date(form.slots[slot.after], None)
            then = resolve_date(form.slots[name], first)
            if first and then and then <= first:
                form.slots.pop(name)


def _put_otherwise(heard: Heard, form: Form, slot: Slot, name: str) -> set[str]:
    """What the slot that was asked for takes, where there is no entity for any.

    Any text; a value that is spelled wrong; the default, from somebody who does not mind.
    """
    line, value = heard.line, None
    if slot.default and acts.shrugs(line):
        value = default_of(heard.desk, slot, heard.now)
    elif slot.kind == "text":
        says_nothing = acts.yes_or_no(line) is False or acts.shrugs(line)
        value = None if says_nothing or not re.search(r"\w", line) else heard.text[:MAX_TEXT]
    elif len(re.findall(r"\w+", line)) <= SHORT:
        value = nearest_value(line, heard.desk.lists.get(slot.kind, {}))
    if value is None:
        return set()
    form.slots[name] = value
    return {name}


def _assigned(heard: Heard, form: Form, intent: Intent) -> dict[str, Entity]:
    """The entity for each slot."""
    pairs = _moved(heard, form) if acts.corrects(heard.line) else {}
    if pairs:
        return pairs
    for at, entity in enumerate(heard.entities):
        names = [name for name, slot in intent.slots.items() if accepts(slot, entity)]
        if not names or acts.denied(heard.line, entity.start):
            continue
        name = _cued(names, intent, heard, at)
        name = name or _uncued(entity, names, form, intent, pairs, acts.corrects(heard.line))
        if name in pairs:  # said twice: the first counts, unless it is taken back
            between = heard.line[pairs[name].end : entity.start].strip(" ,.;")
            name = name if acts.corrects(between) else None
        if name is not None:
            pairs[name] = entity
    return pairs


def _moved(heard: Heard, form: Form) -> dict[str, Entity]:
    """From Monday to Tuesday, where Monday is what is known: no stay, but a correction."""
    return {
        name: new
        for old, new in pairwise(heard.entities)
        for name, value in form.slots.items()
        if value in old.readings and heard.line[old.end : new.start].strip() == "to"
    }


def _cued(names: Sequence[str], intent: Intent, heard: Heard, at: int) -> str | None:
    """The slot whose cue stands nearest to an entity, and not beyond another one."""
    entity, others = heard.entities[at], heard.entities
    start = max((e.end for e in others[:at] if e.end <= entity.start), default=0)
    end = min((e.start for e in others[at + 1 :] if e.start >= entity.end), default=None)
    before = re.findall(r"[\w'-]+", heard.line[start : entity.start])[::-1][:NEAR]
    after = re.findall(r"[\w'-]+", heard.line[entity.end : end])[:NEAR]
    # "from Monday", but "3 guests": where a number has words on both sides, those behind it count.
    sides = [entity.text.split(), *([after] if entity.kind == "number" else []), before]
    found = [
        (side.index(cue), order, name)
        for name in names
        for cue in intent.slots[name].cues
        for order, side in enumerate(sides)
        if cue in side
    ]
    return min(found)[2] if found else None


def _uncued(
    entity: Entity,
    names: Sequence[str],
    form: Form,
    intent: Intent,
    pairs: Mapping[str, Entity],
    corrects: bool,
) -> str | None:
    """The slot for an entity that nothing beside it says the slot of."""
    filled = [name for name in reversed(form.slots) if name in names]
    free = [name for name in names if name not in form.slots and name not in pairs]
    if corrects and filled:
        # No day takes the place of a stay of so many nights.
        alike = [n for n in filled if entity.kind != "date" or not form.slots[n].startswith("P")]
        return (alike or filled)[0]
    if form.asked in names and form.asked not in pairs:
        return form.asked
    if form.asked and intent.slots[form.asked].kind == "text" and not corrects:
        return None
    # A number may be of anything, so where a slot has cues it needs one.
    loose = [n for n in free if intent.slots[n].kind != "number" or not intent.slots[n].cues]
    if loose:
        return loose[0]
    return names[0] if len(names) == 1 and names[0] not in free else None
