"""Metadata as labels: what is written is what is found, and nothing else is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlfolio.core.errors import FileError
from mlfolio.parts.retrieval.labels import MAX_METADATA, as_text, labels_of, read_metadata
from mlfolio.parts.retrieval.parse import parse_bytes
from mlfolio.parts.retrieval.where import Where, keys_of, resolve, unknown_keys

TEXTS = st.sampled_from(["Legal", "LEGAL", "sales", "Straße", "2024", "true", "it's", "a=b", "é"])
NUMBERS = st.sampled_from([0, 1, -1, 1.0, 2024, 2024.0, 2024.5, 1e21, 10**21, -0.0, 3e-5])
DAYS = st.dates(date(2023, 12, 30), date(2024, 1, 3)).map(date.isoformat)
TIMES = DAYS.map(lambda day: f"{day}T10:00:00")
SCALARS = st.one_of(TEXTS, NUMBERS, DAYS, TIMES, st.booleans())
KEYS = st.sampled_from(["team", "year", "date"])
METADATA = st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)))
ENDS = [st.tuples(st.none() | ends, st.none() | ends) for ends in (NUMBERS, DAYS)]
RANGES = (
    st.one_of(ENDS)
    .filter(lambda ends: ends != (None, None))
    .map(lambda ends: {k: v for k, v in zip(("from", "to"), ends, strict=True) if v is not None})
)
CONDITIONS = st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3), RANGES)
FILTERS = st.dictionaries(KEYS, CONDITIONS, min_size=1)


def values(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def written(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value).casefold()
    return str(int(value)) if abs(value) < 1e21 and value == int(value) else str(float(value))


def equal(one: Any, other: Any) -> bool:
    """The rule in plain Python: numbers by their value, all else as it is written."""
    if any(isinstance(each, bool | str) for each in (one, other)):
        return written(one) == written(other)
    return bool(one == other)


def in_range(value: Any, ends: Mapping[str, Any]) -> bool:
    low, high = ends.get("from"), ends.get("to")
    if isinstance(low if low is not None else high, str):
        day = str(value)[:10]
        is_day = len(day) == 10 and day[4] == "-"
        return is_day and (low is None or low <= day) and (high is None or day <= high)
    if isinstance(value, bool) or (isinstance(value, str) and not value.isdigit()):
        return False
    return (low is None or low <= float(value)) and (high is None or float(value) <= high)


def holds(metadata: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    def met(value: Any, condition: Any) -> bool:
        if isinstance(condition, dict):
            return in_range(value, condition)
        return any(equal(value, each) for each in values(condition))

    return all(
        any(met(value, condition) for value in values(metadata.get(key, [])))
        for key, condition in where.items()
    )


@given(st.lists(METADATA, max_size=6), FILTERS)
def test_a_filter_finds_what_plain_python_finds(
    documents: list[dict[str, Any]], where: dict[str, Any]
) -> None:
    labels = [set(labels_of(metadata)) for metadata in documents]

    groups, lacking = resolve(Where.model_validate(where), set().union(*labels))

    found = [all(own & set(group) for group in groups) for own in labels]
    assert found == [holds(metadata, where) for metadata in documents]
    assert bool(lacking) == any(not group for group in groups)


@given(FILTERS)
def test_a_filter_is_the_same_after_a_journey(where: dict[str, Any]) -> None:
    one = Where.model_validate(where)
    other = Where.model_validate_json(one.model_dump_json())
    turned = Where.model_validate(dict(reversed(where.items())))

    assert one == other == turned
    assert hash(one) == hash(other) == hash(turned)


def test_what_differs_is_another_filter() -> None:
    yes, one = Where.model_validate({"a": True}), Where.model_validate({"a": 1})
    assert yes != one
    assert Where.model_validate({"a": 1.0}) == one
    assert Where.model_validate({"a": ["x", "Y"]}) == Where.model_validate({"A": ["y", "X", "x"]})


def test_labels_are_sorted_and_once() -> None:
    metadata = {"Team": "  Legal\n and  Tax ", "tags": ["b", "B", "a", None], "n": 2.0, "no": None}
    assert labels_of(metadata) == ("n=2", "tags=a", "tags=b", "team=legal and tax")
    assert labels_of({}) == labels_of({"a": []}) == ()


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"a b": 1}, "'a b' is no key"),
        ({"": 1}, "'' is no key"),
        ({"1a": None}, "'1a' is no key"),
        ({"a" * 51: 1}, "is no key"),
        ({7: 1}, "7 is no key"),
        ({"a": {"b": 1}}, "a = {'b': 1}: no text, number or boolean"),
        ({"a": [[1]]}, r"a = \[1\]: no text"),
        ({"a": "x" * 201}, "a text of 201 characters; at most 200"),
        ({"a": "\ud800"}, "control characters"),
        ({"a": "x\0y"}, "control characters"),
        ({"a": "  "}, "an empty text"),
        ({"a": math.nan}, "a number without end"),
        ({"a": 10**400}, "a number without end"),
        ({f"k{n}": 1 for n in range(51)}, "51 keys of metadata; at most 50"),
        ({"a": ["x" * 200] * 21}, f"at most {MAX_METADATA:,}"),
    ],
)
def test_what_is_no_metadata_is_refused(metadata: dict[Any, Any], said: str) -> None:
    with pytest.raises(FileError, match=said) as caught:
        labels_of(metadata)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"date": {"form": "2024-01-01"}}, "did you mean 'from'"),
        ({"date": {}}, "a range has an end"),
        ({"date": {"from": "yesterday"}}, "no number and no day"),
        ({"date": {"from": "2024-02-31"}}, "no number and no day"),
        ({"date": {"from": True}}, "no number and no day"),
        ({"date": {"from": 1, "to": "2024-01-01"}}, "two numbers, or two days"),
        ({"a": []}, "at least 1 item"),
        ({"a": ["x"] * 101}, "at most 100 items"),
        ({"a": None}, "no text, number or boolean"),
        ({"a": {"from": math.inf}}, "a number without end"),
        ({"a": 1, "A": 2}, "there twice"),
        ({"k" * 201: 1}, "at most 200"),
        ({f"k{n}": 1 for n in range(51)}, "at most 50"),
        (["a"], "valid dictionary"),
    ],
)
def test_what_is_no_filter_is_refused(where: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Where.model_validate(where)


def test_an_unknown_key_or_value_is_told_with_the_nearest() -> None:
    vocabulary = set(labels_of({"team": ["legal", "sales"], "year": 2024}))
    where = Where.model_validate({"tema": "legal", "zzz": 1, "team": "leagl", "year": {"to": 1999}})

    assert unknown_keys(where, keys_of(vocabulary)) == {
        "tema": "no document has this key; did you mean 'team'?",
        "zzz": "no document has this key",
    }
    assert resolve(where, vocabulary).lacking[2:] == [
        "no document has team = leagl; did you mean 'legal'?",
        "no document has a year to 1999",
    ]


def test_the_nearest_of_very_many_values_is_not_looked_for() -> None:
    """Minutes for a list of a hundred, in which the server does nothing else."""
    vocabulary = [f"customer=c-{number:06}" for number in range(20_000)]
    where = Where.model_validate({"customer": [f"c_{number:06}" for number in range(100)]})

    (lack,) = resolve(where, vocabulary).lacking

    assert lack.startswith("no document has customer = c_000000 or")
    assert "did you mean" not in lack


def test_a_number_and_its_text_are_one() -> None:
    assert as_text("2024") == as_text(2024) == as_text(2024.0) == "2024"
    assert as_text(True) == as_text("TRUE") == "true"
    assert as_text(10**21) == as_text(1e21) == "1e+21"


# ---------------------------------------------------------------- front matter


def front(yaml: str) -> list[tuple[str, str]]:
    blocks = parse_bytes("a.md", f"---\n{yaml}\n---\n\nText.\n".encode())
    assert blocks[-1].text == "Text."
    return [(block.kind, block.text) for block in blocks[:-1]]


def test_front_matter_gives_labels() -> None:
    yaml = (
        'Team: Legal\ndate: 2024-03-01\nat: 2024-03-01 10:00:00\ntags: [a, "B", 3]\ndraft: no\n'
        'nested: {a: 1}\nlist of lists: [[1]]\nlong: "' + "x" * 201 + '"\nnothing:\n'
        "bad: 2024-02-31\nodd: !!python/name:os.system x\nn: 2.0\n"
    )
    assert front(yaml) == [
        ("label", label)
        for label in ("at=2024-03-01t10:00:00", "date=2024-03-01", "draft=false", "n=2", "tags=3",
                      "tags=a", "tags=b", "team=legal")
    ]  # fmt: skip


@pytest.mark.parametrize("yaml", ["a: [", "a: b: c", "\t- x", "[" * 60_000, "a: 1\n" * 20_000])
def test_front_matter_that_is_none_is_told(yaml: str) -> None:
    ((kind, said),) = front(yaml)
    assert (kind, said[:12]) == ("odd", "front matter")


@pytest.mark.parametrize(
    "odd",
    [
        "[1]: http://example.com", "? {a: b}\n: c", "b: !!int ''", "b: !!float ''",
        "b: !!bool maybe", "b: !!timestamp soon", "b: !!nobody x", "!!bool maybe: b",
    ],
)  # fmt: skip
def test_front_matter_that_breaks_a_rule_costs_itself(odd: str) -> None:
    assert front(f"team: legal\n{odd}") == [("label", "team=legal")]


def test_hostile_front_matter_stays_small() -> None:
    bomb = "a: &a {x: 1}\n" + "".join(
        f"{new}: &{new} {{<<: [{', '.join(['*' + old] * 9)}]}}\n"
        for old, new in zip("abcdefghijkl", "bcdefghijklm", strict=True)
    )
    assert front(bomb) == []
    listed = "a: &a [" + "1, " * 150 + "1]\n" + "".join(f"k{n}: *a\n" for n in range(500))
    labels = front(listed)
    assert sum(len(text) for _, text in labels) <= MAX_METADATA
    assert front("just a text") == front("- a\n- b") == []


# ---------------------------------------------------------------- metadata.jsonl


def test_metadata_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    path.write_text(
        '\ufeff{"document": "a.md", "team": "legal\u2028x"}\n\n{"document": "b/c.pdf"}\n'
    )
    assert read_metadata(path) == {"a.md": {"team": "legal\u2028x"}, "b/c.pdf": {}}


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '"x"', '{"team": "legal"}', '{"document": 3}', '{"document": "x", "a b": 1}',
     '{"document": "x", "a": {"b": 1}}', '{"document": "a.md"}', "[" * 100_000],
)  # fmt: skip
def test_a_broken_line_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metadata.jsonl"
    path.write_text(f'{{"document": "a.md", "team": "legal"}}\n{line}\n')
    with pytest.raises(FileError, match=r"metadata\.jsonl, line 2: ") as caught:
        read_metadata(path)
    assert caught.value.fix
