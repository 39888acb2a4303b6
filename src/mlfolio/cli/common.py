"""What several verbs share: arguments, and printing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer


def complete_system(incomplete: str) -> list[str]:
    """Names of systems, for the shell's completion."""
    from mlfolio.core.catalog import catalog

    return [name for name in catalog() if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Names of data sets, for the shell's completion."""
    from mlfolio.data.datasets import DATASETS

    return [name for name in DATASETS if name.startswith(incomplete)]


SystemName = Annotated[
    str, typer.Argument(help="A system; see mlfolio list.", autocompletion=complete_system)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Path of your own data, or 'official', or 'sample'."),
]
OnOption = Annotated[
    str, typer.Option("--on", help="Where: local, ray, or ray://HOST:PORT of a cluster's head.")
]


def pairs(arguments: Sequence[str]) -> dict[str, Any]:
    """Reads `name=value` arguments; values that look like JSON lists or objects are read as such.

    Raises:
        UserError: An argument has no equals sign, or a name is given twice.
    """
    from mlfolio.core.errors import UserError

    found: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UserError(f"{argument!r} is no name=value", "write it without blanks: folds=10")
        if name in found:
            raise UserError(f"{name!r} is given twice", "give it once")
        found[name] = value
        if value[:1] in "[{" and value[-1:] in "]}":
            try:
                found[name] = json.loads(value)
            except (json.JSONDecodeError, RecursionError):
                continue
    return found


def print_json(content: Any) -> None:
    """Prints JSON on standard output; NaN and infinities become null."""
    from mlfolio.core.run import to_json

    typer.echo(to_json(content, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Prints a table that fits the terminal; the first column is never broken."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, style="table.title") if title else None
    table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(Text(column), no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # plain text: rich would take [deep] for a style
    Console().print(table)
