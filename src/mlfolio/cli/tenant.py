"""`mlfolio tenant list|remove`: those whose keys see documents of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlfolio.cli.key import warn_of_the_last

if TYPE_CHECKING:
    from mlfolio.core.model import Tenants

TenantName = Annotated[str, typer.Argument(help="Its name, as in `mlfolio key add --tenant`.")]


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    group = typer.Typer(help="Tenants: `mlfolio key add NAME --tenant ACME` makes one.")
    group.command("list")(list_)
    group.command("remove")(remove)
    app.add_typer(group, name="tenant")


def list_() -> None:
    """Name the tenants that have a key, or documents."""
    for name in _known():
        typer.echo(name)


def remove(name: TenantName) -> None:
    """Erase a tenant: its keys, its documents in every run, what it asked."""
    from mlfolio.core.errors import UnknownNameError, UserError
    from mlfolio.core.run import runs_folder
    from mlfolio.serve import keys
    from mlfolio.serve.settings import Settings
    from mlfolio.track import log

    known = _known()
    file = Settings().keys_file
    removed = keys.remove_tenant(name, file)  # first: nobody adds anything behind us
    if name in keys.tenants(keys.all_keys(file)):
        raise UserError(
            f"{keys.VARIABLE} has keys of {name}", "take them out, and start the servers anew"
        )
    found = [
        system for system, kind in _kinds().items()
        if kind.erase_tenant(runs_folder() / system, name)
    ]  # fmt: skip
    rows = log.erase_tenant(name)
    if not (removed or found or rows):
        raise UnknownNameError("tenant", name, known)
    typer.echo(
        f"{name} is erased: {removed} keys, documents of {', '.join(found) or 'no system'}, "
        f"{rows:,} predictions"
    )
    if removed:
        warn_of_the_last(file)


def _known() -> list[str]:
    """The tenants that have a key, or something in a run."""
    from mlfolio.core.run import runs_folder
    from mlfolio.serve import keys
    from mlfolio.serve.settings import Settings

    known = set(keys.tenants(keys.all_keys(Settings().keys_file)))
    for system, kind in _kinds().items():
        known |= set(kind.tenants_of(runs_folder() / system))
    return sorted(known)


def _kinds() -> dict[str, type[Tenants]]:
    """The models of the systems that have runs here, as far as they have tenants."""
    from mlfolio.core.catalog import catalog, get_system
    from mlfolio.core.model import Tenants
    from mlfolio.core.run import runs_folder

    ran = [system for system in catalog() if (runs_folder() / system).is_dir()]
    kinds = {system: get_system(system).model for system in ran}
    return {system: kind for system, kind in kinds.items() if issubclass(kind, Tenants)}
