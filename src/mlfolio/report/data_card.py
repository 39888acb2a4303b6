"""The data card: what a model was made from, for whoever has to answer for it.

Sections after Gebru et al. (2021), Datasheets for Datasets, as far as a run can know them; the
metadata block is the one that data hubs read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlfolio.core.card import Card
from mlfolio.core.run import read_json, write_text
from mlfolio.data.datasets import DATASETS
from mlfolio.report.words import FOREIGN

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MANY = 8  # values of a column that are named
UNKNOWN = (
    "Nobody has checked that these rows stand for those that the model will be asked about: "
    "compare them while it serves."
)


def write_data_card(folder: Path, card: Card) -> Path:
    """Writes `DATA_CARD.md` into a run's folder.

    Args:
        folder: The run's folder, with its `scores.json`, `data.json` and `schema.json`.
        card: The system's card.

    Returns:
        Path of the data card.
    """
    result, data = read_json(folder / "scores.json"), read_json(folder / "data.json")
    schema = read_json(folder / "schema.json", "input")["input"]
    block = yaml.safe_dump(_metadata(data), sort_keys=False, allow_unicode=True)
    lines = [
        f"# The data of {card.slug}: {data['dataset']}", "",
        *(["**SAMPLE: an embedded sample, which stands for no real data.**", ""]
          if result["sample"] else []),
        *_origin(card, result, data), *_parts(data), *_columns(schema), *_findings(result),
        *_use(result), *_limits(card, result),
    ]  # fmt: skip
    path = folder / "DATA_CARD.md"
    write_text(path, f"---\n{block}---\n\n" + "\n".join(lines) + "\n")
    return path


def _metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML block: https://huggingface.co/docs/hub/datasets-cards."""
    count = sum(data["rows"].values())
    size = next((name for most, name in SIZES if count < most), "n>1M")
    return {
        "pretty_name": data["dataset"],
        "license": "other",
        "license_name": data["licence"],
        "size_categories": [size],
        "tags": ["mlfolio"],
    }


def _origin(card: Card, result: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    record = DATASETS.get(card.dataset) if result["source"] == "official" else None
    facts = {
        "source": {"own": "the user's own", "official": "official"}.get(result["source"], "SAMPLE"),
        "licence": data["licence"],
        "published at": record.home if record else "",
        "to cite": record.citation if record else "",
        "fingerprint": f"`{data['fingerprint']}`",
        "fingerprint of what scores are measured on": f"`{data['test_fingerprint']}`",
    }
    rows = [f"| {name} | {_cell(value)} |" for name, value in facts.items() if value]
    return ["## Where they come from", "", "| | |", "|---|---|", *rows, ""]


def _parts(data: Mapping[str, Any]) -> list[str]:
    rows = [f"| {part} | {count:,} |" for part, count in data["rows"].items()]
    return ["## Parts", "", "| part | items |", "|---|---|", *rows, ""]


def _columns(schema: Mapping[str, Any]) -> list[str]:
    """What the model reads of an item; other columns of the data were left out."""
    needed = set(schema.get("required", ()))
    rows = [
        f"| {_cell(name)} | {_cell(_kind(about, schema))} | {'yes' if name in needed else 'no'} "
        f"| {_cell(about.get('description', ''))} |"
        for name, about in schema.get("properties", {}).items()
    ]
    heading = ["## What the model reads of them", "", "| field | kind | needed | what it is |"]
    return [*heading, "|---|---|---|---|", *rows, ""]


def _kind(about: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A field's kind in a word or two, from its JSON schema."""
    if "$ref" in about:
        return _kind(schema.get("$defs", {}).get(about["$ref"].rpartition("/")[2], {}), schema)
    if "anyOf" in about:
        kinds = [_kind(each, schema) for each in about["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in about:
        values = [str(value) for value in about["enum"]]
        more = f" and {len(values) - MANY} more" if len(values) > MANY else ""
        return f"one of {', '.join(values[:MANY])}{more}"
    names = {"string": "text", "array": "list", "object": "group", "boolean": "yes or no"}
    kind = str(about.get("type", "anything"))
    return names.get(kind, kind)


def _findings(result: Mapping[str, Any]) -> list[str]:
    found = [
        f"- {finding['level'].capitalize()}: {finding['message']}"
        + (f"; {finding['fix']}." if finding["fix"] else ".")
        for finding in result["findings"]
    ]
    return ["## What the data doctor found", "", *(found or ["Nothing."]), ""]


def _use(result: Mapping[str, Any]) -> list[str]:
    said = [f"- {score['name']}: {score['protocol']}" for score in result["scores"]]
    return [
        "## How they were used",
        "",
        "Each score with how it was measured; pre-processing is learned on training parts alone.",
        "",
        *dict.fromkeys(said),
        "",
    ]


def _limits(card: Card, result: Mapping[str, Any]) -> list[str]:
    foreign = [FOREIGN, ""] if result["source"] == "own" else []
    return ["## Limits", "", *foreign, *(f"- {limit}" for limit in card.limits), f"- {UNKNOWN}"]


def _cell(text: Any) -> str:
    """Text that keeps to its cell, whatever the data's columns are called."""
    return str(text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
