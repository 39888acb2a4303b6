"""What is found in what people write, as they write it; now is Wednesday, 3 June 2026, 10:00."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import pairwise

import pytest

from mlfolio.parts.text.entities import Entity, find, nearest_value, read

NOW = datetime(2026, 6, 3, 10)
LISTS = {
    "rooms": {"double room": ["double", "twin"], "suite": []},
    "places": {"the port": ["port"]},
}


def found(text: str, expected: str = "", day_first: bool = True) -> list[Entity]:
    return find(read(text), LISTS, NOW, day_first, expected)


def first(text: str, kind: str, expected: str = "") -> str | None:
    """The likeliest value of the first entity of a kind."""
    return next((e.readings[0] for e in found(text, expected) if e.kind == kind), None)


DATES = [
    ("tomorrow", "2026-06-04"),
    ("the day after tomorrow", "2026-06-05"),
    ("on Friday", "2026-06-05"),
    ("next friday", "2026-06-12"),
    ("fri", "2026-06-05"),
    ("no, Tuesday", "2026-06-09"),
    ("Wednesday", "2026-06-10"),
    ("24 December", "2026-12-24"),
    ("Dec 24th, 2027", "2027-12-24"),
    ("the 24th of december", "2026-12-24"),
    ("Friday, 5 June", "2026-06-05"),
    ("2 June", "2027-06-02"),
    ("29 February", "2028-02-29"),
    ("24/12/2026", "2026-12-24"),
    ("3/4", "2027-04-03"),
    ("12/24", "2026-12-24"),
    ("24.12.", "2026-12-24"),
    ("2026-12-24", "2026-12-24"),
    ("the 24th", "2026-06-24"),
    ("first of may", "2027-05-01"),
    ("in two weeks", "2026-06-17"),
    ("in a month", "2026-07-03"),
    ("wendesday", "2026-06-10"),
    ("tommorow", "2026-06-04"),
    ("１２ ｊｕｎｅ", "2026-06-12"),
    ("I sat in the sun", None),
    ("may I come", None),
    ("24/7", None),
    ("the 2nd floor", None),
    ("for 3 people", None),
]


@pytest.mark.parametrize(("text", "day"), DATES)
def test_dates(text: str, day: str | None) -> None:
    assert first(text, "date") == day


TIMES = [
    ("7pm", "19:00"),
    ("7:30 p.m.", "19:30"),
    ("19:30", "19:30"),
    ("07:30", "07:30"),
    ("half past seven in the evening", "19:30"),
    ("quarter to eight in the morning", "07:45"),
    ("ten past nine in the evening", "21:10"),
    ("twelve thirty pm", "12:30"),
    ("noon", "12:00"),
    ("midnight", "00:00"),
    ("8 o'clock in the morning", "08:00"),
    ("around 7 tonight", "19:00"),
    ("at 20h", "20:00"),
    ("at 3", "15:00"),
    ("for 4 people", None),
    ("room 12", None),
    ("at 25:00", None),
]


@pytest.mark.parametrize(("text", "clock"), TIMES)
def test_times(text: str, clock: str | None) -> None:
    assert (
        next((e.readings[0] for e in found(text) if e.kind == "time" and e.readings), None) == clock
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", "3"), ("three", "3"), ("twenty-one", "21"), ("a couple of", "2"), ("just me", "1"),
     ("the two of us", "2"), ("1,200", "1200"), ("2.5", "2.5"), ("-3", "-3"), ("this one", None),
     ("one of the rooms", None), ("9" * 40, None), ("50%", None),
     ("1234567.5", "1234567.5"), ("2.500", "2.5"), ("007", "7")],
)  # fmt: skip
def test_numbers(text: str, number: str | None) -> None:
    assert first(text, "number") == number


def test_a_time_with_a_full_stop_is_no_date() -> None:
    assert [e.kind for e in found("at 19.30.")] == ["time"]
    assert first("let's say at 7.30.", "time") == "07:30"
    assert first("7.30.", "time", expected="time") == "07:30"
    assert first("on 7.3.", "date", expected="time") == "2027-03-07"
    assert first("until 24.12.", "date") == "2026-12-24"
    assert first("by 12.11.", "date", expected="date") == "2026-11-12"
    assert [e.kind for e in found("from 10.12. until 12.12.")] == ["date", "date"]


def test_the_half_of_the_day_is_said_beside_a_greeting() -> None:
    for text in ("Good morning, at 3", "good night, at 3"):
        assert found(text)[0].readings == ("15:00", "03:00")
    assert [e.readings for e in found("at 8 in the evening")] == [("20:00", "08:00")]
    assert [e.readings for e in found("good evening, 8am")] == [("08:00",)]


def test_a_range_gives_both_days_the_month() -> None:
    for text in ("from the 3rd to the 5th of July", "3-5 july", "July 3 to 5"):
        days = [e.readings[0] for e in found(text) if e.kind == "date"]
        assert days == ["2026-07-03", "2026-07-05"], text


def test_what_can_mean_two_things_gives_both() -> None:
    (seven,) = found("at 7")
    assert seven.readings == ("07:00", "19:00")
    (friday,) = found("friday")
    assert friday.readings[:2] == ("2026-06-05", "2026-06-12")
    assert found("3/4", day_first=False)[0].readings[0] == "2027-03-04"


def test_a_day_that_does_not_exist_means_nothing() -> None:
    for text in ("30 February", "31/6", "2026-02-30", "31.11."):
        (entity,) = found(text)
        assert (entity.kind, entity.readings) == ("date", ()), text


def test_a_bare_number_is_what_was_asked_for() -> None:
    assert first("7", "time", expected="time") == "07:00"
    assert first("no, seven", "time", expected="time") == "07:00"
    assert first("the 5", "date", expected="date") == "2026-06-05"
    assert first("for 3", "date", expected="date") is None
    assert first("3 people", "time", expected="time") is None


def test_lists_emails_codes_and_durations() -> None:
    kinds = {e.kind: e.readings[0] for e in found("two TWINS, 3 nights, Bo@x.example, no. GL-4821")}
    assert kinds == {
        "rooms": "double room", "number": "2", "duration": "P3D", "email": "bo@x.example",
        "code": "GL-4821",
    }  # fmt: skip
    assert first("a week", "duration") == "P7D"
    assert [e.kind for e in found("a double room by the port")] == ["rooms", "places"]


def test_entities_do_not_overlap_and_say_where_they_are() -> None:
    line = read("A twin from Friday, 5 June at half past 7 for two people, 3 nights (a@b.example)")
    entities = find(line, LISTS, NOW)
    for one, other in pairwise(entities):
        assert one.end <= other.start
    assert all(line[e.start : e.end] == e.text for e in entities)


def test_misspelled_values_are_near_and_others_are_not() -> None:
    rooms = LISTS["rooms"]
    assert nearest_value("a duble room", rooms) == "double room"
    assert nearest_value("the siute", rooms) == "suite"
    assert nearest_value("trouble", {"suite": []}) is None
    assert nearest_value("a quiet one please", rooms) is None


@pytest.mark.parametrize(
    "text",
    ["1" * 1000, "a@" * 500, "a." * 500, "-".join("1" * 500), "twenty " * 140, "monday to " * 100,
     "1/" * 500, "half past " * 100, "the " * 250, "\u200b" * 1000, "١٢٣" * 300, "²³" * 400,
     "İ" * 900, "1st of " * 140, "may 1" * 200],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_strange_texts_are_read_in_time(text: str) -> None:
    started = time.process_time()
    for expected in ("", "date", "time"):
        found(text, expected)
    assert time.process_time() - started < 1
