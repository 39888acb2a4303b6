"""A language model named by one string: whose it is and which.

`MLFOLIO_LLM` is one of

- `openai:MODEL`, with `OPENAI_API_KEY` (and `OPENAI_BASE_URL` for a proxy of it);
- `anthropic:MODEL`, with `ANTHROPIC_API_KEY` (and `ANTHROPIC_BASE_URL`);
- `ollama:MODEL`, at `OLLAMA_HOST` or on this machine;
- `http://host:port/v1` or `http://host:port/v1#MODEL`: any server that speaks OpenAI's protocol
  (vLLM, llama.cpp, LM Studio...), with `MLFOLIO_LLM_KEY` if it asks for a key. OpenAI's own key is
  never sent there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from mlfolio.core.errors import MissingExtraError, MlfolioError, UserError, nearest
from mlfolio.core.trace import Called, called, own_context, show, stage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

VARIABLE = "MLFOLIO_LLM"
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "server": "MLFOLIO_LLM_KEY"}
Maker = Literal["openai", "anthropic", "ollama", "server"]
MAKERS = ("openai", "anthropic", "ollama")
PAUSE = 60.0  # seconds in which a model that could not be reached is not asked again


class LanguageModelError(MlfolioError):
    """A language model did not answer: it is down, too slow, or refused. Keys are blotted out."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(hide_keys(message), hide_keys(fix))


class Spec(NamedTuple):
    """Which model: its maker, its name, and for a server of one's own the address."""

    maker: Maker
    model: str
    url: str = ""

    def __str__(self) -> str:
        """The model as screens and reports name it: of an address only the host and the port."""
        place = urlsplit(self.url).netloc.rpartition("@")[2] or self.maker
        return hide_keys(f"{self.model or 'the model'} at {place}")


