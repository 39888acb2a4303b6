"""`mlfolio list`: the systems, what each needs, how good its champion is."""

from __future__ import annotations

from typing import Any

import typer

from mlfolio.cli.common import Json, print_json, print_table


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("list")(list_systems)


def list_systems(as_json: Json = False) -> None:
    """List the systems: what each needs, and how good its champion is.

    A target stands beside a score on the official data only: it says nothing about others.
    """
    from mlfolio.core.catalog import catalog
    from mlfolio.report.words import number

    rows = [_row(name) for name in catalog()]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["system", "what it does", "needs", "champion", "data", "target"],
        [
            [
                row["system"],
                row["title"],
                row["needs"],
                f"{row['metric']} {number(row['score'])}" if row["data"] else "not run yet",
                row["data"] or "–",
                number(row["target"]) if row["source"] in ("official", None) else "–",
            ]
            for row in rows
        ],
    )


def _row(name: str) -> dict[str, Any]:
    from mlfolio.core.catalog import get_card

    card = get_card(name)
    champion = _champion(name, card.primary.metric)
    return {
        "system": name,
        "number": card.number,
        "title": card.title,
        "kind": card.kind,
        "level": card.level,
        "needs": f"[{card.extra}]" if card.extra else "base",
        "metric": card.primary.metric,
        "target": card.primary.target,
        "score": champion.get("score"),
        "source": champion.get("source"),
        "data": champion.get("data"),
        "run": champion.get("run"),
    }


def _champion(name: str, metric: str) -> dict[str, Any]:
    """The score of the last run whose model became champion; empty if there is none.

    Read from the runs' folders: asking MLflow would take seconds.
    """
    from mlfolio.lifecycle import results_of

    for folder, result in reversed(results_of(name)):
        if not result["champion"]:
            continue
        value = next((s["value"] for s in result["scores"] if s["name"] == metric), None)
        source = result["source"]
        data = {"own": f"own {result['dataset']}", "sample": "SAMPLE"}.get(source, source)
        return {"score": value, "source": source, "data": data, "run": folder.name}
    return {}
