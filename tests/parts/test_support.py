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
    answer = "The blue pump starts at nine bars, says `xs[7]` and `xs[0]` [1]."

    assert len(unsupported(ENCODER, answer, [PUMP])) <= 1
    assert unsupported(ENCODER, "The blue pump starts.", []) == ["The blue pump starts."]


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
