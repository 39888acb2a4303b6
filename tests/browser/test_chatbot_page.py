"""The page of the chatbot: talked to in a browser, and what it shows of what it understood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import WAIT_MS, Site, Watched, browser
from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving_sample

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
__all__ = ["browser"]


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    """A server of the chatbot alone, fitted on its sample, with its page."""
    folder = tmp_path_factory.mktemp("bot")
    with serving_sample(sample_of("chatbot"), folder, "--pages") as server:
        yield server


@pytest.fixture
def page(browser: Any, bot: Server) -> Iterator[Any]:
    bot.__class__ = Site
    assert isinstance(bot, Site)
    watched = Watched(browser, bot)
    yield watched.open("chatbot")
    watched.close()


def expect(thing: Any) -> Any:
    return playwright.expect(thing)


def say(page: Any, text: str, reply: str) -> None:
    page.locator("#message textarea, #message input").fill(text)
    page.keyboard.press("Enter")
    last = page.locator("#conversation .bot").last
    expect(last).to_contain_text(reply, timeout=WAIT_MS)


def test_a_table_is_booked_and_what_is_known_is_shown(page: Any) -> None:
    understood = page.locator("#understood")
    say(page, "I'd like to reserve a table for four please", "For which day?")
    expect(page.locator("#intent")).to_have_text("book table")
    expect(understood).to_contain_text("people4")
    say(page, "what time is breakfast?", "Back to where we were")
    say(page, "tomorrow", "At what time?")
    say(page, "at 7", "Is that right?")
    expect(understood).to_contain_text("time19:00")
    say(page, "yes", "is reserved")
    expect(understood).to_contain_text("Complete: book table")

    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#conversation .bot")).to_have_count(0)
    say(page, "tomorrow", "I did not understand")


def test_what_is_written_is_shown_as_it_is_and_nothing_is_fetched(page: Any) -> None:
    hostile = "<b>the shower</b> <img src=x onerror=alert(1)> ![a](http://203.0.113.1/x) *out* $x$"
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    say(page, "I want to report a problem", "What is wrong?")
    say(page, hostile, "What is the number of your room?")
    expect(page.locator("#conversation .user").last).to_contain_text(hostile)
    expect(page.locator("#understood")).to_contain_text(hostile)
    assert page.locator("#conversation img, #understood img").count() == 0
    say(page, "204", "room 204")  # what is sent back to the server is what was said


def test_an_example_fills_the_message(page: Any) -> None:
    page.locator(".gallery button, button.gallery-item").first.click()
    expect(page.locator("#message textarea, #message input")).not_to_have_value("")
