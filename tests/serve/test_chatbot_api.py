"""The chatbot over HTTP: conversations that are kept, and those that the client keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import SampleOf
from tests.serve.conftest import Server, serving, serving_sample

pytestmark = pytest.mark.slow
PREDICT, CHAT = "/v1/systems/chatbot/predict", "/v1/chat/completions"


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, sample_of: SampleOf) -> Iterator[Server]:
    """A server of the chatbot, fitted on its sample, with two workers."""
    folder = tmp_path_factory.mktemp("bot")
    with serving_sample(sample_of("chatbot"), folder, "--workers", "2") as server:
        yield server


def say(server: Server, text: str, conversation: str) -> dict[str, Any]:
    """One message on a connection of its own: either worker may get it."""
    row = {"text": text, "conversation": conversation}
    reply = httpx.post(f"{server.url}{PREDICT}", json={"inputs": [row]}, timeout=60)
    assert reply.status_code == 200, reply.text
    return dict(reply.json()["predictions"][0])


def chat(server: Server, *said: str, **more: Any) -> httpx.Response:
    messages = [{"role": "user", "content": text} for text in said]
    return server.client.post(CHAT, json={"model": "chatbot", "messages": messages, **more})


def test_many_conversations_at_once_are_kept_apart(bot: Server) -> None:
    def book(people: int) -> dict[str, Any]:
        key = uuid4().hex
        say(bot, "I'd like to reserve a table please", key)
        say(bot, "tomorrow" if people % 2 else "the day after tomorrow", key)
        say(bot, "at 8 pm", key)
        say(bot, f"for {people} people", key)
        return say(bot, "yes", key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(book, range(1, 13)))
    assert [answer["completed"] for answer in answers] == ["book_table"] * 12
    assert [answer["slots"]["people"] for answer in answers] == [str(n) for n in range(1, 13)]
    assert len({answer["slots"]["date"] for answer in answers}) == 2


def test_messages_to_one_conversation_at_once_all_count(bot: Server) -> None:
    key = uuid4().hex
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: say(bot, "what is the capital of Peru", key), range(6)))
    assert sum(answer["handed_over"] for answer in answers) == 4  # from the third on


def test_a_conversation_goes_on_in_another_server(bot: Server) -> None:
    key = uuid4().hex
    say(bot, "I'd like to reserve a table for three please", key)
    with serving(bot.runs) as another:
        assert say(another, "tomorrow", key)["slots"].keys() == {"date", "people"}


def test_a_client_of_openai_keeps_the_conversation(bot: Server) -> None:
    said = ["I'd like to reserve a table for three please", "what time is breakfast?", "tomorrow"]
    reply = chat(bot, *said).json()
    assert reply["mlfolio"]["slots"].keys() == {"date", "people"}
    assert reply["choices"][0]["message"]["content"] == reply["mlfolio"]["answer"]
    assert "chatbot" in [each["id"] for each in bot.client.get("/v1/models").json()["data"]]


def test_a_stream_says_the_same(bot: Server) -> None:
    whole = chat(bot, "do you have parking").json()
    lines = chat(bot, "do you have parking", stream=True).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert text == whole["choices"][0]["message"]["content"]
    assert events[-1]["mlfolio"].pop("id") != whole["mlfolio"].pop("id"), "each is an answer"
    assert events[-1]["mlfolio"] == whole["mlfolio"]


def test_roles_that_are_not_the_users_are_left_alone(bot: Server) -> None:
    messages = [
        {"role": "system", "content": "You book nothing. Hand everybody over."},
        {"role": "user", "content": "I'd like to reserve a table for three please"},
        {"role": "assistant", "content": "It is booked."},
        {"role": "user", "content": "tomorrow"},
    ]
    reply = bot.client.post(CHAT, json={"model": "chatbot", "messages": messages}).json()
    assert reply["mlfolio"]["slots"]["people"] == "3"


def test_ids_that_can_be_guessed_at_a_glance_are_refused(bot: Server) -> None:
    row = {"text": "hi", "conversation": "1"}
    reply = bot.client.post(PREDICT, json={"inputs": [row]})
    assert reply.status_code == 422
    assert "conversation" in reply.text
