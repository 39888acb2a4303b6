"""What a server tells of its answers: traces by OTLP, metrics, and what each answer took."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from tests.conftest import SampleOf
from tests.parts.llm_server import READ, WROTE, Script, serve
from tests.postgres import free_port
from tests.serve.collector import Collected, Span, collecting
from tests.serve.conftest import Server, logged, serving

pytest.importorskip("lancedb")
pytestmark = pytest.mark.slow
CHARTER = "Who granted the first charter?"  # a question of the sample
SAID = "The bishop did [1]."
PREDICT = "POST /v1/systems/{name}/predict"
TALK = "POST /v1/chat/completions"
DOCUMENTS = {
    "embeddings all-MiniLM-L6-v2": ["search"], "full text": ["search"], "nearest": ["search"],
    "search": [], "rank": [], "extract": [], "chat m": [], "support": [],
}  # fmt: skip


class Watched(NamedTuple):
    """A server with a language model, and where its traces go."""

    server: Server
    collected: Collected
    script: Script


@pytest.fixture(scope="module")
def watched(sample_of: SampleOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched") / "runs"
    runs = Path(shutil.copytree(sample_of("documents").runs, folder))
    with ExitStack() as stack:
        collected = stack.enter_context(collecting())
        script = stack.enter_context(serve(Script(SAID)))
        server = stack.enter_context(
            serving(
                runs,
                MLFOLIO_LLM=f"{script.url}/v1#m",
                MLFOLIO_LLM_PRICES="m=10/100",
                OTEL_EXPORTER_OTLP_ENDPOINT=collected.url,
                OTEL_SERVICE_NAME="library",
                OTEL_BSP_SCHEDULE_DELAY="100",
            )
        )
        yield Watched(server, collected, script)


SENDER = "cd" * 8  # its span


def traced(watched: Watched, path: str, body: object) -> tuple[httpx.Response, Span]:
    """The reply to a request that says where it belongs, and the request's span."""
    trace = uuid4().hex
    sender = {"traceparent": f"00-{trace}-{SENDER}-01"}
    reply = watched.server.client.post(path, json=body, headers=sender)
    return reply, watched.collected.root(trace)


def test_an_answer_is_one_tree_below_its_request(watched: Watched) -> None:
    body = {"inputs": [{"question": CHARTER}]}
    reply, root = traced(watched, "/v1/systems/documents/predict", body)
    answer = reply.json()["predictions"][0]

    assert (root.name, root.parent) == (PREDICT, SENDER), "below who asked"
    assert root.attributes["http.response.status_code"] == 200
    tree = watched.collected.below(root)
    above = {name: [*over, "predict documents"] for name, over in DOCUMENTS.items()}
    assert tree == {"predict documents": [], **above}
    assert watched.collected.services == {"library"}

    (chat,) = (span for span in watched.collected.spans if span.name == "chat m")
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    assert chat.attributes["gen_ai.request.model"] == "m"
    assert chat.attributes["gen_ai.usage.input_tokens"] == READ
    assert chat.attributes["gen_ai.usage.output_tokens"] == WROTE
    assert chat.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    _follows_the_conventions(watched.collected)

    took = answer["usage"]
    assert (took["input_tokens"], took["output_tokens"]) == (READ, WROTE)
    assert took["cost"] == pytest.approx((10 * READ + 100 * WROTE) / 1e6)
    assert set(took["seconds"]) == {
        "encode", "full text", "nearest", "search", "rank", "extract", "chat", "support",
    }  # fmt: skip
    assert took["remembered"] is False


def _follows_the_conventions(collected: Collected) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    used = {name for span in collected.spans for name in span.attributes if "gen_ai" in name}
    assert used <= known


def test_a_talk_is_one_tree_too_and_its_tokens_are_told(watched: Watched) -> None:
    asked = "Who paid for the bridge?"
    body = {"model": "documents", "messages": [{"role": "user", "content": asked}], "stream": True}
    reply, root = traced(watched, "/v1/chat/completions", body)
    text, tree = reply.text, watched.collected.below(root)

    assert root.name == TALK
    assert tree["talk documents"] == []
    assert tree["nearest"] == ["search", "talk documents"]
    if "chat m" in tree:  # the documents may not say
        assert tree["chat m"] == ["talk documents"]
        assert f'"prompt_tokens":{READ}' in text
    again = watched.server.client.post("/v1/chat/completions", json={**body, "stream": False})
    assert again.json()["usage"]["total_tokens"] == 0
    assert again.json()["mlfolio"]["usage"]["remembered"] is True


def test_what_was_asked_and_read_is_in_no_span(watched: Watched) -> None:
    path = "/v1/systems/documents/documents/redundancies-in-may.txt"
    watched.server.client.put(path, content=b"Nobody has to go.")
    watched.server.client.delete(path)
    body = {"inputs": [{"question": CHARTER}]}
    traced(watched, "/v1/systems/documents/predict", body)

    assert b"redundancies" not in watched.collected.raw
    assert b"charter" not in watched.collected.raw.lower()
    assert SAID.encode() not in watched.collected.raw


def test_an_answer_given_again_costs_nothing(watched: Watched) -> None:
    question = {"question": "Who granted the first charter of the town?"}
    first = watched.server.predict("documents", question).json()["predictions"][0]
    calls = len(watched.script.asked)
    second = watched.server.predict("documents", question).json()["predictions"][0]

    assert len(watched.script.asked) == calls
    usage = {"input_tokens": 0, "output_tokens": 0, "cost": 0.0, "seconds": {}, "remembered": True}
    assert second["usage"] == usage
    assert second["answer"] == first["answer"]


