"""The rules that people write, and what they decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlfolio.core.errors import FileError, UnknownNameError
from mlfolio.monitor.checks import Alarm
from mlfolio.monitor.policy import DAY, Facts, Retrain, decide, read_policies

NOW = 1_800_000_000.0


def facts(**changed: Any) -> Facts:
    known = {
        "now": NOW,
        "trained": NOW - 5 * DAY,
        "tried": None,
        "labels": 1000,
        "untried": 900,
        "alarms": (),
    }
    return Facts(**{**known, **changed})


def alarm(kind: str, message: str = "no longer what it was", effect: float = 0.4) -> Alarm:
    return Alarm(kind=kind, column="tenure", message=message, n=500, p_value=1e-6, effect=effect)  # type: ignore[arg-type]


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_policy_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "churn:\n  mode: act\n  retrain: {every: 30, drift: yes, labels: 1000}\n"
        "  release: {way: canary, share: 0.2, requests: 100}\niris:\n",
    )
    policies = read_policies(path)
    assert policies["churn"].mode == "act"
    assert policies["churn"].retrain.drift
    assert policies["churn"].release.share == 0.2
    assert policies["iris"].mode == "suggest"
    assert policies["iris"].retrain.every is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("churn:\n  retrain:\n    evry: 3\n", "line 3.*did you mean 'every'"),
        ("churn:\n  mode: auto\n", "line 2"),
        ("churn:\n  release: {share: 1.5}\n", "line 2.*share"),
        ("churn:\n  retrain: {every: soon}\n", "line 2"),
        ("- churn\n", "policy.yaml"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(FileError, match=told):
        read_policies(written(tmp_path, text))


def test_a_wrong_system_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="churn"):
        read_policies(written(tmp_path, "chrun: {mode: act}\n"))


def test_nothing_is_asked_for_where_no_rule_fires() -> None:
    decision = decide(Retrain(every=30, labels=5000, drift=True), facts())
    assert not decision.retrain
    assert "5.0 of 30 days" in " ".join(decision.reasons)
    assert "1,000 of 5,000" in " ".join(decision.reasons)


@pytest.mark.parametrize(
    ("rules", "changed", "told"),
    [
        (Retrain(every=5), {}, "5.0 days old"),
        (Retrain(labels=1000), {}, "1,000 new labelled rows"),
        (Retrain(drift=True), {"alarms": [alarm("input drift")]}, "input drift"),
        (Retrain(drift=True), {"alarms": [alarm("prediction drift")]}, "prediction drift"),
        (Retrain(quality=True), {"alarms": [alarm("live quality")]}, "live quality"),
    ],
)
def test_each_rule_asks_with_its_reason(rules: Retrain, changed: Any, told: str) -> None:
    decision = decide(rules, facts(**changed))
    assert decision.retrain
    assert told in decision.reasons[0]


def test_a_column_of_which_a_part_is_new_holds_nothing_up() -> None:
    new = alarm("data quality", "charges: outside 17 to 106: 24 % of rows", 0.24)
    assert decide(Retrain(drift=True), facts(alarms=[alarm("input drift"), new])).retrain


@pytest.mark.parametrize("kind", ["latency", "errors", "live quality"])
def test_what_no_rule_is_about_asks_for_nothing(kind: str) -> None:
    assert not decide(Retrain(drift=True), facts(alarms=[alarm(kind)])).retrain


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"alarms": [alarm("data quality", "charges: all missing", 1.0)]}, "mend that first"),
        ({"tried": NOW - 0.5 * DAY}, "0.50 days ago"),
        ({"untried": 150}, "150 labelled rows since the last training"),
    ],
)
def test_what_stands_against_a_training_is_told(changed: Any, told: str) -> None:
    decision = decide(Retrain(every=1), facts(**changed))
    assert not decision.retrain
    assert told in " ".join(decision.reasons)
    assert "days old" in decision.reasons[0]