class Chat:
    """A chat model that answers one question at a time. Nobody is called before the first one.

    Each call is a stage (`core.trace`): its seconds and tokens are counted, and it is a span.

    Attributes:
        spec: Which model it is.
        timeout: Seconds to wait for an answer, each time.
        retries: How often it is asked again after a refusal that may pass (429, 5xx, no
            connection), with growing pauses.
        pause: Seconds for which nobody waits for it again, once it could not be reached.

    Raises:
        UserError: There is no key for it.
    """

    def __init__(
        self, spec: Spec, timeout: float = 60.0, retries: int = 2, pause: float = PAUSE
    ) -> None:
        self.spec = spec
        self.timeout = timeout
        self.retries = retries
        self.pause = pause
        self._key = _key(spec)
        self._unreachable_until = 0.0

    def ask(self, system: str, question: str) -> str:
        """The model's answer.

        Args:
            system: What it is told to be and do.
            question: What it is asked.

        Raises:
            LanguageModelError: It did not answer, or could not be reached within the last minute.
            MissingExtraError: The maker's client is not installed.
        """
        with self._watched(), self._counted(system, question) as heard:
            heard.add(self._model.invoke([("system", system), ("human", question)]))
        return self._require(heard.text)

    def stream(self, system: str, question: str) -> Iterator[str]:
        """The model's answer, piece by piece as it comes.

        Args:
            system: What it is told to be and do.
            question: What it is asked.

        Raises:
            LanguageModelError: As `ask`, perhaps after some pieces.
        """
        yield from own_context(self._stream(system, question))

    def _stream(self, system: str, question: str) -> Generator[str, None, None]:
        with self._watched(), self._counted(system, question) as heard:
            for chunk in self._model.stream([("system", system), ("human", question)]):
                if piece := heard.add(chunk):
                    yield piece
        self._require(heard.text)

    @contextmanager
    def _counted(self, system: str, question: str) -> Iterator[_Heard]:
        """A call as a stage; what comes back is told to what it yields."""
        spec, heard = self.spec, _Heard()
        with stage("chat", _attributes(spec), span=f"chat {spec.model}".strip()) as span:
            show(span, "gen_ai.system_instructions", [{"type": "text", "content": system}])
            asked = {"role": "user", "parts": [{"type": "text", "content": question}]}
            show(span, "gen_ai.input.messages", [asked])
            try:
                yield heard
            finally:  # also of an answer whose reader has gone
                heard.tell(span, spec.model)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Calls the model unless it was away a moment ago; its errors become ours."""
        if time.monotonic() < self._unreachable_until:
            raise LanguageModelError(
                f"{self.spec} could not be reached a moment ago",
                f"check that it runs; it is asked again {self.pause:.0f} s after a failure",
            )
        try:
            yield
        except (MissingExtraError, GeneratorExit):
            raise
        except LanguageModelError as error:  # it does not say which models it has
            self._pause_after(error.__context__)
            raise
        except Exception as error:  # every maker's client has a tree of errors of its own
            raise self._failure(error) from None

    def _require(self, text: str) -> str:
        if not text.strip():
            raise LanguageModelError(f"{self.spec} gave an empty answer", "ask again")
        return text.strip()

    @cached_property
    def _model(self) -> BaseChatModel:
        return _make(self.spec, self._key, self.timeout, self.retries)

    def _failure(self, error: Exception) -> LanguageModelError:
        status = getattr(error, "status_code", None)
        away = self._pause_after(error)
        message = hide_keys(" ".join(str(error).split()))[:300]  # half a key is a secret too
        fix = {
            401: "check the key", 403: "check the key", 404: "check the model's name",
            429: "wait, or raise the account's limit",
        }.get(status or 0, "ask again")  # fmt: skip
        if away:
            fix = "check that the server runs and can be reached"
        reason = f"{type(error).__name__}{f' {status}' if status else ''}: {message}"
        return LanguageModelError(f"{self.spec} did not answer ({reason})", fix)

    def _pause_after(self, error: BaseException | None) -> bool:
        """Asks it no more for a while if it could not be reached; whether that is so."""
        away = _is_away(error)
        if away:
            self._unreachable_until = time.monotonic() + self.pause
        return away


class _Heard:
    """What comes back of one call: a message, or a stream of its pieces."""

    def __init__(self) -> None:
        self.text = ""
        self._model = ""
        self._reason = ""
        self._tokens: list[tuple[int, int]] = []

    def add(self, message: Any) -> str:
        """Takes a message or the next piece of one; returns its text."""
        about = message.response_metadata
        self._model = self._model or about.get("model_name") or about.get("model") or ""
        reasons = (about.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
        self._reason = next(filter(None, reasons), self._reason)
        if usage := message.usage_metadata:  # of a stream each piece tells its own
            self._tokens.append((usage["input_tokens"], usage["output_tokens"]))
        self.text += (piece := _text(message))
        return piece

    def tell(self, span: Span, asked_for: str) -> None:
        """Counts the call, and completes its span."""
        tokens = [sum(each) for each in zip(*self._tokens, strict=True)] or [None, None]
        call = Called(asked_for or self._model, *tokens)
        if self._model or self.text:  # else there was no reply
            called(call)
        for name, value in (
            ("gen_ai.response.model", self._model or None),
            ("gen_ai.usage.input_tokens", call.input_tokens),
            ("gen_ai.usage.output_tokens", call.output_tokens),
            ("gen_ai.response.finish_reasons", [self._reason] if self._reason else None),
        ):
            if value is not None:
                span.set_attribute(name, value)
        said = {"role": "assistant", "parts": [{"type": "text", "content": self.text}]}
        show(span, "gen_ai.output.messages", [{**said, "finish_reason": self._reason}])


def from_environment() -> Chat | None:
    """The model that `MLFOLIO_LLM` names; None where it is not set.

    Raises:
        UserError: It names none, or the key is missing.
    """
    text = os.environ.get(VARIABLE, "").strip()
    # Keys and addresses count too: a process whose environment changes gets another client.
    around = tuple(os.environ.get(name, "") for name in (*KEYS.values(), *_ADDRESSES))
    return _cached(text, around) if text else None


# By name: some clients speak by httpx, others by a copy of it, with errors of its own.
_AWAY = {"TransportError", "ConnectionError", "TimeoutError"}
_ADDRESSES = ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OLLAMA_HOST")


@lru_cache(maxsize=4)
def _cached(text: str, around: tuple[str, ...]) -> Chat:
    return Chat(parse_spec(text))


def parse_spec(text: str) -> Spec:
    """Reads `MLFOLIO_LLM`.

    Raises:
        UserError: It names no model.
    """
    if re.match(r"https?://", text):
        url, _, model = text.partition("#")
        if not _has_host(url):
            raise UserError(f"{VARIABLE} holds an address without a host", "http://HOST:PORT/v1")
        return Spec("server", model, url.rstrip("/"))
    maker, colon, model = text.partition(":")
    if maker not in MAKERS:  # what was named is not repeated: it may be a key
        near = nearest(maker, MAKERS)
        raise UserError(
            f"{VARIABLE} names no maker of language models",
            f"{f'did you mean {near!r}? ' if near else ''}write {', '.join(MAKERS)} and :MODEL, "
            "or the address of an OpenAI-compatible server",
        )
    if not colon or not model:
        raise UserError(
            f"{VARIABLE}={text!r} names no model",
            f"{VARIABLE}={maker}:MODEL, or the address of an OpenAI-compatible server",
        )
    return Spec(cast("Maker", maker), model)


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        return False


def _is_away(error: BaseException | None) -> bool:
    """Whether there was no connection, or no answer in time: clients wrap what was the matter."""
    while error is not None:
        if not _AWAY.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            return True
        error = error.__cause__
    return False


def _attributes(spec: Spec) -> dict[str, AttributeValue]:
    """What a span tells of the model; of a server of one's own that it speaks OpenAI's protocol."""
    provider = "openai" if spec.maker == "server" else spec.maker
    found: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": provider,
    }  # fmt: skip
    if spec.model:
        found["gen_ai.request.model"] = spec.model
    if spec.url:
        place = urlsplit(spec.url)
        found["server.address"] = place.hostname or ""
        found |= {"server.port": place.port} if place.port else {}
    return found


def _text(message: Any) -> str:
    """The text of a message of langchain's, whose `text` was a method once."""
    return str(message.text if isinstance(message.text, str) else message.text())


