"""The dashboards are what the program writes, and ask Prometheus for what there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY, ROOT, scraping
from tests.deploy.test_prometheus import exposed, named_in, rules
from tests.postgres import free_port

PAGES = {path.stem: path for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}


def dashboard(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(PAGES[name].read_text("utf-8"))
    return content


def queries(name: str) -> list[str]:
    """What a dashboard asks, with all systems chosen."""
    page = dashboard(name)
    asked = [t["expr"] for panel in page["panels"] for t in panel.get("targets", ())]
    asked += [each["expr"] for each in page["annotations"]["list"]]
    return [query.replace("$system", ".+") for query in asked]


def test_dashboards_are_what_the_program_writes() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "dashboards.py"), "--check"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(PAGES) == {"serving", "watching"}


@pytest.mark.parametrize("name", PAGES)
def test_they_ask_for_what_there_is(name: str) -> None:
    known = exposed() | {rule["record"] for rule in rules() if "record" in rule}
    for query in queries(name):
        assert named_in(query) <= known, query
    (variable,) = dashboard(name)["templating"]["list"]
    assert named_in(variable["query"]) <= known


def test_every_metric_of_ours_is_on_one_of_them() -> None:
    """Itself, or by a rule that is."""
    shown = {metric for name in PAGES for query in queries(name) for metric in named_in(query)}
    shown |= {m for rule in rules() if rule.get("record") in shown for m in named_in(rule["expr"])}
    families = {re.sub("_(bucket|sum|count)$", "", metric) for metric in shown}
    of_ours = {
        re.sub("_(bucket|sum|count)$", "", name) for name in exposed() if name.startswith("mlfolio")
    }
    assert of_ours <= families


@pytest.mark.parametrize("name", PAGES)
def test_panels_are_told_apart_and_do_not_overlap(name: str) -> None:
    panels = dashboard(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])
        }  # fmt: skip
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_provisioning_names_what_the_dashboards_ask() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text("utf-8"))[
        "datasources"
    ]
    for name in PAGES:
        sources = {p["datasource"]["uid"] for p in dashboard(name)["panels"] if p.get("targets")}
        assert sources == {source["uid"]}
    (provider,) = yaml.safe_load((folder / "dashboards" / "mlfolio.yaml").read_text("utf-8"))[
        "providers"
    ]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    mounted = compose["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounted
    assert source["url"] == "http://prometheus:9090"


def test_a_prometheus_reads_every_query(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with scraping(nobody, "none", tmp_path) as prometheus:
        for name in PAGES:
            for query in queries(name):
                assert prometheus.get("/query", query=query)["resultType"] == "vector", query
