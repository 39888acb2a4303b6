"""What Prometheus is told: its own tools read it, and one of its own looks at a server."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import mlfolio
from mlfolio.serve import keys
from tests.deploy.conftest import DEPLOY, ROOT, scraping
from tests.serve.conftest import serving

FOLDER = DEPLOY / "prometheus"
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
# Told by the loop's story, once a system is watched.
WATCHED = {
    "mlfolio_alarm", "mlfolio_drifted_columns", "mlfolio_live_quality",
    "mlfolio_looked_timestamp_seconds", "mlfolio_retrainings_total",
}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    """Every rule, recording or alerting."""
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def exposed() -> set[str]:
    """The names of all that a server tells, watched or not."""
    from mlfolio.serve import metrics

    found = set(WATCHED)
    for family in metrics.REGISTRY.collect():
        name = family.name
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        found |= {name + end for end in ends.get(family.type, ("",))}
    return found


def named_in(query: str) -> set[str]:
    """The metrics of ours that a query names, and the rules."""
    return set(re.findall(r"(?<![:\w])(?:(?:route|system):)?mlfolio_\w+(?::\w+)?", query))


def test_promtool_reads_the_configuration(promtool: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "prometheus"))
    text = (folder / "prometheus.yml").read_text("utf-8")
    (folder / "key").write_text("mlf_x", "utf-8")  # it has to be there, as in a container
    text = text.replace("/run/secrets/prometheus_key", str(folder / "key"))
    (folder / "prometheus.yml").write_text(text, "utf-8")

    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


@pytest.mark.slow
def test_each_alert_comes_when_it_should(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", "rules_test.yml"], cwd=FOLDER, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    examples = (FOLDER / "rules_test.yml").read_text("utf-8")
    for name in ALERTS:
        assert name in examples, f"no example of {name}"


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "action", "runbook"}
    page, anchor = alert["annotations"]["runbook"].split("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}


def test_the_runbook_has_no_alert_that_is_not() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    assert set(re.findall(r"^## (Mlfolio\w+)$", text, re.MULTILINE)) == set(ALERTS)


def test_rules_name_what_there_is() -> None:
    known = exposed() | {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert named_in(rule["expr"]) <= known, rule


@pytest.mark.slow
def test_a_prometheus_sees_a_server_and_its_end(home: Path, tmp_path: Path) -> None:
    """With a key, since `/metrics` asks for one wherever there is any."""
    mlfolio.run("iris", data="sample", repeats=1, folds=2)
    runs = home / "runs"
    key = keys.make("prometheus", runs / "keys.json")
    (folder := tmp_path / "prometheus").mkdir()
    with (
        serving(runs) as server,
        scraping(server.url.removeprefix("http://"), key, folder) as prometheus,
    ):
        assert prometheus.wait_for("up") == {"": 1.0}
        server.client.headers["Authorization"] = f"Bearer {key}"
        until = time.monotonic() + 60
        while not prometheus.ask("system:mlfolio_predictions:rate5m > 0"):
            assert time.monotonic() < until
            assert server.predict("iris", FLOWER, FLOWER).status_code == 200
            time.sleep(0.5)
        slow = prometheus.wait_for('system:mlfolio_model_seconds:quantile5m{quantile="0.95"} > 0')
        assert 0 < slow["iris"] <= 30
        assert prometheus.ask("mlfolio_log_failing") == {"": 0.0}
        groups = prometheus.get("/rules")["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert "MlfolioDown" not in prometheus.firing()

        server.stop()

        prometheus.wait_for('ALERTS{alertname="MlfolioDown", alertstate="firing"}')
        assert "MlfolioDown" in prometheus.firing()
