"""`mlfolio info NAME`: what a system is, needs and promises, and its knobs."""

from __future__ import annotations

from typing import Any

import typer

from mlfolio.cli.common import Json, SystemName, print_json, print_table


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("info")(info)


def info(name: SystemName, as_json: Json = False) -> None:
    """Tell what a system is, needs and promises, and its knobs with their bounds."""
    from mlfolio.core.catalog import get_system
    from mlfolio.data.datasets import DATASETS

    system = get_system(name)
    card = system.card
    schema = system.model_json_schema()["properties"] if system.model_fields else {}
    if as_json:
        print_json({"card": card.model_dump(), "knobs": schema})
        return
    typer.secho(f"{card.number}. {card.title}", bold=True)
    typer.echo(f"{card.summary}\n\n{card.method}\n")
    record = DATASETS.get(card.dataset)
    if record:
        place = f"bundled with {record.bundled}" if record.bundled else str(record.folder)
        state = "is missing" if record.missing else "is here"
        typer.echo(f"official data: {record.title}, {state} ({place})")
    promises = (f"{p.metric} {_sign(p.direction)} {p.target}" for p in card.promises if p.target)
    typer.echo(f"promises: {', '.join(promises)}")
    typer.echo(f"needs: {'the extra ' + card.extra if card.extra else 'the base install'}")
    if schema:
        print_table(
            ["knob", "default", "bounds", "meaning"],
            [
                [knob, str(facts.get("default", "")), _bounds(facts), facts.get("description", "")]
                for knob, facts in schema.items()
            ],
        )
    typer.echo(f"try: mlfolio run {name}")


def _sign(direction: str) -> str:
    return ">=" if direction == "higher" else "<="


def _bounds(facts: dict[str, Any]) -> str:
    """The bounds of a knob from its JSON schema."""
    if "enum" in facts:
        return " | ".join(map(str, facts["enum"]))
    for part in facts.get("anyOf", []):
        if part.get("type") != "null":
            return _bounds(part)
    low = facts.get("minimum", facts.get("exclusiveMinimum"))
    high = facts.get("maximum", facts.get("exclusiveMaximum"))
    if low is None and high is None:
        return str(facts.get("type", ""))
    return f"{low if low is not None else ''} .. {high if high is not None else ''}"
