"""The numbers in a text, however they are written: 1,000 and 1 000 and a thousand are one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal

Readings = frozenset[Decimal]

# Not within a word: B12 and CO2 are names. Of 3.1.2 and 01.04.2024 each part is a number.
_NUMBER = re.compile(
    r"(?<!\w)(?:(?P<grouped>[1-9]\d{0,2}(?P<by>[,.'’ ])\d{3}(?:(?P=by)\d{3})*)"
    r"(?:[.,](?P<rest>\d+))?|(?<!\d[.,])(?P<decimal>\d+[.,]\d+)(?![.,]\d)|(?P<whole>\d+))(?!\d)"
    r"(?:\s*(?P<times>hundred|thousand|million|billion)\b|(?:st|nd|rd|th)\b)?",
    re.IGNORECASE,
)
_TIMES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_LISTS = (  # each word is its place
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty",
    "- first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
    "- january february march april may june july august september october november december",
)
_WORDS = {word: n for words in _LISTS for n, word in enumerate(words.split()) if word != "-"} | {
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_WORD = "|".join([*_WORDS, *_TIMES])
_IN_WORDS = re.compile(rf"\b(?:{_WORD})(?:(?:\s+and)?[\s-]+(?:{_WORD}))*\b", re.IGNORECASE)
_ARTICLE = re.compile(r"\ban?\b", re.IGNORECASE)


def numbers_in(text: str) -> list[Readings]:
    """The numbers that are written in digits, each with the ways to read it."""
    return [_readings(found) for found in _NUMBER.finditer(_plain(text))]


def stated(text: str) -> Readings:
    """All that a text may state: its numbers in every reading, and those in words."""
    text = _plain(text)
    found = set(map(Decimal, [*_in_words(text), *([1] if _ARTICLE.search(text) else [])]))
    for number in _NUMBER.finditer(text):
        found |= _readings(number)
        if number["by"] == " ":  # a row of a table
            found |= set(map(Decimal, number["grouped"].split()))
    return frozenset(found)


def without_numbers(text: str) -> str:
    """A text without those in digits."""
    return _NUMBER.sub(" ", _plain(text))


def _plain(text: str) -> str:
    """With the digits and spaces of ASCII, but for other scripts."""
    return unicodedata.normalize("NFKC", text)


def _readings(found: re.Match[str]) -> Readings:
    """What a number may be: 1.250 is one and a quarter too, and of 5 200 the last part a number."""
    if grouped := found["grouped"]:
        first, *parts = re.split(r"\D", grouped)
        values = {Decimal(f"{first}{''.join(parts)}.{found['rest'] or 0}")}
        if found["by"] == "." and len(parts) == 1 and not found["rest"]:
            values.add(Decimal(grouped))
        if found["by"] == " ":
            values.add(Decimal(parts[-1]))
    else:
        values = {Decimal((found["decimal"] or found["whole"]).replace(",", "."))}
    if found["times"]:
        values = {value * _TIMES[found["times"].lower()] for value in values}
    return frozenset(values)


def _in_words(text: str) -> Iterator[int]:
    """Numbers that are written out: nine, the third, April, two hundred and twenty-five."""
    for run in _IN_WORDS.findall(text):
        whole = part = 0
        for word in re.findall(r"[a-z]+", run.lower()):
            if word in _TIMES:
                part = max(part, 1) * _TIMES[word]
                whole, part = (whole + part, 0) if part >= 1000 else (whole, part)
            elif word != "and":
                value = _WORDS[word]
                after_tens = part % 100 >= 20 and part % 10 == 0 and value < 10
                if part % 100 and not after_tens:  # two and three are not five
                    yield whole + part
                    whole = part = 0
                part += value
        yield whole + part
