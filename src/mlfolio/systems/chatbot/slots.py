"""The value of a slot: whether it is allowed, what it stands for, how it is said."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from mlfolio.parts.text.entities import EMAIL, Entity, find, read

from .desk import PLACEHOLDER, Desk, Intent, Slot

FAR = 730  # days ahead beyond which a date is a slip, where the slot says nothing
YEAR_SHOWN = 300  # days ahead from which a date is said with its year


def check(
    desk: Desk, slot: Slot, entity: Entity, slots: Mapping[str, str], now: datetime
) -> tuple[str, str]:
    """The first reading of an entity that a slot allows, or why there is none.

    Args:
        desk: Says why.
        slot: To be filled.
        entity: One of a kind that it takes.
        slots: The values of the others, for what comes after one of them.
        now: Dates are counted from here.

    Returns:
        The value and nothing, or nothing and the problem.
    """
    readings = entity.readings
    if entity.kind == "duration":  # in days for a date, as it was said for a number
        readings = readings[:1] if slot.kind == "date" else readings[1:]
    base = resolve_date(slots.get(slot.after or "", ""), None) or now.date()
    for value in readings:
        if _is_within(slot, value, base, 1 if slot.after in slots else 0):
            return value, ""
    low, high = slot.min, slot.max
    if slot.kind == "date":
        least, most = int(low or (slot.after in slots)), int(high or FAR)
        low, high = (say_date(base + timedelta(days), now) for days in (least, most))
    bounds = f"{low or '…'} – {high or '…'}"
    problem = desk.phrases.not_possible if readings else desk.phrases.not_there
    return "", fill(problem, {"said": entity.text.strip(), "bounds": bounds})


def _is_within(slot: Slot, value: str, base: date, least: int) -> bool:
    """Whether a value is within a slot's bounds; `least` are days from `base` on."""
    if slot.kind == "date":
        day = resolve_date(value, base) or base
        return int(slot.min or least) <= (day - base).days <= int(slot.max or FAR)
    if slot.kind == "time":
        return (slot.min or value) <= value <= (slot.max or value)
    if slot.kind == "number":
        return float(slot.min or value) <= float(value) <= float(slot.max or value)
    return True


def default_of(desk: Desk, slot: Slot, now: datetime) -> str:
    """The value of a slot where nobody cares."""
    said = slot.default or ""
    if slot.kind not in ("date", "time", "number", "email"):
        return said
    found = find(read(said), {}, now, desk.day_first, slot.kind)
    return next((e.readings[0] for e in found if e.kind == slot.kind and e.readings), said)


def suits(desk: Desk, slot: Slot, value: str) -> bool:
    """Whether a value that was kept is one of the slot's kind: the desk may be another since."""
    if slot.kind in desk.lists:
        return value in desk.lists[slot.kind]
    try:
        if slot.kind == "date":
            return resolve_date(value, date(2000, 1, 1)) is not None
        if slot.kind == "number":
            return math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False
    shape = {"time": r"([01]\d|2[0-3]):[0-5]\d", "email": EMAIL, "code": r"[A-Z\d-]{4,12}"}
    is_default = slot.kind == "code" and value == slot.default
    return is_default or bool(re.fullmatch(shape.get(slot.kind, "(?s:.*)"), value))


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


def say(intent: Intent, text: str, slots: Mapping[str, str], now: datetime) -> str:
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
