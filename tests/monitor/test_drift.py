"""What is drift and what is not: on rows whose change is known."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlfolio.core.errors import FileError, UserError
from mlfolio.monitor.checks import FEWEST, Check, alarms
from mlfolio.monitor.columns import columns_of
from mlfolio.monitor.drift import compare_categories, compare_numbers, compare_vectors
from mlfolio.monitor.report import write_report
from mlfolio.monitor.rows import Row, read_reference
from mlfolio.monitor.watching import FROM_RUN, Gathered, Watched, watch
from mlfolio.parts.stats import holm

TOWNS = ("Ayr", "Bonn", "Cork")


def rows(
    n: int, seed: int, change: Callable[[dict[str, Any]], None] = lambda row: None
) -> list[Row]:
    """Customers: a number, one that is sometimes missing, a category; and what was answered."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        asked = {
            "age": float(rng.normal(40, 10)),
            "income": None if rng.random() < 0.1 else float(rng.lognormal(3, 1)),
            "town": str(rng.choice(TOWNS, p=[0.6, 0.3, 0.1])),
        }
        chance = float(1 / (1 + np.exp((asked["age"] - 40) / 10)))
        truth = "yes" if rng.random() < chance else "no"
        change(asked)
        found.append(Row(asked, answer(chance), truth))
    return found


def answer(chance: float) -> dict[str, Any]:
    return {
        "answer": "yes" if chance >= 0.5 else "no", "confidence": max(chance, 1 - chance),
        "probabilities": {"no": 1 - chance, "yes": chance}, "warnings": [],
    }  # fmt: skip


def told(found: Watched) -> set[tuple[str, str]]:
    return {(alarm.kind, alarm.column) for alarm in found.alarms}


@pytest.mark.parametrize("seed", range(5))
def test_rows_like_the_reference_are_no_alarm(seed: int) -> None:
    found = watch("toy", rows(1_000, seed), rows(1_000, 100 + seed))
    assert told(found) == set()
    assert len(found.checks) > 8


def test_looks_at_nothing_cry_wolf_no_more_often_than_promised() -> None:
    population = rows(4_000, 0)
    rng = np.random.default_rng(1)

    def drawn(n: int) -> list[Row]:
        return [population[at] for at in rng.integers(len(population), size=n)]

    wolves = sum(bool(watch("toy", drawn(300), drawn(200)).alarms) for _ in range(60))

    assert wolves <= 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda row: row.update(age=row["age"] + 8), ("input drift", "age")),
        (lambda row: row.update(age=row["age"] * 12), ("data quality", "age")),
        (lambda row: row.update(age=40.0), ("data quality", "age")),
        (lambda row: row.update(income=None), ("data quality", "income")),
        (lambda row: row.update(town=row["town"].upper()), ("data quality", "town")),
        (lambda row: row.update(town="Cork"), ("input drift", "town")),
    ],
)
def test_a_broken_column_is_told_by_its_name(
    change: Callable[[dict[str, Any]], None], expected: tuple[str, str]
) -> None:
    found = watch("toy", rows(1_000, 0), rows(300, 1, change))
    assert expected in told(found)
    assert {column for _, column in told(found)} == {expected[1]}


def test_a_trifle_is_no_alarm_in_however_many_rows() -> None:
    rng = np.random.default_rng(0)
    check = compare_numbers(
        "x", rng.normal(0, 1, 200_000), rng.normal(0.05, 1, 200_000), "input drift"
    )
    assert check.p_value < 1e-9
    assert alarms([check]) == ()


def test_answers_and_confidences_drift_too() -> None:
    sure = [row._replace(output=answer(0.97)) for row in rows(300, 1)]
    found = watch("toy", rows(1_000, 0), sure)
    assert {("prediction drift", "answer"), ("prediction drift", "confidence")} <= told(found)


def test_too_few_rows_say_nothing() -> None:
    found = watch("toy", rows(1_000, 0), rows(FEWEST - 1, 1, lambda row: row.update(age=0.0)))
    assert found.alarms == ()
    assert found.checks == ()
    assert "too few rows" in found.notes[0]


def test_many_comparisons_count_as_many() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    facts = {"kind": "input drift", "message": "", "n": 200, "effect": 0.5, "least": 0.1}
    one = Check(column="a", p_value=0.005, **facts)
    others = [Check(column=str(n), p_value=0.5, **facts) for n in range(50)]
    assert [alarm.column for alarm in alarms([one])] == ["a"]
    assert alarms([one, *others]) == ()


def test_rare_categories_are_compared_together() -> None:
    before = ["usual"] * 990 + [f"rare {n}" for n in range(10)]
    now = ["usual"] * 198 + ["rare 0", "another"]
    assert compare_categories("x", before, now, "input drift").p_value > 0.1
    assert compare_categories("x", ["a"] * 50, ["a"] * 200, "input drift").p_value == 1.0


def test_the_largest_value_ever_is_nothing_strange() -> None:
    """Of any hundred new rows some may lie beyond all that were seen before."""
    rng = np.random.default_rng(0)
    wolves = 0
    for _ in range(200):
        before = [Row({"x": float(x)}, answer(0.5)) for x in rng.normal(size=100)]
        now = [Row({"x": float(x)}, answer(0.5)) for x in rng.normal(size=100)]
        wolves += bool(watch("toy", before, now).alarms)
    assert wolves <= 6


