"""The model card: Markdown with the metadata block that model hubs read.

Sections as in Mitchell et al. (2019), Model Cards for Model Reporting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlfolio.core.card import Card
from mlfolio.core.run import read_json, write_text
from mlfolio.report.words import FOREIGN, interval, number, title, verdict

TASKS = {
    "table": "tabular-classification",
    "image": "image-classification",
    "text": "text-classification",
    "documents": "question-answering",
    "series": "time-series-forecasting",
    "recommendation": "other",
    "language model": "text-generation",
}


def write_model_card(folder: Path, card: Card) -> Path:
    """Writes `MODEL_CARD.md` into a run's folder, from its `scores.json` and `data.json`."""
    result, data = read_json(folder / "scores.json"), read_json(folder / "data.json")
    path = folder / "MODEL_CARD.md"
    block = yaml.safe_dump(_metadata(card, result, data), sort_keys=False, allow_unicode=True)
    write_text(path, f"---\n{block}---\n\n{_body(card, result, data)}")
    return path


def _metadata(card: Card, result: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The YAML block: https://huggingface.co/docs/hub/model-cards."""
    task, source = card.task or TASKS[card.kind], result["source"]
    return {
        "license": "apache-2.0",
        "library_name": "mlfolio",
        "tags": ["mlfolio", card.slug],
        "pipeline_tag": task,
        "model-index": [
            {
                "name": card.slug,
                "results": [
                    {
                        "task": {"type": task},
                        "dataset": {
                            "name": data["dataset"] + (" (SAMPLE)" if result["sample"] else ""),
                            "type": card.dataset if source == "official" else source,
                        },
                        "metrics": [
                            {"name": s["name"], "type": s["name"], "value": s["value"]}
                            for s in result["scores"]
                        ],
                    }
                ],
            }
        ],
    }


def _body(card: Card, result: dict[str, Any], data: dict[str, Any]) -> str:
    foreign = [FOREIGN, ""] if result["source"] == "own" else []
    lines = [f"# {title(card, result['source'], data['dataset'])}", "", card.summary, ""]
    if result["sample"]:
        lines += ["**SAMPLE: these numbers are measured on an embedded sample.**", ""]
    lines += [
        "## Model",
        "",
        *foreign,
        card.method or "See the system's README.",
        "",
        f"Made by run `{Path(result['run']).name}`, seed {result['seed']}, knobs "
        + (", ".join(f"`{k}={v}`" for k, v in result["knobs"].items()) or "none")
        + ".",
        "",
        "## Intended use",
        "",
        card.intended_use or "Learning, and a starting point for a system of your own.",
        "",
        "## Data",
        "",
        f"{data['dataset']} ({data['licence']}); "
        + ", ".join(f"{count:,} {part}" for part, count in data["rows"].items() if count)
        + f"; fingerprint `{data['fingerprint'][:16]}`.",
        "",
        "## Scores",
        "",
        "| metric | value | 95 % interval | n | baseline | target | protocol |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in result["scores"]:
        lines.append(
            f"| {s['name']} | {number(s['value'])} | {interval(s['ci95'])} | {s['n']:,} "
            f"| {number(s['baseline'])} | {number(s['target'])} | {s['protocol']} |"
        )
    said = [f"- {s['name']}: {verdict(s)}." for s in result["scores"] if verdict(s)]
    lines += ["", *said, "", "## Limits", "", *foreign]
    lines += [f"- {limit}" for limit in card.limits] or ["- See the system's README."]
    return "\n".join(lines) + "\n"
