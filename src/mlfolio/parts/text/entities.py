"""Dates, times, numbers, addresses and values of lists in what people write (English).

Short and strict rules: what they do not know is asked for again, and what they find is shown before
it counts. A text that can mean several things ("at 7", "Friday") gives all its readings, the likely
one first: the slot that it fills takes the first that it allows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

Lists = Mapping[str, Mapping[str, Sequence[str]]]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90}
WORDS = {word: n for n, word in enumerate(ONES)} | TENS | {
    f"{ten}{gap}{one}": n + m
    for ten, n in TENS.items() for m, one in enumerate(ONES[1:10], 1) for gap in "- "
} | {"a couple of": 2, "a couple": 2, "a dozen": 12, "a": 1, "an": 1}  # fmt: skip
ORDINALS = {
    word: n
    for n, word in enumerate(
        re.split(
            " ",
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth "
        "twenty-first twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth "
        "twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"), 1,
    )
}  # fmt: skip
LONG_NAMES = [name for name in (*WEEKDAYS, *MONTHS, "tomorrow", "tonight") if len(name) > 5]
AHEAD = 12  # weeks, or months, that a bare weekday or day may be ahead
UNITS = {"night": 1, "day": 1, "week": 7, "fortnight": 14}

COUNT = "|".join(sorted(map(re.escape, WORDS), key=len, reverse=True))
N = rf"(?P<n>\d{{1,3}}|{COUNT})"
DAY = rf"(?P<day>\d{{1,2}}|{'|'.join(sorted(ORDINALS, key=len, reverse=True))})(?:st|nd|rd|th)?"
MONTH = (
    r"(?P<month>" + "|".join(f"{m[:3]}(?:t|{m[3:]})?" if m[3:] else m for m in MONTHS) + r")\b\.?"
)
YEAR = r"(?:,? (?P<year>\d{4})\b)?"
NAMED = r"(?:(?:" + "|".join(f"{d[:3]}(?:{d[3:]})?" for d in WEEKDAYS) + r"),? (?:the )?)?"
SHORT = r"mon|tues?|weds?|thu(?:rs?)?|fri|sat|sun"
PREPOSITIONS = ("on", "to", "by", "for", "from", "until", "till")
# Before short names of days: "sat" and "sun" are words too.
LEADS = (*PREPOSITIONS, "arriving", "leaving", "this", "next", "no", "no,")
BEFORE = "(?:" + "".join(rf"(?<=\b{word} )|" for word in LEADS) + "^)"
TO = r" ?(?:-|to|until|till|through) ?(?:the )?"
ENDS = r"(?=$|[.,;!?)]| (?:to|until|till|for|at|and|or|please|in|instead|then|if|by|from)\b| -)"
UNIT_AHEAD = (
    r"(?! ?(?:people|persons?|guests?|nights?|days?|weeks?|adults?|kids|children|rooms?|of us)\b)"
)
# What a rule finds, in the order in which they are tried; what one has found, no later one takes.
DATES = {
    "iso": r"\b(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\b",
    "numbers": r"(?<![\d/.])(?!24/7)(?P<a>\d{1,2})(?:/(?P<b>\d{1,2})(?:/(?P<year>\d{4}|\d\d))?"
    r"|\.(?P<b2>\d{1,2})\.(?P<year2>\d{4}|\d\d)?)(?![\d/])",
    "range": rf"\b(?:the )?{DAY}{TO}(?P<last>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {MONTH}{YEAR}",
    "range2": rf"\b{MONTH} {DAY}{TO}(?P<last>\d{{1,2}})(?:st|nd|rd|th)?\b(?! ?[a-z]){YEAR}",
    "day month": rf"\b{NAMED}(?:the )?{DAY}(?: of)?[ -]?{MONTH}{YEAR}",
    "month day": rf"\b{NAMED}{MONTH} (?:the )?{DAY}\b{YEAR}",
    "relative": r"\b(?P<word>(?:the )?day after tomorrow|today|tonight|tomorrow|tmrw|yesterday)\b",
    "ahead": rf"\bin {N} (?P<unit>day|week|month)s?\b"
    r"|\b(?P<n2>a week) (?:from )?(?=(?:today|now)\b)",
    "weekday": rf"\b(?P<which>next |this |coming )?(?:the )?(?P<name>{'|'.join(WEEKDAYS)})\b"
    rf"|{BEFORE}(?P<name2>{SHORT})\b",
    "duration": rf"\b{N}(?: more)?[ -](?P<unit>night|day|week|fortnight)s?\b",
    "ordinal": rf"\b(?:{NAMED})(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)\b{ENDS}",
}
TIMES = {
    "clock": r"(?<![\d.:/])(?P<h>\d{1,2})(?:[:.](?P<m>\d{2})|h(?P<m2>\d{2})?)(?![\d:/%]|\.\d)"
    r"(?: ?(?P<half>[ap])\.?m\b\.?)?",
    "half day": r"(?<![\d.:/])(?P<h>\d{1,2}) ?(?P<half>[ap])\.?m\b\.?",
    "spoken": rf"\b(?P<part>half|quarter|{COUNT}|\d{{1,2}})(?: minutes)? (?P<way>past|to|after) "
    rf"(?P<h>\d{{1,2}}|{COUNT})\b{UNIT_AHEAD}",
    "words": rf"\b(?P<h>{COUNT}|\d{{1,2}}) (?P<m>fifteen|thirty|forty[- ]five)\b",
    "o'clock": rf"\b(?P<h>\d{{1,2}}|{COUNT}) ?o'? ?clock\b",
    "named": r"\b(?P<name>noon|midday|midnight)\b",
    "at": rf"\b(?:at|around|about|by|until|till|before|after) (?P<h>\d{{1,2}}|{COUNT})\b{ENDS}"
    rf"|\b(?P<h2>\d{{1,2}}|{COUNT}) "
    r"(?=(?:in the (?:morning|afternoon|evening)|at night|tonight)\b)",
}
BARE = rf"(?:(?:no|ok|at|on|the|by|say|maybe|rather|make it|actually|around|about)[, ]+)*{N}{ENDS}"
# With a full stop behind it a time looks like a date: "at 19.30."
POINTED_TIME = re.compile(r"(?:[01]?\d|2[0-3])\.[0-5]\d\.")
BEFORE_TIME = {"": r"\b(?:at|around|about|by|until|till) $", "date": r"\b(?:at|around|about) $"}
EMAIL = r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,5}[a-z]{2,24}\b"
CODE = r"(?<![\w-])(?=[a-z-]{0,11}\d)[a-z\d][a-z\d-]{2,10}[a-z\d](?![\w-])"
NUMBER = (
    r"(?<![\w.,/-])(?P<digits>-?(?:\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.\d{1,6})?)(?![\w%/]|[.,]\d)"
    r"|\b(?<!this )(?<!that )(?<!which )(?<!first )(?<!other )(?<!no )"
    rf"(?P<word>{COUNT})\b(?! of (?:the|my|our|your)\b)"
    r"|\b(?P<us>(?:just|only) (?:me|myself)|(?:the )?(?P<many>two|three|four|five|six) of us)\b"
)


class Entity(NamedTuple):
    """A piece of a text that means something.

    Attributes:
        kind: `date`, `duration` (of days), `time`, `number`, `email`, `code`, or a list's name.
        readings: What it may mean, the likely one first: dates as 2026-12-24, durations as P7D
            and their bare number (a week: 1), times as 19:30, else the number or the value. None
            where it means nothing: 30 February.
        text: As it stands in the text that was read.
        start: Where it begins there.
        end: Where it has ended.
    """

    kind: str
    readings: tuple[str, ...]
    text: str
    start: int
    end: int


def read(text: str) -> str:
    """A text as the rules read it: small letters, plain quotes and dashes, names spelled right."""
    plain = unicodedata.normalize("NFKC", text).translate(
        str.maketrans("’‘`–—−", "'''---", "\u200b")
    )
    words = re.split(r"([^\W\d_]+)", " ".join(plain.lower().split()))
    return "".join(_spelled(word) if len(word) > 5 else word for word in words)


@lru_cache(maxsize=10_000)
def _spelled(word: str) -> str:
    """`wendesday` as `wednesday`; every other word as it is."""
    return (get_close_matches(word, LONG_NAMES, n=1, cutoff=0.85) or [word])[0]


def find(
    line: str, lists: Lists, now: datetime, day_first: bool = True, expected: str = ""
) -> list[Entity]:
    """The entities of a text, in its order; no two overlap, but for a number that may be a code.

    Args:
        line: As `read` gives it.
        lists: Of each list its values, with the other ways to say them.
        now: Which day is today.
        day_first: Whether 3/4 is in April.
        expected: The kind that was asked for: a bare number may be a date or a time then.
    """
    found: list[Entity] = []

    def take(entities: Iterator[Entity]) -> None:
        for new in entities:
            if all(new.end <= old.start or old.end <= new.start for old in found):
                found.append(new)

    take(_matches("email", EMAIL, line))
    take(_listed(line, lists))
    for rule in DATES:
        take(_dates(rule, line, now.date(), day_first, expected))
    for rule in TIMES:
        take(_times(rule, line))
    if expected in ("date", "time"):
        take(_bare(expected, line, now.date()))
    solid = list(found)
    take(_numbers(line))
    codes = [
        code for code in _matches("code", CODE, line)
        if all(code.end <= old.start or old.end <= code.start for old in solid)
    ]  # fmt: skip
    return sorted(found + codes, key=lambda entity: (entity.start, entity.kind))


def nearest_value(line: str, values: Mapping[str, Sequence[str]]) -> str | None:
    """The value of a list that somebody meant who cannot spell it; None if there is none near."""
    names = {name.lower(): value for value, more in values.items() for name in (value, *more)}
    words = re.findall(r"\w+", line)[:30]
    pieces = [" ".join(words[at : at + n]) for n in (3, 2, 1) for at in range(len(words))]
    for piece in dict.fromkeys(pieces):
        if len(piece) > 3 and (near := get_close_matches(piece, names, n=1, cutoff=0.8)):
            return names[near[0]]
    return None


def _matches(kind: str, pattern: str, line: str) -> Iterator[Entity]:
    for match in re.finditer(pattern, line):
        value = match.group().upper() if kind == "code" else match.group()
        yield Entity(kind, (value,), match.group(), *match.span())


def _listed(line: str, lists: Lists) -> Iterator[Entity]:
    """Values of lists, the longest names first: a double room is not a room."""
    found = []
    for kind, values in lists.items():
        pattern, names = _names_of(tuple((value, tuple(more)) for value, more in values.items()))
        for match in pattern.finditer(line) if names else ():
            text = "".join(match.groups())
            entity = Entity(
                kind, (names[match[1]],), text, match.start(), match.start() + len(text)
            )
            found.append((len(match[1]), entity))
    yield from (entity for _, entity in sorted(found, key=lambda each: -each[0]))


@lru_cache(maxsize=100)
def _names_of(
    values: tuple[tuple[str, tuple[str, ...]], ...],
) -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds the names of a list, the longest one from each place on; and whose they are."""
    names: dict[str, str] = {}
    for value, more in values:
        for name in filter(None, map(read, (value, *more))):
            names.setdefault(name, value)
    either = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<!\w)(?=({either})((?:s|es)?)(?!\w))"), names