def test_kinds_are_told_from_values() -> None:
    png = base64.b64encode(b"\x89PNG and so on").decode()
    before = [
        {"n": 1, "flag": True, "word": "ab"[at % 2], "text": f"text {at}", "picture": png,
         "films": ["a"] * at, "none": None, "deep": {"a": 1}}
        for at in range(200)
    ]  # fmt: skip
    kinds = {column.name: column.kind for column in columns_of(before, before)}
    assert kinds == {
        "n": "number", "flag": "category", "word": "category", "text": "text",
        "picture": "picture", "length of films": "number",
    }  # fmt: skip


@pytest.mark.slow
def test_a_classifier_tells_vectors_apart_only_where_they_differ() -> None:
    rng = np.random.default_rng(0)
    wolves = 0
    for seed in range(200):
        check, _ = compare_vectors(
            "x", rng.normal(size=(200, 50)), rng.normal(size=(150, 50)), seed=seed
        )
        wolves += check.p_value < 0.05
    assert wolves <= 10, "one in twenty"
    moved = rng.normal(size=(150, 50))
    moved[:50, 0] += 6  # a third of the rows is new
    check, ranks = compare_vectors("x", rng.normal(size=(200, 50)), moved)
    assert alarms([check])
    assert np.median(ranks[:50]) > np.quantile(ranks[50:], 0.75)


def test_concept_drift_is_seen_once_the_truth_is_told() -> None:
    def turned(row: Row) -> Row:
        return row._replace(truth={"yes": "no", "no": "yes"}[row.truth])

    now = rows(400, 1)
    worse = [turned(row) if at % 3 == 0 else row for at, row in enumerate(now)]
    waiting = [row._replace(truth=None) for row in now]

    assert told(watch("toy", rows(1_000, 0), waiting)) == set()
    assert told(watch("toy", rows(1_000, 0), now)) == set()
    found = watch("toy", rows(1_000, 0), waiting, worse)
    assert {kind for kind, _ in told(found)} == {"live quality"}
    assert found.live is not None
    assert (found.live.judged, found.live.waiting) == (400, 1.0)
    accuracy = found.live.measures[0]
    assert accuracy.before is not None
    assert accuracy.value < accuracy.before


def test_amounts_are_judged_by_their_errors() -> None:
    rng = np.random.default_rng(0)

    def priced(n: int, error: float) -> list[Row]:
        return [
            Row(None, {"answer": 100.0, "confidence": None}, 100 + float(each))
            for each in rng.normal(0, error, n)
        ]

    assert told(watch("toy", priced(500, 5), priced(200, 5))) == set()
    found = watch("toy", priced(500, 5), priced(200, 9))
    assert told(found) == {("live quality", "absolute error")}
    assert any("no inputs" in note for note in found.notes)


def test_slow_answers_are_told_and_quick_ones_are_not() -> None:
    quick = [row._replace(latency_ms=20.0) for row in rows(200, 1)]
    slow = [row._replace(latency_ms=900.0) for row in rows(200, 1)]
    before = rows(500, 0)
    assert told(watch("toy", before, quick, measured_ms=5.0)) == set()
    assert told(watch("toy", before, slow, measured_ms=5.0)) == {("latency", "latency_ms")}
    assert told(watch("toy", before, slow, measured_ms=500.0)) == set()


def test_failed_requests_are_an_alarm_where_they_are_many() -> None:
    before, now = rows(300, seed=1), rows(300, seed=2)
    assert watch("churn", before, now, requests=(400, 4)).alarms == ()
    (alarm,) = watch("churn", before, now, requests=(400, 40)).alarms
    assert (alarm.kind, alarm.message) == ("errors", "40 of 400 requests failed")
    assert watch("churn", before, now, requests=(50, 50)).alarms == (), "too few to say anything"


def test_a_damaged_reference_is_told(tmp_path: Path) -> None:
    assert read_reference(tmp_path) == []
    (tmp_path / "reference.jsonl").write_text(json.dumps({"input": {}}) + "\n", "utf-8")
    with pytest.raises(FileError, match="damaged"):
        read_reference(tmp_path)


@pytest.mark.slow
def test_evidently_draws_a_report_and_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("evidently")
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("something was fetched or sent")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    gathered = Gathered(1, FROM_RUN, rows(300, 0), rows(200, 1), [], None)
    write_report(gathered, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "income" in html
    assert "<script src=" not in html
    with pytest.raises(UserError, match="too few"):
        write_report(gathered._replace(rows=[]), tmp_path / "none.html")


def test_prices_with_chances_are_amounts_and_classes_may_be_numbers() -> None:
    """Stocks tells a price and the chance that it rises; titanic answers 0 or 1."""
    price = Row(None, {"answer": 101.5, "probabilities": {"up": 0.6, "down": 0.4}}, 102.5)
    survived = Row(None, {"answer": 1, "probabilities": {"0": 0.2, "1": 0.8}}, 1)
    reply = Row(None, {"answer": "Good day", "probabilities": {"greet": 0.9}}, "Hello")
    names = {}
    for row in (price, survived, reply):
        found = watch("toy", [row] * 100, [row] * 100)
        assert found.live is not None
        names[row.output["answer"]] = [measure.name for measure in found.live.measures]
    assert names == {
        101.5: ["absolute error"], 1: ["accuracy", "Brier score"], "Good day": ["accuracy"],
    }  # fmt: skip
