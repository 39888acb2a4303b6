"""What is done with versions: one is released or taken back, or is tried beside the champion.

Each change of the champion is one change of an alias, under the registry's lock; what happened is
kept by `mlfolio.track.history`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlfolio.core.catalog import get_system
from mlfolio.core.errors import MlfolioError, NotTrainedError, UserError
from mlfolio.core.model import Indexes
from mlfolio.track import history, registry
from mlfolio.track.connection import database, is_remote, open_client
from mlfolio.track.history import CHALLENGER, Event, Staged
from mlfolio.track.registry import Version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel


def promote(system: str, number: int, reason: str) -> Version:
    """Makes a version the champion; what was tried beside the champion of before ends with it.

    Args:
        system: Its system.
        number: Its number.
        reason: Why, for the history.

    Raises:
        UserError: There is no such version, or it is the champion.
        MlfolioError: Its files are gone, or the registry cannot be used.
    """
    chosen = registry.version(system, number)
    registry.local_folder(chosen)
    with registry.changing() as client:
        if history.champion_of(client.get_registered_model(system)) == number:
            raise UserError(f"version {number} of {system} is the champion already")
        registry.crown(client, system, "release", number, reason)
    return chosen


def rollback(system: str, reason: str) -> Version:
    """Makes the champion of before the champion again; the next rollback goes one further back.

    A champion of before whose files are gone is passed over, which the history says.

    Raises:
        UserError: There is none to go back to.
        MlfolioError: The registry cannot be used.
    """
    with registry.changing() as client:
        model = registry.registered(client, system)
        if model is None or history.champion_of(model) is None:
            raise NotTrainedError(system)
        present = history.champion_of(model)
        for number in reversed(history.line(history.events_of(model))[:-1]):
            if number == present:  # what lay between was deleted
                continue
            try:
                chosen = registry.version_or_none(client, system, number)
                if chosen is None:
                    raise MlfolioError("it was deleted")
                registry.local_folder(chosen)
            except MlfolioError as error:
                reason = f"{reason} (past version {number}: {error.message})"
                continue
            registry.crown(client, system, "rollback", number, reason)
            return chosen
    raise UserError(
        f"{system} has no champion before version {history.champion_of(model)} to go back to",
        f"mlfolio release {system} VERSION --force makes any version the champion",
    )


def history_of(system: str) -> list[Event]:
    """What became champion when and why, and what was tried beside it, the first first.

    Raises:
        MlfolioError: The registry cannot be read.
    """
    model = _look_up(system)
    return history.events_of(model) if model else []


def stage(
    system: str, number: int, *, shadow: bool = False, share: float = 0.0, passed: bool = False
) -> Staged:
    """Lets servers try a version beside the champion, in the place of what they tried before.

    Args:
        system: Its system.
        number: Its number.
        shadow: Whether it answers copies of the requests, for nobody to see.
        share: Else the share of requests that it answers, in (0, 1).
        passed: Whether it has passed its gates.

    Raises:
        UserError: There is no such version, it is the champion, the share is none, or the system
            is one whose models are changed while they serve.
        MlfolioError: Its files are gone, or the registry cannot be used.
    """
    if shadow == (share != 0) or not 0 <= share < 1:
        raise UserError(
            f"shadow = {shadow}, share = {share}: a shadow answers nobody, a canary a share",
            "shadow=True, or a share above 0 and below 1",
        )
    if issubclass(get_system(system).model, Indexes):
        raise UserError(
            f"{system} holds documents that are changed while it serves: a second model beside "
            "the champion would not have what is uploaded to it",
            f"mlfolio release {system} {number} without --shadow and --canary",
        )
    registry.local_folder(registry.version(system, number))
    with registry.changing() as client:
        champion = history.champion_of(client.get_registered_model(system))
        if champion is None:
            raise NotTrainedError(system)
        if champion == number:
            raise UserError(f"version {number} of {system} is the champion already")
        staged = Staged(number=number, share=share, since=time.time(), passed=passed)
        client.set_registered_model_tag(system, history.STAGED, staged.model_dump_json())
        history.record(client, system, "stage", number, str(staged))
    return staged


def unstage(system: str, reason: str, number: int | None = None) -> bool:
    """Ends what is tried beside the champion.

    Args:
        system: Its system.
        reason: Why, for the history.
        number: Only if it is this version. Of several servers that want it gone one gets True.

    Returns:
        Whether something was tried.

    Raises:
        MlfolioError: The registry cannot be used.
    """
    with registry.changing() as client:
        model = registry.registered(client, system)
        staged = history.staged_of(model) if model else None
        if staged is None or number not in (None, staged.number):
            return False
        client.delete_registered_model_tag(system, history.STAGED)
        history.record(client, system, "unstage", staged.number, reason)
        return True


def staged(system: str) -> Staged | None:
    """What servers try beside the champion, if anything.

    Raises:
        MlfolioError: The registry cannot be read.
    """
    model = _look_up(system)
    return history.staged_of(model) if model else None


def challenger(system: str) -> Version | None:
    """The version that was registered last without becoming champion, if it still is not.

    Raises:
        MlfolioError: The registry cannot be read.
    """
    model = _look_up(system)
    number = model.aliases.get(CHALLENGER) if model else None
    if model is None or number is None or int(number) == history.champion_of(model):
        return None
    return registry.version(system, int(number))


def _look_up(system: str) -> RegisteredModel | None:
    """What MLflow has of a system; None if that is nothing."""
    if not is_remote() and not database().exists():
        return None
    with open_client() as client:
        return registry.registered(client, system)
