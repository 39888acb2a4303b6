"""Questions that only the conversation before them explains, without a language model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlfolio.core.model import Message
from mlfolio.parts.retrieval.follow_up import follows, leans, stand_alone


def talk(*questions: str) -> list[Message]:
    """A conversation in which each question was answered, the last not yet."""
    turns = [Message(role="user", content=questions[0])]
    for question in questions[1:]:
        turns.append(Message(role="assistant", content="So and so."))
        turns.append(Message(role="user", content=question))
    return turns


def words(most: int) -> Callable[[str], bool]:
    return lambda question: len(question.split()) <= most


@pytest.mark.parametrize(
    "question",
    [
        "And when was it?",
        "What about the harbour wall and its lights?",
        "How many ferries leave from there on Sundays in winter?",
        "Who granted that charter?",
        "Which one is cheaper?",
        "When?",
        "What is there to see?",
        "Do they need a permit for a second car?",
    ],
)
def test_what_leans(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize(
    "question",
    [
        "Is there a fee for a parking permit?",
        "Are there one-way streets?",
        "Are there one-way streets in the old town?",
        "How many ferries are there in the harbour on Sundays?",
        "Will there be a market on Easter Monday?",
        "There is a fee for the pontoon: how high?",
        "What does this town charge for a boat at the pontoon?",
        "Who built the harbour wall that was repaired in spring?",
        "Who granted the first charter?",
    ],
)
def test_what_stands_alone(question: str) -> None:
    assert not leans(question)
    assert not follows(talk("Who granted the first charter?", question))
    assert stand_alone(talk("Who granted the first charter?", question), words(99)) == question


def test_what_leans_is_asked_with_what_it_leans_on() -> None:
    turns = talk("Who is mayor of Arnholm?", "Who granted the charter?", "And when?", "Why then?")

    assert follows(turns)
    assert stand_alone(turns, words(99)) == "Who granted the charter? And when? Why then?"
    assert stand_alone(turns[:1], words(99)) == "Who is mayor of Arnholm?"
    assert not follows(talk("And when was it?")), "there is nothing before it"


@pytest.mark.parametrize("most", range(9))
def test_the_last_question_is_never_what_is_left_out(most: int) -> None:
    turns = talk("Who granted the first charter?", "And when was it?", "And what does it cost?")
    found = stand_alone(turns, words(most))

    assert found.endswith("And what does it cost?")
    assert len(found.split()) <= max(most, 5)
    assert found == "And when was it? And what does it cost?" or most < 9
