"""`mlfolio list`: the systems, what each needs, the best score so far."""

from __future__ import annotations

from typing import Any

import typer

from mlfolio.cli.common import Json, print_json, print_table


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("list")(list_systems)


def list_systems(as_json: Json = False) -> None:
    """List the systems: what each needs, and its best score so far.

    A sample's score has no target beside it: the two have nothing to do with each other.
    """
    from mlfolio.core.catalog import catalog
    from mlfolio.report.words import number

    rows = [_row(name) for name in catalog()]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["system", "what it does", "kind", "needs", "best so far", "target"],
        [
            [
                row["system"],
                row["title"],
                row["kind"],
                row["needs"],
                f"{row['metric']} {number(row['best'])}" + (" SAMPLE" if row["sample"] else "")
                if row["best"] is not None
                else "not run yet",
                "–" if row["sample"] else number(row["target"]),
            ]
            for row in rows
        ],
    )


def _row(name: str) -> dict[str, Any]:
    from mlfolio.core.catalog import get_card

    card = get_card(name)
    best = _best(name, card.primary.metric, card.primary.direction == "higher")
    return {
        "system": name,
        "number": card.number,
        "title": card.title,
        "kind": card.kind,
        "level": card.level,
        "needs": f"[{card.extra}]" if card.extra else "base",
        "metric": card.primary.metric,
        "target": card.primary.target,
        "best": best[0] if best else None,
        "sample": best[1] if best else None,
        "run": best[2] if best else None,
    }


def _best(name: str, metric: str, higher: bool) -> tuple[float, bool, str] | None:
    """Value, whether on the sample, and run of the best finished run; real data come first."""
    from mlfolio.core.run import finished_runs
    from mlfolio.lifecycle import scores_of

    found = []
    for folder in finished_runs(name):
        result = scores_of(folder)
        value = next((s["value"] for s in result["scores"] if s["name"] == metric), None)
        if value is not None:
            found.append((value, result["sample"], folder.name))
    if not found:
        return None
    return max(found, key=lambda run: (not run[1], run[0] if higher else -run[0]))