def _dates(
    rule: str, line: str, today: date, day_first: bool, expected: str = ""
) -> Iterator[Entity]:
    for match in re.finditer(DATES[rule], line):
        part = match.groupdict()
        if rule == "numbers" and _is_time(match, expected):
            continue
        readings: tuple[str, ...]
        if rule.startswith("range"):
            yield from _range(match, today)
            continue
        if rule == "duration":
            count = _count(part["n"])
            readings = (f"P{count * UNITS[part['unit']]}D", str(count))
            yield Entity("duration", readings, match.group(), *match.span())
            continue
        if rule == "ordinal":
            readings = _days_of_month(int(part["day"]), today)
        elif rule == "weekday":
            readings = _weekdays(part["name"] or part["name2"], part["which"] or "", today)
        elif rule == "relative":
            readings = _iso(today + timedelta(_days_ahead(part["word"])))
        elif rule == "ahead":
            readings = _iso(_ahead(part, today))
        elif rule == "numbers":
            readings = _numeric(part, today, day_first)
        else:
            month = part["month"]
            number = int(month) if month.isdigit() else _month(month)
            readings = _calendar(part["year"], number, _day(part["day"]), today)
        yield Entity("date", readings, match.group(), *match.span())


def _is_time(match: re.Match[str], expected: str) -> bool:
    """Whether 19.30. is a time at the end of a sentence."""
    before = match.string[: match.start()]
    if not POINTED_TIME.fullmatch(match.group()):
        return False
    if expected == "time":
        return not before.endswith("on ")
    # "from 10.12. until 12.12." is a stay
    after_date = expected == "date" or re.search(r"\d\.\d{1,2}\.", before)
    return bool(re.search(BEFORE_TIME["date" if after_date else ""], before))


