"""`mlfolio data list|get|where|check`: official data, and the user's before any training."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlfolio.cli.common import (
    DataOption,
    Json,
    SystemName,
    complete_dataset,
    pairs,
    print_json,
    print_table,
)

app = typer.Typer(help="Official data sets, and your own data checked before any training.")
DatasetName = Annotated[
    str, typer.Argument(help="A data set, or a system.", autocompletion=complete_dataset)
]


def add_to(parent: typer.Typer) -> None:
    """Adds the verb to the command line."""
    parent.add_typer(app, name="data")


@app.command("list")
def list_data(as_json: Json = False) -> None:
    """List the official data sets: whether they are here, and how to get them."""
    from mlfolio.data.datasets import DATASETS

    rows: list[dict[str, Any]] = [
        {
            "name": record.name,
            "title": record.title,
            "here": not record.missing,
            "how": _how(record.name),
            "licence": record.licence,
            "home": record.home,
        }
        for record in DATASETS.values()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["name", "title", "here", "how", "licence"],
        [
            [r["name"], r["title"], "yes" if r["here"] else "no", r["how"], r["licence"]]
            for r in rows
        ],
    )


@app.command()
def get(name: DatasetName, as_json: Json = False) -> None:
    """Download a data set, or say where to get it and where to put it."""
    from mlfolio.data.datasets import place

    folder = place(_dataset(name), quiet=as_json)
    print_json({"name": name, "folder": str(folder)}) if as_json else typer.echo(folder)


@app.command()
def where(name: DatasetName, as_json: Json = False) -> None:
    """Print the folder of a data set."""
    from mlfolio.data.datasets import get_dataset

    record = get_dataset(_dataset(name))
    missing = [file.name for file in record.missing]
    if as_json:
        print_json({"name": name, "folder": str(record.folder), "missing": missing})
        return
    typer.echo(record.folder if record.files else f"bundled with {record.bundled}")
    if missing:
        typer.echo(f"missing: {', '.join(missing)} (home: {record.home})", err=True)


@app.command()
def check(
    name: SystemName,
    knobs: Annotated[
        list[str] | None, typer.Argument(metavar="[KNOB=VALUE]...", help="Knobs to change.")
    ] = None,
    data: DataOption = None,
    as_json: Json = False,
) -> None:
    """Let the data doctor look at a system's data, before any training."""
    from mlfolio.core.catalog import get_system
    from mlfolio.lifecycle import load_data

    system = get_system(name).with_knobs(pairs(knobs or []))
    loaded = load_data(system, data, say=lambda text: typer.echo(text, err=True))
    findings = loaded.check()
    if as_json:
        print_json(
            {"data": loaded.info.model_dump(), "findings": [f.model_dump() for f in findings]}
        )
    else:
        sizes = ", ".join(f"{count:,} {part}" for part, count in loaded.info.rows.items())
        typer.echo(f"{loaded.info.dataset} ({loaded.info.source}): {sizes}")
        for finding in findings:
            fix = f"\n  fix: {finding.fix}" if finding.fix else ""
            typer.echo(f"{finding.level}: {finding.message}{fix}")
        typer.echo("nothing found" if not findings else f"{len(findings)} findings")
    if any(finding.level == "leak" for finding in findings):
        raise typer.Exit(2)


def _dataset(name: str) -> str:
    """The data set that a system uses, or the name itself."""
    from mlfolio.core.catalog import catalog, get_card

    return get_card(name).dataset if name in catalog() else name


def _how(name: str) -> str:
    from mlfolio.data.datasets import DATASETS

    record = DATASETS[name]
    if record.bundled:
        return f"bundled with {record.bundled}"
    by_hand = any(file.url is None and not file.optional for file in record.files)
    return "by hand (login)" if by_hand else f"mlfolio data get {name}"
