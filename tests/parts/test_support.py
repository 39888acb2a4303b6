"""Sentences that nothing they cite supports."""

from __future__ import annotations

import pytest

from mlfolio.parts.retrieval.support import SUPPORT, Signals, signals, unsupported
from tests.parts.retrieval_tools import Words

ENCODER = Words()
PUMP = "The blue pump starts at nine bars. It is oiled every second week."
VALVE = "The red valve shuts at 12 bars. Nobody has seen it open."


def test_what_is_said_in_other_order_is_supported() -> None:
    assert unsupported(ENCODER, "At nine bars the blue pump starts [1].", [PUMP, VALVE]) == []


@pytest.mark.parametrize("mark", [" [1].", ". [1]"])
def test_what_nothing_says_is_not(mark: str) -> None:
    answer = f"The blue pump starts at nine bars [1]. Elephants sleep while standing{mark}"

    (found,) = unsupported(ENCODER, answer, [PUMP, VALVE])

    assert found.startswith("Elephants sleep while standing")
    assert "[" not in found


def test_each_sentence_is_held_against_what_it_cites() -> None:
    said = "The red valve shuts at 12 bars"

    assert unsupported(ENCODER, f"{said} [2].", [PUMP, VALVE]) == []
    assert unsupported(ENCODER, f"{said} [1].", [PUMP, VALVE]) == [f"{said}."]
    assert unsupported(ENCODER, f"{said}.", [PUMP, VALVE]) == [], "without a citation: any"


def test_numbers_in_code_are_no_citations() -> None:
    red = "The red valve shuts at 12 bars, says `xs[2]`"

    assert unsupported(ENCODER, f"{red} [2].", [PUMP, VALVE]) == []
    assert unsupported(ENCODER, f"{red} [1].", [PUMP, VALVE]) == [f"{red}."], "[2] is in the code"
    assert unsupported(ENCODER, "The blue pump starts.", []) == ["The blue pump starts."]


COST = "Permits\nA permit for a second car costs 1,250 pounds, 20% of it at once. Twelve are left."


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("A permit for a second car costs 1,250 pounds [1].", True),
        ("A permit for a second car costs 1250 pounds [1].", True),
        ("A permit for a second car costs 1 250.00 pounds [1].", True),
        ("A permit for a second car costs 12,500 pounds [1].", False),
        ("A permit for a second car costs 250 pounds [1].", False),
        ("A permit for a second car costs pounds, 20 % of it at once [1].", True),
        ("A permit for a second car costs pounds, 5 % of it at once [1].", False),
        ("12 permits are left [1].", True),
        ("13 permits are left [1].", False),
        ("1,250 [1].", True),
        ("Yes: 1,250 [1].", True),
        ("900 [1].", False),
        ("900. [1]", False),
        ("In 1987 [1].", False),
        ("7. A permit for a second car costs 1,250 pounds [1].", True),
        ("- (2) A permit for a second car costs 1,250 pounds [1].", True),
    ],
)
def test_a_number_that_nothing_cited_has_is_not_supported(said: str, right: bool) -> None:
    assert (unsupported(ENCODER, said, [COST]) == []) is right
    other = said.replace("[1]", "[2]")
    assert unsupported(ENCODER, other, [VALVE, COST]) == unsupported(ENCODER, said, [COST])


def test_numbers_have_to_be_there() -> None:
    right = signals(ENCODER, "The red valve shuts at 12 bars.", [VALVE])
    wrong = signals(ENCODER, "The red valve shuts at 21 bars.", [VALVE])

    assert right.numbers == 1
    assert wrong.numbers == 0
    assert SUPPORT(wrong) < SUPPORT(right)
    assert signals(ENCODER, "It shuts.", [VALVE]).numbers == 1


def test_what_says_nothing_is_not_judged() -> None:
    assert unsupported(ENCODER, "Yes. [1]", [PUMP]) == []
    assert unsupported(ENCODER, "", [PUMP]) == []
    assert SUPPORT(Signals(1.0, 1.0, 1.0)) > 0.9