def _range(match: re.Match[str], today: date) -> Iterator[Entity]:
    """Both days of "3rd to 5th of June"."""
    part = match.groupdict()
    middle = match.end("day")
    for day, start, end in (
        (_day(part["day"]), match.start(), middle),
        (int(part["last"]), match.start("last"), match.end()),
    ):
        found = _calendar(part["year"], _month(part["month"]), day, today)
        yield Entity("date", found, match.string[start:end], start, end)


def _iso(day: date | None) -> tuple[str, ...]:
    return (day.isoformat(),) if day else ()


def _calendar(year: str | None, month: int, day: int, today: date) -> tuple[str, ...]:
    """A day of a month; without a year the next one, and after that the one a year later."""
    years = [int(year) + 2000 * (len(year) == 2)] if year else range(today.year, today.year + 9)
    found = []
    for each in years:
        with suppress(ValueError):
            day_then = date(each, month, day)
            if year or day_then >= today:
                found.append(day_then.isoformat())
    return tuple(found[:2])


def _numeric(part: Mapping[str, str | None], today: date, day_first: bool) -> tuple[str, ...]:
    first, second = int(part["a"] or 0), int(part["b"] or part["b2"] or 0)
    year, pointed = part["year"] or part["year2"], part["b2"] is not None
    usual = [(second, first), (first, second)]
    found = [
        _calendar(year, *pair, today) for pair in (usual if day_first or pointed else usual[::-1])
    ]
    return next(filter(None, found), ())


