"""Numbers are the same however they are written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mlfolio.parts.retrieval.numbers import numbers_in, stated


def stands(said: str, text: str) -> bool:
    """Whether every number of a sentence stands in a text."""
    return all(not number.isdisjoint(stated(text)) for number in numbers_in(said))


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("1000", "1,000"), ("1,000", "1000"), ("1 000", "1000"), ("1\u202f000", "1.000"),
        ("1’250", "1,250"), ("1.234,50", "1,234.5"), ("3.0", "3"), ("3,5", "3.5"), ("04", "4"),
        ("20 %", "20%"), ("£90", "90 pounds"), ("9", "nine bars"), ("25", "twenty-five"),
        ("225", "two hundred and twenty-five"), ("3,500", "three thousand five hundred"),
        ("1.5 million", "1,500,000"), ("1,500,000", "1.5 million"), ("3rd", "the third"),
        ("2024-04-01", "1 April 2024"), ("1 April 2024", "01.04.2024"), ("April 1st", "1 April"),
        ("120", "Permit 90 120 300"), ("1990s", "in 1990"), ("5-10", "5 to 10"), ("٣", "3"),
        ("version 3.1.2", "3.1.2"), ("B12 and CO2", "neither"), ("1.25", "1.250"),
        ("1 hour", "an hour"), ("31", "the thirty-first"), ("2 88", "two and eighty-eight"),
    ],
)  # fmt: skip
def test_what_is_the_same(said: str, text: str) -> None:
    assert stands(said, text)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("900", "90"), ("90", "900"), ("9", "90 and 900"), ("1000", "1 and 100"), ("3.5", "3, 5"),
        ("1.5 million", "1.5"), ("0.2", "2"), ("13", "12 and twelve"), ("1,250", "1,25"),
        ("5", "two or three, two and three"), ("3", "a second"), ("28", "twenty eighty-eight"),
    ],
)  # fmt: skip
def test_what_is_not(said: str, text: str) -> None:
    assert not stands(said, text)


def test_any_text_can_be_read() -> None:
    assert stated("9" * 5000) == {Decimal("9" * 5000)}
    assert stated("1,2,3 ... 5. [6] a-hundred ten-ten and and -3") >= {Decimal(3), Decimal(6)}
    assert stated("") == stated("No number.") == frozenset()
