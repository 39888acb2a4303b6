"""The judge: the formulas of RAGAS worked out by hand, and replies that are no reply."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

pytest.importorskip("langchain_openai")

from mlfolio.parts.llm.chat import Chat, Spec
from mlfolio.parts.llm.judge import Judge

from .llm_server import Script, serve
from .retrieval_tools import Words

ENCODER = Words()
PASSAGES = ["Paris is in France.", "Bread is baked.", "France is in Europe.", "Rain falls."]


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    with serve(Script("")) as script:
        yield script


def judge_of(url: str, timeout: float = 20, pause: float = 0) -> Judge:
    return Judge(
        Chat(Spec("server", "tiny", f"{url}/v1"), timeout, retries=0, pause=pause), ENCODER
    )


def verdicts(*said: int) -> str:
    return json.dumps({"verdicts": said})


def marks(judge: Judge, passages: Sequence[str] = PASSAGES) -> list[float]:
    """One of each kind."""
    return [
        judge.faithfulness("Where is Paris?", "In France.", passages),
        judge.relevancy("Where is Paris?", "In France."),
        judge.context_precision("Where is Paris?", "In France.", passages),
        judge.context_recall("Where is Paris?", "In France.", passages),
    ]


def test_the_formulas(script: Script) -> None:
    judge = judge_of(script.url)

    script.steps = [verdicts(1, 0, 1, 1)]
    assert judge.faithfulness("q", "a", PASSAGES) == 3 / 4, "supported of all statements"
    assert judge.context_recall("q", "a", PASSAGES) == 3 / 4, "supported of a right answer's"
    # sum(precision@k * v_k) / sum(v_k), with precision 1/1, 2/3 and 3/4 at the useful places.
    precision = judge.context_precision("q", "a", PASSAGES)
    assert precision == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    script.steps = [verdicts(0, 0, 0, 0)]
    assert judge.context_precision("q", "a", PASSAGES) == 0
    assert judge.faithfulness("q", "a", PASSAGES) == 0

    could_be = ["Where is Paris?", "Where is the bread?", "Is it in France?"]
    script.steps = [json.dumps({"questions": [*could_be, "What is a fourth one?"]})]
    cosines = ENCODER.encode(could_be) @ ENCODER.encode_query("Where is Paris?")
    assert cosines[0] == pytest.approx(1)
    assert judge.relevancy("Where is Paris?", "In France.") == pytest.approx(np.mean(cosines))


@pytest.mark.parametrize(
    "around",
    ["{}", "Sure! {}\nI hope that helps.", "```json\n{}\n```", "<think>A set {{a, b}}?</think> {}",
     "Here, {{as asked}}: {} {{end}}"],
)  # fmt: skip
def test_prose_around_a_reply_is_left_out(script: Script, around: str) -> None:
    script.steps = [around.format(verdicts(1, 0))]
    assert judge_of(script.url).faithfulness("q", "a", PASSAGES) == 0.5


@pytest.mark.parametrize(
    "said",
    ["I cannot judge this.", "{}", "[1, 0, 1, 1]", "{\"verdicts\": []}", "{\"questions\": []}",
     "{\"verdicts\": [2, 7]}", "{\"verdicts\": [null]}", "{\"verdicts\": {\"a\": 1}}",
     "{\"verdicts\": [1, 0", "{" * 50_000, "{}" * 50_000, "{\"a\":" * 50_000, 400, 429, 500],
    ids=lambda said: str(said)[:20],
)  # fmt: skip
def test_no_reply_is_no_mark(script: Script, said: str | int) -> None:
    script.steps = [said]
    assert all(map(math.isnan, marks(judge_of(script.url))))


def test_verdicts_on_more_or_fewer_passages_are_no_mark(script: Script) -> None:
    for said in (verdicts(1, 1, 1), verdicts(1, 1, 1, 1, 1)):
        script.steps = [said]
        assert math.isnan(judge_of(script.url).context_precision("q", "a", PASSAGES))


def test_what_takes_too_long_costs_its_own_mark_alone(script: Script) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, and says nothing
        judge = judge_of(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
        began = time.monotonic()
        assert all(map(math.isnan, marks(judge)))
        assert time.monotonic() - began > 4 * 0.3, "each of them was waited for"
    gone = judge_of("http://127.0.0.1:9")
    assert all(map(math.isnan, marks(gone)))