def _weekdays(name: str, which: str, today: date) -> tuple[str, ...]:
    """The next such day after today, or with `next` the one in the week from next Monday on."""
    number = next(n for n, day in enumerate(WEEKDAYS) if day.startswith(name[:3]))
    ahead = (number - today.weekday() - 1) % 7 + 1
    if which.startswith("next"):
        ahead = 7 - today.weekday() + number
    return tuple((today + timedelta(ahead + 7 * week)).isoformat() for week in range(AHEAD))


def _days_of_month(day: int, today: date) -> tuple[str, ...]:
    found = []
    for ahead in range(AHEAD + 1):
        years, month = divmod(today.month - 1 + ahead, 12)
        with suppress(ValueError):
            found.append(date(today.year + years, month + 1, day))
    return tuple(each.isoformat() for each in found if each >= today)


def _days_ahead(word: str) -> int:
    if "after" in word:
        return 2
    return {"tomorrow": 1, "tmrw": 1, "yesterday": -1}.get(word, 0)


def _ahead(part: Mapping[str, str | None], today: date) -> date | None:
    if part["n2"]:
        return today + timedelta(7)
    count, unit = _count(part["n"] or ""), part["unit"]
    if unit != "month":
        return today + timedelta(count * UNITS[unit or "day"])
    years, month = divmod(today.month - 1 + count, 12)
    for day in range(today.day, 27, -1):
        with suppress(ValueError):
            return date(today.year + years, month + 1, day)
    return date(today.year + years, month + 1, min(today.day, 28))


