"""`mlfolio ingest NAME WHERE`: new rows into a system's data, the bad ones set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlfolio.cli.common import Json, SystemName, print_json, print_table

if TYPE_CHECKING:
    from mlfolio.monitor.ingest import Ingested


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("ingest")(ingest)


def ingest(
    name: SystemName,
    where: Annotated[
        str | None,
        typer.Argument(help="A CSV or Parquet file, a folder of them, or a database's URL."),
    ] = None,
    query: Annotated[str | None, typer.Option("--query", help="SQL, for a database.")] = None,
    table: Annotated[str | None, typer.Option("--table", help="A table of a database.")] = None,
    feedback: Annotated[
        bool, typer.Option("--feedback", help="Take what users said was right.")
    ] = False,
    target: Annotated[
        str | None, typer.Option("--target", help="Column to predict; the champion's if none.")
    ] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Column that tells rows apart; found by its name.")
    ] = None,
    most_bad: Annotated[
        float, typer.Option("--most-bad", min=0, max=1, help="Share of bad rows to put up with.")
    ] = 0.5,
    copies: Annotated[
        bool, typer.Option("--copies", help="Take what is in a batch twice.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look only, keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Take new rows into a system's data; bad ones are set aside."""
    from mlfolio.monitor import ingest as ingesting

    results: list[Ingested] = []

    def tell(result: Ingested) -> None:
        results.append(result)
        if not as_json:
            _show(result, dry_run)

    try:
        ingesting.ingest(
            name, where, query=query, table=table, feedback=feedback, target=target, id=id_,
            most_bad=most_bad, copies=copies, dry=dry_run, tell=tell,
        )  # fmt: skip
    finally:  # what was kept is told, also where a later file is refused
        if as_json and results:
            print_json([_facts(result) for result in results])
    version = results[-1].version
    if version is not None and not dry_run and not as_json:
        typer.echo(
            f"to train on all {version.rows:,} rows: mlfolio run {name} --data {version.path}"
        )


def _facts(result: Ingested) -> dict[str, Any]:
    """What became of a batch, for programs."""
    version = result.version
    return {
        "system": result.system,
        "origin": result.origin,
        "accepted": result.accepted,
        "quarantined": result.quarantined,
        "unlabelled": result.unlabelled,
        "known": result.known,
        "reasons": dict(result.reasons.most_common()),
        "strange": dict(result.strange.most_common()),
        "new_columns": result.new_columns,
        "version": version.number if version else None,
        "fingerprint": version.fingerprint if version else None,
        "path": str(version.path) if version else None,
        "files": [str(file) for file in result.files],
        "again": result.again,
        "founded": result.founded,
    }


def _show(result: Ingested, dry_run: bool) -> None:
    version = result.version
    if result.again:
        number = version.number if version else 0
        typer.echo(f"{result.origin}: this very batch is there already; version {number} stays")
        return
    typer.echo(
        f"{result.origin}: {result.accepted:,} rows accepted, {result.quarantined:,} in "
        f"quarantine, {result.unlabelled:,} without a label, {result.known:,} known before"
    )
    if result.founded:
        typer.echo("  there is no champion: this batch says what a row must be like")
    if result.reasons:
        counts = result.reasons.most_common()
        print_table(["rows", "why"], [[f"{n:,}", reason] for reason, n in counts])
    for column, count in result.strange.most_common():
        typer.echo(f"  warning: {count:,} values of {column!r} were never seen in training")
    for column in result.new_columns:
        typer.echo(f"  warning: column {column!r} is new; it is kept, and no champion uses it")
    for file in result.files:
        typer.echo(f"  set aside: {file}")
    if dry_run:
        typer.echo("  nothing was kept: --dry-run")
    elif result.accepted and version is not None:
        typer.echo(f"  version {version.number}: {version.rows:,} rows, {version.fingerprint[:12]}")
