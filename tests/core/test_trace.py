"""Stages: counted for whoever asks, wherever they run, and shown to nobody unasked."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mlfolio.core.trace import (
    CAPTURE,
    Called,
    called,
    carried,
    failed,
    own_context,
    show,
    spending,
    stage,
)


def test_stages_and_calls_are_counted_for_all_who_count() -> None:
    with spending() as outer:
        with stage("search"), stage("encode"):
            time.sleep(0.01)
        with spending() as inner, stage("search"):
            called(Called("m", 7, 3))
    with stage("search"):
        called(Called("m", 1, 1))  # nobody counts any more

    assert [each.stage for each in outer.stages] == ["encode", "search", "search"]
    assert [each.stage for each in inner.stages] == ["search"]
    assert outer.seconds["search"] >= outer.seconds["encode"] >= 0.01
    assert outer.calls == inner.calls == [Called("m", 7, 3)]


def test_a_stage_that_fails_is_counted_too() -> None:
    with spending() as spent, pytest.raises(ValueError, match="no"), stage("search"):
        raise ValueError("no")

    assert set(spent.seconds) == {"search"}


def test_another_thread_counts_for_who_sent_it() -> None:
    def work() -> None:
        with stage("full text"):
            pass

    with ThreadPoolExecutor(1) as pool, spending() as spent:
        pool.submit(carried(work)).result()
        pool.submit(work).result()  # not sent by anybody

    assert [each.stage for each in spent.stages] == ["full text"]


def pieces() -> Generator[str, None, None]:
    with spending() as mine, stage("chat"):
        yield "a"
        with stage("within"):
            pass
        yield "b"
    yield ",".join(mine.seconds)


def test_what_a_generator_opens_is_open_for_it_alone() -> None:
    with spending() as spent:
        given = own_context(pieces())
        said = [next(given)]
        with spending() as between, stage("elsewhere"):
            pass
        said += given

    assert said == ["a", "b", "within,chat"]
    assert [each.stage for each in spent.stages] == ["elsewhere", "within", "chat"]
    assert [each.stage for each in between.stages] == ["elsewhere"]


def test_a_generator_goes_on_in_other_threads_and_contexts() -> None:
    with spending() as spent:
        given = own_context(pieces())
        first = copy_context()
    said = []
    for run in (first.run, copy_context().run, copy_context().run):
        with ThreadPoolExecutor(1) as pool:
            said.append(pool.submit(run, next, given).result())

    assert said == ["a", "b", "within,chat"]
    assert [each.stage for each in spent.stages] == ["within", "chat"]


def test_a_generator_that_is_left_ends_its_stage() -> None:
    with spending() as spent:
        given = own_context(pieces())
        next(given)
        given.close()  # type: ignore[attr-defined] # it is a generator

    assert [each.stage for each in spent.stages] == ["chat"]


@pytest.mark.parametrize(
    ("wish", "shown"), [("true", True), ("SPAN_ONLY", True), ("false", False), ("", False)]
)
def test_content_is_shown_only_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, wish: str, shown: bool
) -> None:
    monkeypatch.setenv(CAPTURE, wish)
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with provider.get_tracer("test").start_as_current_span("chat m") as span:
        show(span, "gen_ai.input.messages", [{"role": "user", "parts": ["Who is Zoë?"]}])
        failed(span, ValueError("Who is Zoë?"))

    (span_kept,) = kept.get_finished_spans()
    text = span_kept.to_json()
    assert ("Who is Zoë?" in text.encode().decode("unicode_escape") or "Zo" in text) is shown
    assert dict(span_kept.attributes or {})["error.type"] == "ValueError"