def _times(rule: str, line: str) -> Iterator[Entity]:
    for match in re.finditer(TIMES[rule], line):
        part = match.groupdict()
        if rule == "named":
            readings: tuple[str, ...] = ("00:00",) if part["name"] == "midnight" else ("12:00",)
        elif rule == "spoken":
            readings = _spoken(part, line)
        else:
            hour = _count(part.get("h") or part.get("h2") or "")
            minute = _count(part.get("m") or part.get("m2") or "0")
            padded = (part.get("h") or "").startswith("0")
            readings = _clock(hour, minute, part.get("half"), line, padded)
        if readings or rule in ("clock", "half day"):
            yield Entity("time", readings, match.group(), *match.span())


def _spoken(part: Mapping[str, str | None], line: str) -> tuple[str, ...]:
    """Half past seven, ten to eight."""
    spoken, hour = part["part"] or "", _count(part["h"] or "")
    minute = {"half": 30, "quarter": 15}.get(spoken) or _count(spoken)
    if part["way"] == "to":
        hour, minute = hour - 1, 60 - minute
    return _clock(hour, minute, None, line, padded=False)


def _half(line: str) -> str:
    """Which half of the day is spoken of: `a`, `p`, or empty where nothing says it."""
    line = re.sub(r"\bgood (?:morning|afternoon|evening|night)\b", "", line)
    if re.search(r"\b(?:evening|tonight|afternoon|night)\b", line):
        return "p"
    return "a" if re.search(r"\bmorning\b", line) else ""


def _clock(hour: int, minute: int, said: str | None, line: str, padded: bool) -> tuple[str, ...]:
    """The times that a clock's hands may mean; from one to six the afternoon comes first.

    The half of the day that is `said` with it is meant; one that the line speaks of comes first.
    """
    if not 0 <= hour <= 24 or not 0 <= minute < 60 or (hour == 24 and minute):
        return ()
    if hour == 0 or hour > 12 or padded:
        hours = [hour % 24]
    else:
        half = said or _half(line) or ("p" if hour < 7 or hour == 12 else "a")
        early, late = hour % 12, hour % 12 + 12
        hours = [late, early] if half == "p" else [early, late]
        hours = hours[:1] if said else hours
    return tuple(f"{each:02}:{minute:02}" for each in hours)


def _bare(kind: str, line: str, today: date) -> Iterator[Entity]:
    """A number that is all of an answer, where a date or a time was asked for."""
    match = re.match(BARE, line)
    if match is None or match["n"] in ("a", "an"):
        return
    count = _count(match["n"])
    if kind == "date":
        readings = _days_of_month(count, today)
    else:
        readings = _clock(count, 0, None, line, padded=match["n"].startswith("0"))
    if readings:
        yield Entity(kind, readings, match["n"], *match.span("n"))


def _numbers(line: str) -> Iterator[Entity]:
    for match in re.finditer(NUMBER, line):
        if match["word"] in ("a", "an"):
            continue
        if match["digits"]:
            shown = f"{Decimal(match['digits'].replace(',', '')).normalize():f}"
        elif match["word"]:
            shown = str(WORDS[match["word"]])
        else:
            shown = str(WORDS[match["many"]]) if match["many"] else "1"
        yield Entity("number", (shown,), match.group(), *match.span())


def _count(word: str) -> int:
    return int(word) if word.isdigit() else WORDS.get(word, -1)


def _day(word: str) -> int:
    return int(word) if word.isdigit() else ORDINALS[word]


def _month(word: str) -> int:
    return next(n for n, name in enumerate(MONTHS, 1) if name.startswith(word[:3]))