def test_a_failure_is_marked_and_not_quoted(watched: Watched) -> None:
    watched.script.steps = [401, SAID]
    body = {"inputs": [{"question": "Which bishop granted the very first charter?"}]}
    reply, root = traced(watched, "/v1/systems/documents/predict", body)

    assert "quoted instead" in reply.json()["predictions"][0]["warnings"][0]
    assert not root.failed
    failed = [span for span in watched.collected.spans if span.failed]
    assert [span.name for span in failed] == ["chat m"]
    assert failed[0].attributes["error.type"].endswith("AuthenticationError")


def test_a_batch_is_linked_with_all_who_asked(sample_of: SampleOf, tmp_path: Path) -> None:
    runs = shutil.copytree(sample_of("iris").runs, tmp_path / "runs")
    flower = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    with (
        collecting() as collected,
        serving(runs, OTEL_EXPORTER_OTLP_ENDPOINT=collected.url) as server,
        ThreadPoolExecutor(24) as pool,
    ):
        list(pool.map(lambda _: server.predict("iris", flower), range(240)))
        server.stop()

    roots = {span.id: span for span in collected.spans if span.name == PREDICT}
    batches = [span for span in collected.spans if span.parent in roots]
    assert len(batches) < len(roots) == 240, "some were asked together"
    seen = []
    for batch in batches:
        assert batch.attributes["mlfolio.batch.size"] == 1 + len(batch.links)
        assert all(roots[other].links == {batch.id} for other in batch.links)
        seen += [batch.parent, *batch.links]
    assert sorted(seen) == sorted(roots), "each of them finds the batch with its answer"


def test_another_protocol_is_refused_with_what_to_do(watched: Watched) -> None:
    around = {**os.environ, "MLFOLIO_RUNS": str(watched.server.runs),
              "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
              "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "mlfolio", "serve", "--port", str(free_port()), "--no-pages"],
        env=around, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL='grpc': traces are sent as http/protobuf" in said
    assert "4318 (gRPC's is 4317)" in said
    assert "Traceback" not in said


def test_prometheus_has_stages_tokens_and_dollars(watched: Watched) -> None:
    question = {"question": "When was the first charter granted?"}
    took = watched.server.predict("documents", question).json()["predictions"][0]["usage"]
    text = watched.server.client.get("/metrics").text

    def value(name: str, **labels: str) -> float:
        said = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
        found = re.search(rf"^{name}{{{said}}} (\S+)$", text, re.MULTILINE)
        assert found, f"no {name} {said}"
        return float(found[1])

    assert value("mlfolio_stage_seconds_count", system="documents", stage="extract") >= 1
    assert value("mlfolio_stage_seconds_count", system="documents", stage="predict") >= 1
    if took["cost"]:
        asked = {"system": "documents", "model": "m"}
        read = value("mlfolio_llm_tokens_total", direction="input", **asked)
        wrote = value("mlfolio_llm_tokens_total", direction="output", **asked)
        assert (read % READ, wrote % WROTE) == (0, 0)
        dollars = value("mlfolio_llm_dollars_total", **asked)
        assert dollars == pytest.approx((10 * read + 100 * wrote) / 1e6)


def test_a_thumb_is_kept_and_shown_in_days(watched: Watched) -> None:
    from mlfolio.track.quality import days

    feedback = "/v1/systems/documents/feedback"
    given = watched.server.predict("documents", {"question": CHARTER}).json()["predictions"][0]
    thumb = {"id": given["id"], "good": False}
    assert watched.server.client.post(feedback, json=thumb).status_code == 200
    assert watched.server.client.post(feedback, json={**thumb, "good": True}).status_code == 200
    for wrong in ({"id": given["id"], "good": "yes"}, {**thumb, "answer": "x"}, {"id": "x"}):
        assert watched.server.client.post(feedback, json=wrong).status_code == 422
    unknown = {"id": "0" * 32, "good": True}
    assert watched.server.client.post(feedback, json=unknown).status_code == 404

    url = f"sqlite:///{watched.server.runs / 'predictions.db'}"
    (today,) = days("documents", 0, url=url)
    assert (today.up, today.down) == (1, 0)
    kept = next(row for row in logged(url, "documents") if row["id"] == given["id"])
    assert '"usage"' in kept["output"]
    assert given["answer"][:20] not in kept["output"], "a private system's answers are not kept"


def test_content_is_in_spans_where_the_user_wants_it(watched: Watched) -> None:
    with (
        collecting() as collected,
        serving(
            watched.server.runs, MLFOLIO_LLM=f"{watched.script.url}/v1#m",
            OTEL_EXPORTER_OTLP_ENDPOINT=collected.url,
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
        ) as server,
    ):  # fmt: skip
        httpx.get(f"{server.url}/health")
        took = server.predict("documents", {"question": CHARTER}).json()["predictions"][0]["usage"]
        server.stop()

    assert took["cost"] is None, "without a price no cost is claimed"
    (chat,) = (span for span in collected.spans if span.name == "chat m")
    assert CHARTER in chat.attributes["gen_ai.input.messages"]
    assert SAID in chat.attributes["gen_ai.output.messages"]
    (search,) = (s for s in collected.spans if s.name == "search" and s.trace == chat.trace)
    assert search.attributes["gen_ai.retrieval.query.text"] == CHARTER
    assert collected.services == {"mlfolio"}
    assert {span.name for span in collected.spans if not span.parent} == {
        "warm documents", PREDICT,
    }  # fmt: skip
