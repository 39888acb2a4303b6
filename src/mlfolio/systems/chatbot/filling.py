"""Which value is for which slot: the one that was asked for, or is named, or is taken back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from . import acts
from .desk import Desk, Intent, Slot, in_words
from .entities import Entity, find, nearest_value, read
from .slots import check, resolve_date

NEAR_WORDS = 3  # between a cue and its value
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
    problem, touched = "", set()
    for name in intent.slots:  # in their order: a departure is checked by its arrival
        if name not in pairs:
            continue
        checked = check(heard.desk, intent.slots[name], pairs[name], form.slots, heard.now)
        if checked.problem:
            problem = problem or checked.problem
            if intent.slots[name].ask:
                form.asked, form.confirming = name, False
            continue
        touched.add(name)
        form.slots.pop(name, None)  # what is said last stands last
        form.slots[name] = checked.value
    _drop_what_is_too_early(form, intent, touched)
    return touched | _taken_whole(heard, form, intent, touched), problem


def begin(heard: Heard, form: Form) -> None:
    """Takes the text that began an intent for a slot that wants it, unless it says no more."""
    intent, title = heard.desk.intents[form.intent], heard.desk.title(form.intent)
    if heard.content() - set(read(f"{in_words(form.intent)} {title}").split()):
        for name, slot in intent.slots.items():
            if slot.opening:
                form.slots.setdefault(name, heard.text[:MAX_TEXT])


def _drop_what_is_too_early(form: Form, intent: Intent, touched: set[str]) -> None:
    """A departure that a new arrival has overtaken."""
    for name, slot in intent.slots.items():
        if slot.after in touched and name in form.slots and name not in touched:
            first = resolve_date(form.slots[slot.after], None)
            then = resolve_date(form.slots[name], first)
            if first and then and then <= first:
                form.slots.pop(name)


def _taken_whole(heard: Heard, form: Form, intent: Intent, touched: set[str]) -> set[str]:
    """The slot of kind text that was asked for, which takes what was said as it is."""
    name, line = form.asked, heard.line
    if name is None or intent.slots[name].kind != "text" or (touched and acts.corrects(line)):
        return set()
    if acts.yes_or_no(line) is False or acts.shrugs(line) or not re.search(r"\w", line):
        return set()
    form.slots[name] = heard.text[:MAX_TEXT]
    return {name}


def _assigned(heard: Heard, form: Form, intent: Intent) -> dict[str, Entity]:
    """The entity for each slot."""
    pairs: dict[str, Entity] = {}
    for at, entity in enumerate(heard.entities):
        names = [name for name, slot in intent.slots.items() if accepts(slot, entity)]
        if not names or acts.denied(heard.line, entity.start):
            continue
        name = cued(names, intent, heard.entities, at, heard.line)
        name = name or _uncued(names, form, intent, pairs, acts.corrects(heard.line))
        if name in pairs:  # said twice: the first counts, unless it is taken back
            between = heard.line[pairs[name].end : entity.start].strip(" ,.;")
            name = name if acts.corrects(between) else None
        if name is not None:
            pairs[name] = entity
    asked = form.asked
    if asked and not pairs and len(heard.line.split()) <= SHORT:
        kind = intent.slots[asked].kind
        value = nearest_value(heard.line, heard.desk.lists.get(kind, {}))
        if value is not None:
            pairs[asked] = Entity(kind, (value,), heard.line, 0, len(heard.line))
    return pairs


def _uncued(
    names: Sequence[str], form: Form, intent: Intent, pairs: Mapping[str, Entity], corrects: bool
) -> str | None:
    """The slot for an entity that nothing beside it says the slot of."""
    filled = [name for name in reversed(form.slots) if name in names]
    free = [name for name in names if name not in form.slots and name not in pairs]
    if corrects and filled:
        return filled[0]
    if form.asked in names and form.asked not in pairs:
        return form.asked
    if form.asked and intent.slots[form.asked].kind == "text" and not corrects:
        return None
    # A number may be of anything, so where a slot has cues it needs one.
    loose = [n for n in free if intent.slots[n].kind != "number" or not intent.slots[n].cues]
    if loose:
        return loose[0]
    return names[0] if len(names) == 1 and names[0] not in free else None


def accepts(slot: Slot, entity: Entity) -> bool:
    """Whether an entity is of a kind that a slot takes."""
    if entity.kind == "duration":
        if slot.kind == "number":
            return any(cue in entity.text.split() for cue in slot.cues)
        return slot.kind == "date" and slot.after is not None
    return entity.kind == slot.kind


def cued(
    names: Sequence[str], intent: Intent, entities: Sequence[Entity], at: int, line: str
) -> str | None:
    """The slot whose cue stands nearest to an entity, and not beyond another one.

    Args:
        names: The slots that would take it.
        intent: Whose slots they are.
        entities: All of the line.
        at: Which of them it is.
        line: The text.
    """
    entity = entities[at]
    start = max((e.end for e in entities[:at] if e.end <= entity.start), default=0)
    end = min((e.start for e in entities[at + 1 :] if e.start >= entity.end), default=len(line))
    before = re.findall(r"[\w'-]+", line[start : entity.start])[::-1]
    after = re.findall(r"[\w'-]+", line[entity.end : end])
    within = entity.text.split()
    sides = [after, before] if entity.kind == "number" else [before, after]
    best: tuple[int, int, str] | None = None
    for name in names:
        for cue in intent.slots[name].cues:
            if cue in within:
                return name
            for order, words in enumerate(sides):
                place = _place(cue.lower().split(), words[:NEAR_WORDS], words is before)
                if place is not None and (best is None or (place, order, name) < best):
                    best = (place, order, name)
    return best[2] if best else None


def _place(cue: list[str], words: list[str], is_before: bool) -> int | None:
    """How many words lie between a cue and its value."""
    wanted = cue[::-1] if is_before else cue
    for at in range(len(words) - len(wanted) + 1):
        if words[at : at + len(wanted)] == wanted:
            return at
    return None
