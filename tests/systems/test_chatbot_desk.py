"""A desk that is written wrong is told of where it is, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlfolio.core.errors import FileError
from mlfolio.systems.chatbot.desk import SAMPLE, read_desk

DESK = """
lists:
  sizes: {small: , large: [big]}
intents:
  order:
    examples: [order something]
    slots:
      size: {kind: sizes, ask: Which size?}
      day: {kind: date, ask: When?}
      until: {kind: date, ask: Until when?, after: day}
      note: {kind: text}
    answer: "A {size} one."
  hours:
    examples: [opening hours]
    answer: Always.
"""


def read(tmp_path: Path, text: str) -> None:
    (tmp_path / "desk.yaml").write_text(text, "utf-8")
    read_desk(tmp_path / "desk.yaml")


def test_the_sample_is_a_desk_of_ten_intents() -> None:
    hotel = read_desk(SAMPLE)
    assert len(hotel.intents) == 10
    for name, intent in hotel.intents.items():
        assert 15 <= len(intent.examples) <= 25, name
        assert len(set(intent.examples)) == len(intent.examples)
    assert len(hotel.out_of_scope) >= 30
    texts = [text.lower() for text, _ in hotel.examples()]
    assert len(set(texts)) == len(texts)


def test_lists_may_be_short_and_a_value_without_names(tmp_path: Path) -> None:
    read(tmp_path, DESK)
    read(tmp_path, DESK.replace("{small: , large: [big]}", "[small, large]"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: sizes", "kind: size",
         "line 8, intents.order.slots.size.kind: there is no kind 'size'; did you mean 'sizes'?"),
        ("examples: [order", "exmples: [order",
         "line 6, intents.order.exmples: there is no field 'exmples'; did you mean 'examples'?"),
        ("{size} one", "{sise} one",
         "there is no slot to be asked for 'sise'; did you mean 'size'?"),
        ("{size} one", "{note} one",
         "line 12, intents.order.answer: there is no slot to be asked for 'note'"),
        ("{size} one", "{size.__class__} one", "there is no slot to be asked for 'size.__class__'"),
        ("after: day", "after: dat", "there is no other date 'dat'; did you mean 'day'?"),
        ("after: day", "after: until", "there is no other date 'until'"),
        ("kind: text", "kind: text, min: 3", "only dates, times and numbers have a min"),
        ("kind: text", "kind: time, min: noon",
         "line 11, intents.order.slots.note.min: 'noon' is not a time as 18:00"),
        ("kind: text", "kind: date, min: -9999999", "'-9999999' is not whole days"),
        ("kind: text", "kind: date, max: 90.0", "'90.0' is not whole days, such as 1 or 365"),
        ("kind: text", "kind: number, max: nan", "'nan' is not a number"),
        ("kind: text", "kind: number, min: 9, max: 8", "note.min: '9' is above max, '8'"),
        ("kind: text", "kind: number, max: 8, default: nine", "'nine' is beyond min or max"),
        ("kind: text", "kind: time, min: '18:00', default: noon", "'noon' is beyond min or max"),
        ("kind: text", "kind: date, default: someday", "'someday' is no date"),
        ("kind: sizes, ask", "kind: sizes, default: huge, ask",
         "there is no value of sizes 'huge'"),
        ("answer: Always.", "answer: {small: a, medium: b}", "answers by value need a slot"),
        ("answer: Always.", "follow_ups: [{says: [x], intent: ordr}]",
         "there is no intent 'ordr'; did you mean 'order'?"),
        ("answer: Always.", "follow_ups: [{says: [x]}]", "needs either an answer or an intent"),
        ("answer: Always.", "hand_over: perhaps",
         "line 15, intents.hours.hand_over: Input should be a valid boolean"),
        ("examples: [opening hours]", "examples: []", "line 14, intents.hours.examples"),
        ("examples: [opening hours]", "examples: opening hours", "Input should be a valid tuple"),
        ("lists:", "time_zone: Europe/Zuerich\nlists:", "did you mean 'Europe/Zurich'?"),
        ("lists:", "hand_over_after: 0\nlists:", "greater than or equal to 1"),
        ("  hours:\n    examples: [opening hours]\n    answer: Always.\n", "", "at least 2"),
        ("sizes: {small", "date: {small", "it is a kind of slot"),
    ],
    ids=range(27),
)  # fmt: skip
def test_faults_are_told_with_line_field_rule_and_the_nearest_name(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(FileError) as caught:
        read(tmp_path, DESK.replace(old, new))
    assert said in str(caught.value), str(caught.value)
