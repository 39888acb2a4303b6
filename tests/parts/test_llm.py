"""Language models of three makers and of one's own server, over the protocols they really speak."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from mlfolio.core.errors import UserError
from mlfolio.core.trace import Called, spending
from mlfolio.parts.llm.chat import Chat, LanguageModelError, Spec, from_environment, parse_spec

from .llm_server import READ, WROTE, Breaks, Script, serve

KEY = "sk-not-a-real-key-1234567890"
Serve = Callable[..., Script]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a scripted server and points `MLFOLIO_LLM` and the makers' addresses at it."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(maker: str, *steps: str | int) -> Script:
            script = stack.enter_context(serve(Script(*steps)))
            for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
                monkeypatch.setenv(name, KEY)
            monkeypatch.setenv("OPENAI_BASE_URL", f"{script.url}/v1")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", script.url)
            monkeypatch.setenv("OLLAMA_HOST", script.url)
            named = {"server": f"{script.url}/v1", "named": f"{script.url}/v1#tiny"}
            monkeypatch.setenv("MLFOLIO_LLM", named.get(maker, f"{maker}:tiny"))
            return script

        yield start


MAKERS = ["openai", "anthropic", "ollama", "server", "named"]


@pytest.mark.parametrize("maker", MAKERS)
def test_it_answers(served: Serve, maker: str) -> None:
    script = served(maker, "Nine bars. [1]")
    chat = from_environment()
    assert chat is not None

    assert chat.ask("Be brief.", "How many bars?") == "Nine bars. [1]"

    assert script.messages() == {"system": "Be brief.", "user": "How many bars?"}
    assert script.asked[0]["model"] == ("served-model" if maker == "server" else "tiny")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("maker", MAKERS)
def test_tokens_are_counted(served: Serve, maker: str, streamed: bool) -> None:
    served(maker, "Nine bars. [1]")
    chat = from_environment()
    assert chat is not None

    with spending() as spent:
        said = list(chat.stream("s", "q")) if streamed else [chat.ask("s", "q")]

    assert "".join(said) == "Nine bars. [1]"
    assert len(said) == 1 + streamed
    name = "m" if maker == "server" else "tiny"  # the server's own name, where none was asked for
    assert spent.calls == [Called(name, READ, WROTE)]
    assert set(spent.seconds) == {"chat"}


def test_of_a_call_that_fails_no_tokens_are_claimed(served: Serve) -> None:
    served("named", 401)
    chat = from_environment()
    assert chat is not None

    with spending() as spent, pytest.raises(LanguageModelError):
        chat.ask("s", "q")

    assert spent.calls == []
    assert set(spent.seconds) == {"chat"}


@pytest.mark.slow
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("failures", [[429], [500], [503, 500]])
def test_a_passing_refusal_is_tried_again(served: Serve, maker: str, failures: list[int]) -> None:
    script = served(maker, *failures, "At last.")
    chat = from_environment()
    assert chat is not None

    assert chat.ask("s", "q") == "At last."
    assert len(script.asked) == len(failures) + 1


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_lasting_refusal_is_told_without_the_key(served: Serve, maker: str, status: int) -> None:
    served(maker, status)
    chat = from_environment()
    assert chat is not None
    chat = Chat(chat.spec, retries=0)

    with pytest.raises(LanguageModelError, match=str(status)) as raised:
        chat.ask("s", "q")

    assert KEY not in str(raised.value)
    assert raised.value.fix
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_our_own_key_is_not_sent_to_other_servers(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = served("server", "Yes.")
    chat = from_environment()
    assert chat is not None
    chat.ask("s", "q")
    assert KEY not in str(script.headers)

    monkeypatch.setenv("MLFOLIO_LLM_KEY", "their-own-key")
    chat = from_environment()
    assert chat is not None
    chat.ask("s", "q")
    assert script.headers[-1]["authorization"] == "Bearer their-own-key"


def test_an_empty_answer_is_no_answer(served: Serve) -> None:
    served("openai", " ")
    chat = from_environment()
    assert chat is not None

    with pytest.raises(LanguageModelError, match="empty answer"):
        chat.ask("s", "q")


@pytest.mark.parametrize("maker", ["openai", "ollama", "server", "named"])
def test_nobody_listens(served: Serve, monkeypatch: pytest.MonkeyPatch, maker: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    served("openai", "unused")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OLLAMA_HOST", url)
    named = {"server": url, "named": f"{url}#tiny"}
    spec = parse_spec(named.get(maker, f"{maker}:tiny"))

    with pytest.raises(LanguageModelError) as raised:
        Chat(spec, timeout=2, retries=0).ask("s", "q")
    assert "runs" in raised.value.fix


def test_too_slow(served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:  # takes the connection and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(LanguageModelError, match="did not answer"):
            Chat(Spec("server", "tiny", url), timeout=0.3, retries=0).ask("s", "q")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("openai:gpt-x", Spec("openai", "gpt-x")),
        ("ollama:llama3:8b", Spec("ollama", "llama3:8b")),
        ("http://a:1/v1/", Spec("server", "", "http://a:1/v1")),
        ("https://a/v1#m/n", Spec("server", "m/n", "https://a/v1")),
    ],
)
def test_names_of_models(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text", ["opnai:gpt", "openai", "openai:", "gpt-4", "http://", "http://a:b/v1", "http://[a/v1"]
)
def test_wrong_names_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_spec(text)


@pytest.mark.parametrize("maker", ["openai", "anthropic"])
def test_a_missing_key_is_told(monkeypatch: pytest.MonkeyPatch, maker: str) -> None:
    monkeypatch.delenv(f"{maker.upper()}_API_KEY", raising=False)
    monkeypatch.setenv("MLFOLIO_LLM", f"{maker}:tiny")

    with pytest.raises(UserError, match=f"set {maker.upper()}_API_KEY"):
        from_environment()


def test_passwords_in_addresses_are_not_shown() -> None:
    spec = Spec("server", "m", "http://me:sec@ret@host:80/v1?key=secret")
    assert str(spec) == "m at host:80"
    error = LanguageModelError(f"no connection to {spec.url}", f"look at {spec.url}")
    assert "ret@" not in str(error)
    with pytest.raises(LanguageModelError) as raised:
        Chat(parse_spec("http://me:hunter2@127.0.0.1:1"), retries=0).ask("s", "q")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("text", [KEY, f"opnai:{KEY}", f"openai:{KEY}", "sk_live_9", "AIza:9"])
def test_a_key_in_the_wrong_place_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("MLFOLIO_LLM", text)

    with pytest.raises(UserError) as raised:
        from_environment()

    assert text.rpartition(":")[2] not in str(raised.value)
    assert "modelss" not in str(raised.value)


def test_who_cannot_be_reached_is_not_asked_again_at_once(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = served("named", "At last.")
    chat = from_environment()
    assert chat is not None
    down = Chat(Spec("server", "", "http://127.0.0.1:1"), retries=0)

    with pytest.raises(LanguageModelError, match="does not say"):
        down.ask("s", "q")
    with pytest.raises(LanguageModelError, match="a moment ago"):
        down.ask("s", "q")

    assert chat.ask("s", "q") == "At last.", "others are"
    script.steps = [401, "Yes."]
    with pytest.raises(LanguageModelError, match="401"):
        chat.ask("s", "q")
    assert chat.ask("s", "q") == "Yes.", "a refusal costs no time, and may be over"


@pytest.mark.parametrize("maker", ["openai", "server"])
def test_what_breaks_off_costs_nobody_else_a_minute(served: Serve, maker: str) -> None:
    script = served(maker, Breaks("It is so, as"))
    chat = from_environment()
    assert chat is not None

    with pytest.raises(LanguageModelError, match="busy"):
        list(chat.stream("s", "q"))
    script.steps = ["Yes."]

    assert chat.ask("s", "q") == "Yes.", "it can be reached, so it is asked"


def test_who_takes_too_long_is_not_asked_again_at_once() -> None:
    with socket.socket() as silent:  # takes the connection and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        chat = Chat(Spec("server", "tiny", url), timeout=0.3, retries=0)
        for told in ("did not answer", "a moment ago"):
            with pytest.raises(LanguageModelError, match=told):
                chat.ask("s", "q")


def test_no_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFOLIO_LLM", raising=False)

    assert from_environment() is None
