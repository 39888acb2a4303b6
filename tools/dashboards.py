"""Writes the Grafana dashboards in `deploy/grafana/dashboards/`, or tells what is out of date.

    python tools/dashboards.py            # writes them
    python tools/dashboards.py --check    # fails if they are not what it would write

Prometheus is asked for recorded rules where there are some (deploy/prometheus/rules.yml).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
PREDICT = 'route="/v1/systems/{name}/predict"'
P = TypeVar("P", stat.Panel, timeseries.Panel)


class Panel(NamedTuple):
    """What a panel shows.

    Attributes:
        title: Its heading.
        query: What is asked.
        legend: How a curve is called; empty for one number instead of curves.
        unit: Grafana's name of the unit.
        says: What it means, in a few words.
        bad: From which value a number is red.
    """

    title: str
    query: str
    legend: str = ""
    unit: str = "short"
    says: str = ""
    bad: float | None = None


def of(metric: str, more: str = "") -> str:
    """A metric of the systems that were chosen above the panels."""
    return f'{metric}{{system=~"$system"{more}}}'


def rate(counter: str, by: str, window: str = "5m") -> str:
    """How much a counter grows in a second, by some labels."""
    return f"sum by ({by}) (rate({of(counter)}[{window}]))"


def grown(counter: str, by: str, window: str) -> str:
    """How much a counter has grown, by some labels."""
    return f"sum by ({by}) (increase({of(counter)}[{window}]))"


def total(query: str) -> str:
    """One number, 0 where nothing is known."""
    return f"sum({query}) or vector(0)"


FAILED = 'rate(mlfolio_requests_total{status=~"5.."}[5m])'
FIRING = 'ALERTS{alertstate="firing", alertname=~"Mlfolio.*"}'
BATCH = f"{rate('mlfolio_batch_size_sum', 'system')} / {rate('mlfolio_batch_size_count', 'system')}"
STAGES = f"histogram_quantile(0.95, {rate('mlfolio_stage_seconds_bucket', 'system, stage, le')})"
SERVING = {
    "Now": [
        Panel("Servers that answer", 'sum(up{job="mlfolio"})'),
        Panel("Requests a second", "sum(route:mlfolio_requests:rate5m)", unit="reqps"),
        Panel("Failures a second", total(FAILED), unit="reqps", says="Answered with 5xx", bad=0.05),
        Panel("The log fails", "max(mlfolio_log_failing)", says="1 is yes", bad=1),
        Panel("Wait to be logged", "sum(mlfolio_log_waiting)", bad=10_000),
        Panel("Alerts", total(FIRING), bad=1),
    ],
    "Requests": [
        Panel("Requests", "route:mlfolio_requests:rate5m", "{{route}}", "reqps"),
        Panel("Share that fails", "route:mlfolio_errors:ratio5m", "{{route}}", "percentunit"),
        Panel(
            "Time to answer",
            f"route:mlfolio_request_seconds:quantile5m{{{PREDICT}}}",
            "{{quantile}}",
            "s",
            "Of predictions: half, 95 and 99 in a hundred are faster",
        ),
        Panel("In flight", "sum(mlfolio_requests_in_flight)", "requests"),
    ],
    "Systems": [
        Panel("Answers", of("system:mlfolio_predictions:rate5m"), "{{system}}", "reqps"),
        Panel(
            "Time of the model",
            of("system:mlfolio_model_seconds:quantile5m"),
            "{{system}} {{quantile}}",
            "s",
            "Of a batch, without waiting",
        ),
        Panel(
            "Inputs that wait",
            f"sum by (system) ({of('mlfolio_queue')})",
            "{{system}}",
            says="At 2,000 requests are refused",
        ),
        Panel(
            "Calls of the model that fail",
            of("system:mlfolio_model_errors:ratio5m"),
            "{{system}}",
            "percentunit",
        ),
        Panel("Size of a batch", BATCH, "{{system}}"),
        Panel("Time of stages", STAGES, "{{system}} {{stage}}", "s", "95 in a hundred are faster"),
    ],
    "Language models": [
        Panel(
            "Tokens a second",
            rate("mlfolio_llm_tokens_total", "model, direction"),
            "{{model}} {{direction}}",
        ),
        Panel(
            "Dollars an hour",
            f"{rate('mlfolio_llm_dollars_total', 'model', '1h')} * 3600",
            "{{model}}",
            "currencyUSD",
        ),
    ],
}
WATCHING = {
    "Now": [
        Panel("Alarms", total(of("mlfolio_alarm")), bad=1),
        Panel("Drifted columns", total(of("mlfolio_drifted_columns")), bad=1),
        Panel(
            "Since the oldest look",
            f"max(time() - max by (system) ({of('mlfolio_looked_timestamp_seconds')}))",
            unit="s",
        ),
        Panel("Retrainings in 30 days", total(grown("mlfolio_retrainings_total", "system", "30d"))),
        Panel(
            "Other champions in 30 days",
            f"sum(max by (system) (changes({of('mlfolio_champion_version')}[30d])))",
        ),
    ],
    "Quality": [
        Panel(
            "Live quality",
            of("mlfolio_live_quality"),
            "{{system}} {{measure}}",
            says="By what users told of the answers",
        ),
        Panel(
            "Confidence",
            of("system:mlfolio_confidence:mean1h"),
            "{{system}}",
            "percentunit",
            "The mean of an hour",
        ),
        Panel(
            "Alarms",
            f"max by (system, kind) ({of('mlfolio_alarm')})",
            "{{system}} {{kind}}",
        ),
        Panel("Drifted columns", of("mlfolio_drifted_columns"), "{{system}}"),
    ],
    "Answers": [
        Panel(
            "What is answered",
            rate("mlfolio_predictions_total", "system, answer", "1h"),
            "{{system}} {{answer}}",
            "reqps",
        ),
        Panel(
            "By which version",
            rate("mlfolio_predictions_total", "system, version"),
            "{{system}} {{version}}",
            "reqps",
        ),
    ],
    "Releases": [
        Panel(
            "Champion",
            f"max by (system) ({of('mlfolio_champion_version')})",
            "{{system}}",
            says="Its number; it goes down at a rollback",
        ),
        Panel(
            "Canary",
            rate("mlfolio_canary_answers_total", "system, version, role"),
            "{{system}} {{version}} {{role}}",
            "reqps",
        ),
        Panel(
            "Retrainings of a day",
            grown("mlfolio_retrainings_total", "system, outcome", "1d"),
            "{{system}} {{outcome}}",
        ),
    ],
}
DASHBOARDS = {"serving": ("mlfolio: serving", SERVING), "watching": ("mlfolio: watching", WATCHING)}


def write(name: str) -> str:
    """The JSON of a dashboard."""
    title, rows = DASHBOARDS[name]
    page = (
        dashboard.Dashboard(title)
        .uid(f"mlfolio-{name}")
        .tags(["mlfolio"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(_systems())
        .annotation(_new_champions())
    )
    number = 1
    for heading, panels in rows.items():
        page = page.with_row(dashboard.Row(heading).id(number))
        for panel in panels:
            number += 1
            made = _curve(panel) if panel.legend else _number(panel, len(panels))
            page = page.with_panel(made.id(number))
        number += 1
    return JSONEncoder(sort_keys=True, indent=2).encode(page.build()) + "\n"


def _systems() -> dashboard.QueryVariable:
    """The choice of systems above the panels."""
    return (
        dashboard.QueryVariable("system")
        .label("System")
        .datasource(PROMETHEUS)
        .query("label_values(mlfolio_predictions_total, system)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
    )


def _new_champions() -> dashboard.AnnotationQuery:
    """Marks where a champion changed: whatever began there, began with it."""
    return (
        dashboard.AnnotationQuery()
        .name("New champion")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color("purple")
        .expr("max by (system) (changes(mlfolio_champion_version[1m])) > 0")
    )


def _number(panel: Panel, among: int) -> stat.Panel:
    """One number, red where it is bad."""
    steps = [Threshold(value=None, color="green")]
    if panel.bad is not None:
        steps.append(Threshold(value=panel.bad, color="red"))
    limits = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    made = stat.Panel().height(4).span(24 // among).thresholds(limits)
    return _asked(made.graph_mode(BigValueGraphMode.AREA), panel)


def _curve(panel: Panel) -> timeseries.Panel:
    """Curves over time."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST)
    legend = legend.placement(LegendPlacement.BOTTOM).show_legend(True)
    made = timeseries.Panel().height(8).span(12).min(0).fill_opacity(10).legend(legend)
    return _asked(made, panel)


def _asked(made: P, panel: Panel) -> P:
    """A panel with its words and its question."""
    query = prometheus.Dataquery().expr(panel.query).legend_format(panel.legend).ref_id("A")
    made = made.title(panel.title).description(panel.says).unit(panel.unit)
    return made.datasource(PROMETHEUS).with_target(query)


def main() -> int:
    """Writes the dashboards, or compares them."""
    stale = []
    for name in DASHBOARDS:
        path, text = FOLDER / f"{name}.json", write(name)
        if "--check" in sys.argv:
            if not path.is_file() or path.read_text("utf-8") != text:
                stale.append(path.name)
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run: python tools/dashboards.py")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
