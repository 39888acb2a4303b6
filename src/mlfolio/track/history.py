"""What became champion when and why, and what is tried beside it: written in MLflow's own tags.

Each event is a tag of the system's registered model, so that a tracking server elsewhere keeps it
too. A change of the champion is one change of the alias; its event is written just before. An
event whose alias never changed (the process was killed in between) does not count, and the next
one takes its place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

CHAMPION, CHALLENGER = "champion", "challenger"
EVENT, STAGED = "mlfolio.event.", "mlfolio.staged"
MAX_REASON = 2_000  # characters

Action = Literal["run", "release", "rollback", "stage", "unstage"]
CHANGES: tuple[Action, ...] = ("run", "release", "rollback")  # of the champion


class Event(BaseModel):
    """Something that was decided about the versions of a system.

    Attributes:
        action: `run`, `release` and `rollback` made a version the champion; `stage` and `unstage`
            put one beside the champion and took it away.
        version: Which.
        before: The champion until then; None if there was none.
        reason: Why.
        time: When, in seconds since 1970; None where that was not written down.
    """

    action: Action
    version: int
    before: int | None = None
    reason: str
    time: float | None = None


class Staged(BaseModel):
    """A version that is tried beside the champion.

    Attributes:
        number: Which.
        share: Of the requests that it answers, in [0, 1); 0 for a shadow, which answers copies of
            all of them, for nobody to see.
        since: When that began, in seconds since 1970.
        passed: Whether its gates were passed: the loop releases no other.
    """

    number: int
    share: float = Field(ge=0, lt=1)
    since: float
    passed: bool = False

    @property
    def is_shadow(self) -> bool:
        """Whether nobody gets its answers."""
        return self.share == 0

    def __str__(self) -> str:
        """For people."""
        how = "a shadow" if self.is_shadow else f"the canary of {self.share:.0%} of the requests"
        return f"version {self.number} as {how}"


def champion_of(model: RegisteredModel) -> int | None:
    """The number that the alias stands for."""
    number = model.aliases.get(CHAMPION)
    return None if number is None else int(number)


def staged_of(model: RegisteredModel) -> Staged | None:
    """What is tried; one that has become champion meanwhile is not any more."""
    if not (text := model.tags.get(STAGED)):
        return None
    staged = Staged.model_validate_json(text)
    return None if staged.number == champion_of(model) else staged


def events_of(model: RegisteredModel) -> list[Event]:
    """All that happened, the first first, so that the last change is the champion that is.

    Champions of before there was a history, and an alias that somebody has set by hand, are in it
    as far as they can be told.
    """
    tags = sorted(name for name in model.tags if name.startswith(EVENT))
    events = [Event.model_validate_json(model.tags[name]) for name in tags]
    present = champion_of(model)
    if events and _was_cut_off(events[-1], present):
        del events[-1]
    changes = [event for event in events if event.action in CHANGES]
    if present is None or (changes and changes[-1].version == present):
        return events
    if changes:
        by_hand = "the alias was changed by other means"
        last = changes[-1].version
        return [*events, Event(action="release", version=present, before=last, reason=by_hand)]
    first = Event(action="run", version=present, reason="the champion before a history was kept")
    return [first, *events]


def line(events: Sequence[Event]) -> list[int]:
    """The champions that a rollback goes back along, the present one last.

    A rollback takes what it leaves out of the line, so the next one goes a step further.
    """
    found: list[int] = []
    for event in events:
        if event.action not in CHANGES:
            continue
        if event.before is not None and found[-1:] != [event.before]:
            found.append(event.before)
        if event.action == "rollback" and event.version in found:
            while found[-1] != event.version:
                found.pop()
        elif found[-1:] != [event.version]:
            found.append(event.version)
    return found


def record(client: MlflowClient, system: str, action: Action, version: int, reason: str) -> None:
    """Writes an event down; under the registry's lock."""
    model = client.get_registered_model(system)
    event = Event(
        action=action, version=version, before=champion_of(model), reason=reason[:MAX_REASON],
        time=time.time(),
    )  # fmt: skip
    # One that does not count is overwritten; one without a time was never written.
    at = sum(known.time is not None for known in events_of(model))
    client.set_registered_model_tag(system, f"{EVENT}{at:06d}", event.model_dump_json())


def _was_cut_off(event: Event, present: int | None) -> bool:
    """Whether the alias is still where it was before a change of it."""
    return event.action in CHANGES and event.version != present and event.before == present