def hide_keys(text: str) -> str:
    """The text with every key of the environment, and whatever looks like one, blotted out.

    What looks like one: sk-..., and user:password@ in an address.
    """
    for name in KEYS.values():
        key = os.environ.get(name, "")
        if len(key) >= 4:
            text = text.replace(key, "***")
    return re.sub(r"\b(sk|key|pk)-[\w*-]{6,}|(?<=//)[^/\s]+(?=@)", "***", text)


def _make(spec: Spec, key: SecretStr, timeout: float, retries: int) -> BaseChatModel:
    """The maker's client; none of them is imported before it is wanted."""
    try:
        if spec.maker == "ollama":
            return _ollama(spec, timeout, retries)
        if spec.maker == "anthropic":
            from langchain_anthropic import ChatAnthropic

            return ChatAnthropic(
                model=spec.model, api_key=key, timeout=timeout, max_retries=retries,
                temperature=0, max_tokens=1024,
            )  # fmt: skip
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(
            model=spec.model or _first_model(spec, timeout), api_key=key,
            base_url=spec.url or None, timeout=timeout, max_retries=retries,
            stream_usage=True,  # else the tokens of a stream are told by OpenAI alone
            # OpenAI's reasoning models refuse any temperature but their own.
            temperature=0 if spec.maker == "server" else None,
        )  # fmt: skip
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(spec), "documents", error.name or "") from None


def _ollama(spec: Spec, timeout: float, retries: int) -> BaseChatModel:
    """Ollama's client, which does not retry by itself."""
    from httpx import TransportError
    from langchain_ollama import ChatOllama
    from ollama import ResponseError

    model = ChatOllama(model=spec.model, temperature=0, client_kwargs={"timeout": timeout})
    # Its type says a Runnable; wrapped, it has the same `invoke` and `stream`, all that is used.
    return model.with_retry(  # type: ignore[return-value]
        retry_if_exception_type=(ConnectionError, TransportError, ResponseError),
        stop_after_attempt=retries + 1,
    )


def _key(spec: Spec) -> SecretStr:
    name = KEYS.get(spec.maker, "")
    key = os.environ.get(name, "")
    if not key and spec.maker in ("openai", "anthropic"):
        raise UserError(f"{VARIABLE} names {spec}, and there is no key", f"set {name}")
    return SecretStr(key or "none")  # servers of one's own mostly ask for none


def _first_model(spec: Spec, timeout: float) -> str:
    """The model that a server offers first, where the address names none."""
    import httpx

    key = os.environ.get(KEYS["server"], "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.get(f"{spec.url}/models", headers=headers, timeout=min(timeout, 10.0))
        return str(reply.raise_for_status().json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise LanguageModelError(
            f"{spec} does not say which models it has ({type(error).__name__})",
            f"check that it runs, or name the model with #MODEL behind the address in {VARIABLE}",
        ) from None
