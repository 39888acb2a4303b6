"""The value of a slot: whether it is allowed, what it stands for, how it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from .desk import PLACEHOLDER, Desk, Intent, Phrases, Slot
from .entities import Entity, find, read

FAR = 730  # days ahead beyond which a date is a slip, where the slot says nothing
YEAR_SHOWN = 300  # days ahead from which a date is said with its year


class Checked(NamedTuple):
    """A value that is allowed, or else what is wrong with what was said."""

    value: str = ""
    problem: str = ""


def check(
    desk: Desk, slot: Slot, entity: Entity, slots: Mapping[str, str], now: datetime
) -> Checked:
    """The first reading of an entity that a slot allows, or why there is none.

    Args:
        desk: Says it in its phrases.
        slot: To be filled.
        entity: One that it accepts.
        slots: The values of the others, for what comes after one of them.
        now: Dates are counted from here.
    """
    if not entity.readings:
        known = desk.phrases.no_such_date if entity.kind == "date" else desk.phrases.again
        return Checked(problem=fill(known, {"said": entity.text.strip()}))
    if entity.kind == "duration" and slot.kind == "number":
        readings: Sequence[str] = entity.readings[1:2]
    else:
        readings = entity.readings[:1] if entity.kind == "duration" else entity.readings
    problems = []
    for value in readings:
        problem = _out_of_bounds(desk.phrases, slot, value, slots, now)
        if problem is None:
            return Checked(value)
        problems.append(problem)
    phrase, bound = problems[0]
    return Checked(problem=fill(phrase, {"said": entity.text.strip(), "bound": bound}))


def _out_of_bounds(
    phrases: Phrases, slot: Slot, value: str, slots: Mapping[str, str], now: datetime
) -> tuple[str, str] | None:
    """The phrase and the bound for a value that is not allowed; None where it is."""
    if slot.kind == "number":
        if slot.min is not None and float(value) < float(slot.min):
            return phrases.too_low, slot.min
        if slot.max is not None and float(value) > float(slot.max):
            return phrases.too_high, slot.max
    if slot.kind == "time":
        if slot.min is not None and value < slot.min:
            return phrases.too_early, slot.min
        if slot.max is not None and value > slot.max:
            return phrases.too_late, slot.max
    if slot.kind == "date":
        base = resolve_date(slots.get(slot.after or "", ""), None) or now.date()
        least = int(float(slot.min)) if slot.min is not None else int(slot.after in slots)
        most = int(float(slot.max)) if slot.max is not None else FAR
        day = resolve_date(value, base)
        assert day is not None  # noqa: S101 - a base is given
        if (day - base).days < least:
            return phrases.too_early, say_date(base + timedelta(least), now)
        if (day - base).days > most:
            return phrases.too_late, say_date(base + timedelta(most), now)
    return None


def default_of(desk: Desk, slot: Slot, now: datetime) -> str:
    """The value of a slot where nobody cares."""
    said = slot.default or ""
    if slot.kind not in ("date", "time"):
        return said
    (entity,) = find(read(said), {}, now, desk.day_first)
    return entity.readings[0]


def resolve_date(value: str, base: date | None) -> date | None:
    """The day that a value stands for: 2026-12-24, or P3D from a day on."""
    if not value.startswith("P"):
        return date.fromisoformat(value) if value else None
    return base + timedelta(int(value[1:-1])) if base else None


def resolved(intent: Intent, slots: Mapping[str, str]) -> dict[str, str]:
    """The values of an intent's slots, in its order, dates as dates where they can be told."""
    values = {}
    for name, slot in intent.slots.items():
        value = slots.get(name, "")
        if slot.kind == "date":
            day = resolve_date(value, resolve_date(slots.get(slot.after or "", ""), None))
            value = day.isoformat() if day else value
        if value:
            values[name] = value
    return values


def say(desk: Desk, intent: Intent, text: str, slots: Mapping[str, str], now: datetime) -> str:
    """A text of the desk with the slots' values in the place of their names."""
    values = {
        name: say_date(date.fromisoformat(value), now)
        if intent.slots[name].kind == "date" and not value.startswith("P")
        else value
        for name, value in resolved(intent, slots).items()
    }
    return fill(text, values)


def say_date(day: date, now: datetime) -> str:
    """Friday 5 June; far ahead or in the past with its year."""
    year = "" if 0 <= (day - now.date()).days < YEAR_SHOWN else f" {day.year}"
    return f"{day:%A} {day.day} {day:%B}{year}"


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with its placeholders replaced; those without a value stay."""
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def expectation(desk: Desk, slot: Slot) -> str:
    """What a slot's value looks like, for somebody whose answer was not understood."""
    if slot.kind in desk.lists:
        return fill(desk.phrases.one_of, {"values": ", ".join(desk.lists[slot.kind])})
    return str(getattr(desk.phrases, slot.kind))
