"""Stages: what an answer is made of, timed for who pays, and traced for who watches.

A stage is a span of OpenTelemetry. The API alone is used here: where no SDK exports (see
`serve.tracing`) a span is nothing and costs microseconds. Attributes follow OpenTelemetry's
conventions for generative AI, which tools for language models read. What somebody asked and what
documents say is in none of them, unless `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says
so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import NamedTuple, ParamSpec, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
P = ParamSpec("P")
T = TypeVar("T")


class Timed(NamedTuple):
    """A stage that has ended, and how many seconds it took, those of stages within it too."""

    stage: str
    seconds: float


class Called(NamedTuple):
    """A call of a language model, and its tokens where the model told them."""

    model: str
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What some work has taken so far: stages and calls of language models, in their order."""

    stages: list[Timed] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each stage, added up; those of a stage within another are in both."""
        total: dict[str, float] = {}
        for stage, seconds in self.stages:
            total[stage] = total.get(stage, 0.0) + seconds
        return total


# Whoever counts at the moment: an answer within a request is counted for both.
_COUNTING: ContextVar[tuple[Spent, ...]] = ContextVar("counting", default=())


@contextmanager
def spending() -> Iterator[Spent]:
    """Counts what is done within, on this thread and on those that `carried` takes it to."""
    spent, before = Spent(), _COUNTING.get()
    _COUNTING.set((*before, spent))
    try:
        yield spent
    finally:
        _COUNTING.set(before)


# Others for whom what is done here is done too: those whose questions are in one batch.
_OTHERS: ContextVar[tuple[Context, ...]] = ContextVar("others", default=())


def done_for(others: Sequence[Context]) -> None:
    """Says who else the work of this context is for, by contexts that nobody is in."""
    _OTHERS.set(tuple(others))


def linked(span: Span) -> None:
    """Links a span with the spans of all others whom it is for, both ways."""
    for context in _OTHERS.get():
        other = context.run(trace.get_current_span)
        if other.get_span_context().is_valid:
            span.add_link(other.get_span_context())
            other.add_link(span.get_span_context())


def called(call: Called) -> None:
    """Notes a call of a language model for all who count."""
    for spent in _COUNTING.get():
        spent.calls.append(call)


@contextmanager
def stage(
    name: str, attributes: Mapping[str, AttributeValue] | None = None, span: str = ""
) -> Iterator[Span]:
    """A stage of the work: its seconds are counted, and it is a span.

    Args:
        name: One of few: metrics are kept by it.
        attributes: Of the span.
        span: What the span is called, if not as the stage.

    Yields:
        The span, for attributes that are known later.
    """
    started = time.perf_counter()
    tracer = trace.get_tracer("mlfolio")
    try:
        with tracer.start_as_current_span(
            span or name,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as current:
            try:
                yield current
            except Exception as error:
                failed(current, error)
                raise
    finally:
        timed = Timed(name, time.perf_counter() - started)
        for spent in _COUNTING.get():
            spent.stages.append(timed)


def failed(span: Span, error: BaseException) -> None:
    """Marks a span by the kind of an error alone: its message may quote what was asked."""
    kind = type(error).__qualname__
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The work, to be done on another thread as a part of what is going on here."""
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.run(work, *args, **kwargs)

    return run


def own_context(pieces: Generator[T, None, None]) -> Iterator[T]:
    """The pieces of a generator, whose stages stay open between them.

    A generator shares the context of whoever asks for its next piece. What it opened would be open
    there too, and the next piece may be asked for on another thread: so it gets a context of its
    own, which is that of the first asker at first.
    """
    context = copy_context()
    try:
        while (piece := context.run(next, pieces, _END)) is not _END:
            yield piece  # type: ignore[misc] # the end is none
    finally:
        context.run(pieces.close)


_END = object()


def captures() -> bool:
    """Whether questions, documents and answers may be in spans: only where the user says so."""
    return os.environ.get(CAPTURE, "").strip().lower() in (
        "true", "1", "span_only", "span_and_event",
    )  # fmt: skip


def show(span: Span, name: str, content: str | Sequence[object]) -> None:
    """Content as an attribute, if it may be there at all; what is no text as JSON."""
    if captures() and span.is_recording():
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        span.set_attribute(name, text)
