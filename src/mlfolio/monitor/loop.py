"""One turn of the loop: look, decide, train, compare, release. What fails leaves the champion.

Every turn stands alone: what it has to know it reads from the registry, the prediction log, the
living data and the story of before. So it can be started by cron, by the server or by hand, be
killed anywhere, and the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from mlfolio import lifecycle
from mlfolio.core.catalog import get_system
from mlfolio.core.errors import FileError, MlfolioError
from mlfolio.core.inputs import field_names
from mlfolio.core.run import runs_folder
from mlfolio.monitor import fresh, live, story
from mlfolio.monitor.examples import judged_rows, read_rows
from mlfolio.monitor.policy import DAY, Facts, Policy, Release, decide
from mlfolio.monitor.release import compare
from mlfolio.monitor.watching import Watched, look
from mlfolio.track import log, registry, releases
from mlfolio.track.history import Event, Staged
from mlfolio.track.registry import Version

Say = Callable[[str], None]
FEWEST_JUDGED = 20  # answers, from which two models are compared on them


class Outcome(BaseModel):
    """What a turn came to.

    Attributes:
        system: Of which system.
        what: In a few words.
        reasons: Why, in plain words.
        failed: Whether something went wrong.
    """

    system: str
    what: str
    reasons: tuple[str, ...] = ()
    failed: bool = False


def step(system: str, policy: Policy, say: Say = lambda text: None) -> Outcome:
    """Takes one turn for a system.

    Args:
        system: Its name.
        policy: Its rules.
        say: Is told what happens.
    """
    folder = runs_folder() / system
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".watch.lock", timeout=0):
            return _step(system, policy, say)
    except Timeout:
        return Outcome(system=system, what="nothing: another watch of it is at work")
    except Exception as error:  # a system's own code may raise anything; the next has its turn
        reason = error.message if isinstance(error, MlfolioError) else repr(error)
        with suppress(OSError):  # the disk may be full
            story.tell(system, "failed", reason)
        return Outcome(system=system, what="failed", reasons=(reason,), failed=True)


def _step(system: str, policy: Policy, say: Say) -> Outcome:
    champion = registry.champion(system)
    if champion is None:
        return Outcome(system=system, what="nothing: it has no champion yet")
    watched = look(system)
    found, gaps = None, []
    try:
        found = fresh.unseen(champion)
    except FileError as error:
        gaps.append(f"nobody knows which rows the champion has seen: {error.message}")
    labels = found.rows if found else 0
    story.tell(
        system, "looked", *(alarm.message for alarm in watched.alarms), version=champion.number,
        **_seen(watched), labels=labels,
    )  # fmt: skip
    if back := _on_probation(champion, policy, watched):
        return back
    if staged := releases.staged(system):
        return _tried(system, staged, champion, policy)
    tried = story.latest(system, "training")
    facts = Facts(
        time.time(), champion.made, tried.time if tried else None, labels,
        _untried(found, story.latest(system, "compared")), watched.alarms,
    )  # fmt: skip
    decision = decide(policy.retrain, facts)
    if not decision.retrain or found is None:
        return Outcome(system=system, what="no training", reasons=(*decision.reasons, *gaps))
    if policy.mode == "suggest":
        return Outcome(
            system=system, what="a training is suggested",
            reasons=(*decision.reasons, "mode: act in the policy would do it"),
        )  # fmt: skip
    return _train(system, champion, found, policy, decision.reasons, say)


def _on_probation(champion: Version, policy: Policy, watched: Watched) -> Outcome | None:
    """Takes a release back whose live quality fell; None where nothing is to be taken back.

    Where the world has become harder, both models fall: what was told since the release is asked of
    both, as far as the log keeps it, and the former one has to be better beyond chance.
    """
    fallen = [alarm.message for alarm in watched.alarms if alarm.kind == "live quality"]
    events = [
        event for event in releases.history_of(champion.system) if event.version == champion.number
    ]
    last = events[-1] if events else None
    if not fallen or last is None or last.action != "release" or last.time is None:
        return None
    if time.time() - last.time > policy.release.probation * DAY:
        return None
    if not _was_better(champion, last):
        return None
    reason = f"version {champion.number} was released not long ago: {fallen[0]}"
    if policy.mode == "suggest":
        return Outcome(
            system=champion.system, what="a rollback is suggested",
            reasons=(reason, f"mlfolio rollback {champion.system}"),
        )  # fmt: skip
    former = releases.rollback(champion.system, reason)
    what = f"version {former.number} is champion again"
    return Outcome(system=champion.system, what=what, reasons=(reason,))


def _was_better(champion: Version, released: Event) -> bool:
    """Whether the former champion would have answered better what is judged since a release.

    Where the log keeps no inputs, nobody can tell.
    """
    rows = judged_rows(champion.system, released.time or 0.0)
    if released.before is None or len(rows) < FEWEST_JUDGED:
        return False
    former = lifecycle.load(champion.system, released.before)
    trial = compare(lifecycle.load(champion.system), former, rows)
    gain = trial.measures[0].gain_ci95 if trial.measures else None
    return gain is not None and gain[1] < 0


def _tried(system: str, staged: Staged, champion: Version, policy: Policy) -> Outcome:
    """Goes on with what is tried: releases it once it has answered enough, or takes it away."""
    name = f"version {staged.number}"
    reason = live.reason_to_end(system, staged, champion.number)
    if reason is None and not staged.passed:
        why = "its gates were passed over, so who tries it has to release it or take it away"
        return Outcome(system=system, what=f"{name} is tried", reasons=(why,))
    requests = sum(
        row["asked"] for row in log.tallies(system, staged.since) if row["version"] == staged.number
    )
    enough = f"{requests:,} of {policy.release.requests:,} requests"
    if reason is None and requests < policy.release.requests:
        return Outcome(system=system, what=f"{name} is tried", reasons=(enough,))
    if policy.mode == "suggest":
        what = f"{name} should be {'released' if reason is None else 'taken away'}"
        return Outcome(system=system, what=what, reasons=(reason or enough,))
    if reason is not None:
        releases.unstage(system, reason, staged.number)
        return Outcome(system=system, what=f"{name} is taken away", reasons=(reason,))
    releases.promote(system, staged.number, f"{enough}, and nothing speaks against it")
    return Outcome(system=system, what=f"{name} is champion", reasons=(enough,))


def _train(
    system: str, champion: Version, found: fresh.Unseen, policy: Policy,
    reasons: tuple[str, ...], say: Say,
) -> Outcome:  # fmt: skip
    """Fits a challenger, compares it with the champion on what neither has seen, releases it."""
    kind = get_system(system)
    knobs = {name: value for name, value in champion.knobs.items() if name in kind.model_fields}
    target = str(knobs.get("target", ""))
    story.tell(system, "training", *reasons, version=champion.number)
    former = lifecycle.load(system)
    fields = set(field_names(former.model.input_type))
    files = fresh.split(found, fields, policy.retrain.newest, policy.retrain.most_rows)
    result = lifecycle.run(system, data=files.train, candidate=True, say=say, **knobs)
    number = result.version or 0  # it was registered
    story.tell(system, "trained", version=number, scores=_values(result))
    challenger = lifecycle.load(system, number)
    rows = read_rows(challenger.model, files.fresh, target)
    trial = compare(former, challenger, rows, policy.release.gates)
    story.tell(
        system, "compared", *trial.reasons, version=number, passed=trial.passed,
        batches=len(found.version.batches),
    )  # fmt: skip
    if not trial.passed:
        what = f"version {number} was trained and is not released"
        return Outcome(system=system, what=what, reasons=(*reasons, *trial.reasons))
    how = _release(system, number, policy.release, trial.reasons)
    return Outcome(
        system=system, what=f"version {number} {how}", reasons=(*reasons, *trial.reasons)
    )


def _untried(found: fresh.Unseen | None, tried: story.Step | None) -> int:
    """New labelled rows that the last training to come to its end did not have."""
    if found is None:
        return 0
    known = int(tried.facts.get("batches", 0)) if tried else 0
    return min(found.rows, sum(batch.rows for batch in found.version.batches[known:]))


def _release(system: str, number: int, rules: Release, reasons: tuple[str, ...]) -> str:
    """Lets a challenger that has passed take over, or be tried first."""
    if rules.way == "champion":
        releases.promote(system, number, "; ".join(reasons))
        return "is champion"
    if rules.way == "shadow":
        releases.stage(system, number, shadow=True, passed=True)
    else:
        releases.stage(system, number, share=rules.share, passed=True)
    return f"is tried as {rules.way}"


def _seen(watched: Watched) -> dict[str, Any]:
    """What Prometheus is told of a look."""
    measures = watched.live.measures if watched.live else ()
    return {
        "kinds": sorted({alarm.kind for alarm in watched.alarms}),
        "drifted": sum(alarm.kind == "input drift" for alarm in watched.alarms),
        "rows": watched.rows,
        "quality": measures[0].value if measures else None,
        "measure": measures[0].name if measures else None,
    }


def _values(result: lifecycle.Result) -> dict[str, float]:
    return {score.name: score.value for score in result.scores}
