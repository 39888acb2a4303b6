"""Yes, no, never mind, and wishes that something is not done."""

from __future__ import annotations

import time

import pytest

from mlfolio.parts.text import acts
from mlfolio.parts.text.entities import read

CANCEL = acts.key_words(
    ["I want to cancel my booking", "please cancel the reservation", "cancel it", "my reservation"],
    "cancel_booking",
)
BROKEN = acts.key_words(["the shower is not working", "it's not working", "working it is not"])


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes please!", "yep", "ok thanks", "👍", "that's right, thank you very much", "yesss",
     "Sure.", "oh yes, please do", "that's fine, book it", "Go ahead and book it", "OK. Do it!"],
)  # fmt: skip
def test_yes(text: str) -> None:
    assert acts.yes_or_no(read(text)) is True


@pytest.mark.parametrize(
    "text",
    ["no", "Nope", "no thanks", "hmm, no", "don’t", "not really", "nooo", "no, that's wrong"],
)
def test_no(text: str) -> None:
    assert acts.yes_or_no(read(text)) is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "thanks",
        "no, Tuesday",
        "yes but later",
        "maybe",
        "7",
        "…",
        "fine, no",
        "yes, and book a taxi",
    ],
)
def test_neither(text: str) -> None:
    assert acts.yes_or_no(read(text)) is None


def test_a_long_word_is_read_in_time() -> None:
    started = time.process_time()
    assert acts.yes_or_no("a" * 100_000 + "b") is None
    assert acts.yes_or_no("ye" + "s" * 100_000) is True
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [("yes, book it now", True), ("no problem, book it", True), ("no worries, go ahead", True),
     ("sure, go ahead", True), ("no, the other one", False), ("right, no", False),
     ("correct the email", None), ("sure about that?", None), ("yes but later", None),
     ("yes, don't", None), ("yes, cancel it", None), ("", None)],
)  # fmt: skip
def test_how_a_sentence_begins(text: str, answer: bool | None) -> None:
    assert acts.begins_with(read(text)) is answer
    assert acts.begins_with("yes, cancel it", own=["cancel"]) is True


@pytest.mark.parametrize(
    "text",
    ["cancel", "never mind", "Stop!", "forget it", "please cancel that", "I changed my mind",
     "I don't want to any more", "oh, never mind, thanks", "no, forget it"],
)  # fmt: skip
def test_what_ends_a_form(text: str) -> None:
    assert acts.cancels(read(text))


@pytest.mark.parametrize(
    "text",
    ["cancel my booking", "don't cancel", "can I cancel later?", "the bus stop", "no", "stopover"],
)
def test_what_does_not_end_it(text: str) -> None:
    assert not acts.cancels(read(text))


@pytest.mark.parametrize(
    "text",
    ["don't cancel", "Please do not cancel my booking", "I don’t want to cancel it",
     "never cancel it", "I don't want you to cancel", "no need to cancel the reservation",
     "I'm not cancelling", "i wouldn't want to cancel", "I do not wish to cancel that booking"],
)  # fmt: skip
def test_wishes_against(text: str) -> None:
    assert acts.negates(read(text), CANCEL)


@pytest.mark.parametrize(
    "text",
    ["cancel my booking", "why can't I cancel", "I cannot cancel online",
     "can you not find my booking", "don't forget to cancel it", "what if I do not cancel",
     "I have not cancelled yet",
     "if you don't cancel it, I will", "isn't it possible to cancel", "did you not cancel it"],
)  # fmt: skip
def test_no_wishes_against(text: str) -> None:
    assert not acts.negates(read(text), CANCEL)


def test_what_an_intent_says_with_a_not_is_no_wish_against_it() -> None:
    assert "working" not in BROKEN
    assert not acts.negates("the light is not working", BROKEN)


def test_a_phrase_is_all_that_is_said_or_what_a_few_words_are_about() -> None:
    assert acts.says("oh hi there, thanks", ["hi"], whole=True)
    assert not acts.says("hi, a room please for two", ["hi"], whole=True)
    assert acts.says("and how much is it?", ["how much"], whole=False)
    assert not acts.says("how much " + "and more " * 6, ["how much"], whole=False)
    assert acts.says("yep", ["yes"], whole=False)
    assert not acts.says("nope", ["yes"], whole=False)


@pytest.mark.parametrize(
    "text", ["what time is breakfast", "ok, and where is it", "is it far", "far?"]
)
def test_questions(text: str) -> None:
    assert acts.asks(text)


@pytest.mark.parametrize("text", ["a double", "tomorrow", "the islands", "we arrive on friday"])
def test_no_questions(text: str) -> None:
    assert not acts.asks(text)
