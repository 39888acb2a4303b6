"""A version beside the champion: it answers copies of requests, or some of them instead of it.

A canary's requests are drawn by chance, one by one. Drawing clients instead would often be all or
nothing: on one machine, and behind a proxy, all of them are one. And what is compared has to
differ by nothing but the model. Nobody sees a canary fail: the champion answers then. A shadow
works when the answer is out already, on threads of its own. What finds a queue full is left out.
Otherwise whoever has half of a request's time and gives no answer has failed, champion or not: one
that is as good must not fall because the machine is slow.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from mlfolio.core.errors import InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Input, Output
from mlfolio.monitor.live import reason_to_end
from mlfolio.serve import metrics
from mlfolio.serve.batcher import QueueFullError
from mlfolio.serve.fleet import Beside, Fleet, Served
from mlfolio.serve.journal import Entry, Journal
from mlfolio.serve.keys import Caller
from mlfolio.serve.settings import Settings
from mlfolio.serve.threads import Threads
from mlfolio.track import releases

TALLY_S = 2.0  # between writings of what was counted, while something is tried
QUIET_S = 60.0  # and otherwise
JUDGE_S = 10.0  # between looks at how what is tried does
SHADOWS = 16  # requests that a shadow is busy with, or that wait for it
ROOM = 0.5  # of the log's queue, that shadows may fill
PATIENCE = 0.5  # of a request's time, until a canary is given up: the champion needs the rest
LOG = logging.getLogger(__name__)


class Staging:
    """Asks champions and what is tried beside them, counts, and ends what does worse.

    Args:
        fleet: The models.
        journal: The prediction log.
        settings: Of the server.
    """

    def __init__(self, fleet: Fleet, journal: Journal, settings: Settings) -> None:
        self._fleet = fleet
        self._journal = journal
        self._settings = settings
        self._patience_s = settings.timeout_s * PATIENCE
        self._counts: dict[tuple[str, int], list[int]] = {}  # asked, failed
        self._readers = Threads("shadow", 1, waiting=SHADOWS)
        self._shadows: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to write what is counted, and to judge."""
        self._watch = asyncio.create_task(self._keep_watching())

    async def close(self) -> None:
        """Writes what was counted, then ends; shadows are left."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        for task in self._shadows:
            task.cancel()
        self._readers.close()
        await self._write_counts()

    async def answer(
        self, served: Served, inputs: Sequence[Input], caller: Caller
    ) -> tuple[Served, list[Output]]:
        """The answers to some inputs, and who gave them: the champion, or its canary.

        Raises:
            QueueFullError: Too many wait.
            InputError: The champion refuses an input.
        """
        beside = self._fleet.beside(served)
        if beside is not None and random.random() < beside.plan.share:  # noqa: S311
            outputs = await self._of_canary(beside, inputs, caller)
            if outputs is not None:
                return beside.served, outputs
        outputs = await self._of_champion(served, inputs, caller, tried=beside is not None)
        return served, outputs

    def shadow(self, served: Served, entries: Sequence[Entry], inputs: Sequence[Input]) -> None:
        """Lets a shadow answer what was answered; returns at once.

        Args:
            served: The champion.
            entries: What it has answered.
            inputs: What it was asked, also where the log does not keep that.
        """
        beside = self._fleet.beside(served)
        if beside is None or not beside.plan.is_shadow or not entries:
            return
        if len(self._shadows) >= SHADOWS:
            _count(beside.served, "dropped")
            return
        task = asyncio.create_task(self._of_shadow(beside, entries, inputs))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _of_champion(
        self, served: Served, inputs: Sequence[Input], caller: Caller, tried: bool
    ) -> list[Output]:
        started = time.perf_counter()
        try:
            outputs = await served.answers.ask(served.asked(inputs, caller.tenant))
        except (InputError, QueueFullError):
            raise
        except asyncio.CancelledError:  # its time is over; or, sooner, whoever asked went away
            if self._is_late(started):
                self._tally(served, failed=True)
            raise
        except Exception:
            self._tally(served, failed=True)
            raise
        # Late, but an answer: a failure only beside what would have been given up by now.
        self._tally(served, failed=tried and self._is_late(started))
        if tried:
            _count(served, "champion")
        return outputs

    async def _of_canary(
        self, beside: Beside, inputs: Sequence[Input], caller: Caller
    ) -> list[Output] | None:
        """Its answers; None where it has none, so that somebody else has to answer."""
        tried = beside.served
        try:
            async with asyncio.timeout(self._patience_s):
                asked = parse_inputs(tried.model, inputs)
                outputs = await tried.answers.ask(tried.asked(asked, caller.tenant))
        except QueueFullError:
            _count(tried, "dropped")
            return None
        except Exception as error:  # also inputs that the champion takes, and it does not
            self._failed(tried, error)
            return None
        self._tally(tried)
        _count(tried, "canary")
        return outputs

    async def _of_shadow(
        self, beside: Beside, entries: Sequence[Entry], inputs: Sequence[Input]
    ) -> None:
        tried, started = beside.served, time.perf_counter()
        try:
            async with asyncio.timeout(self._patience_s):
                asked = await self._readers.run(parse_inputs, tried.model, inputs)
                outputs = await tried.answers.ask(tried.asked(asked, entries[0].tenant))
        except QueueFullError:
            _count(tried, "dropped")
            return
        except Exception as error:
            self._failed(tried, error)
            return
        latency = (time.perf_counter() - started) * 1000
        self._tally(tried)
        _count(tried, "shadow")
        self._journal.offer(
            [
                entry._replace(
                    id=uuid4().hex, version=tried.version.number, output=output,
                    latency_ms=latency, shadow_of=entry.id,
                )
                for entry, output in zip(entries, outputs, strict=True)
            ],
            ROOM,
        )  # fmt: skip

    def _is_late(self, started: float) -> bool:
        return time.perf_counter() - started >= self._patience_s

    def _failed(self, tried: Served, error: Exception) -> None:
        self._tally(tried, failed=True)
        _count(tried, "failed")
        name, number = tried.card.slug, tried.version.number
        LOG.warning("%s version %d, which is tried: %s", name, number, type(error).__name__)

    def _tally(self, served: Served, failed: bool = False) -> None:
        counts = self._counts.setdefault((served.card.slug, served.version.number), [0, 0])
        counts[0] += 1
        counts[1] += failed

    async def _keep_watching(self) -> None:
        written = judged = time.monotonic()
        said = ""
        while True:
            await asyncio.sleep(TALLY_S)
            now = time.monotonic()
            try:
                tried = [one for one in self._fleet if self._fleet.beside(one) is not None]
                if tried or now - written >= QUIET_S:
                    written = now
                    await self._write_counts()
                if tried and now - judged >= JUDGE_S:
                    judged = now
                    await self._judge(tried)
            except Exception as error:  # a registry that is away must not end the watch
                if str(error) != said:
                    LOG.error("what is tried cannot be judged: %s", error)
                said = str(error)
            else:
                said = ""

    async def _write_counts(self) -> None:
        """Adds what was counted to the log; while the database is away it is kept."""
        counts, self._counts = self._counts, {}
        rows = [
            {"id": uuid4().hex, "time": time.time(), "system": system, "version": version,
             "asked": asked, "failed": failed}
            for (system, version), (asked, failed) in counts.items()
        ]  # fmt: skip
        if rows and not await self._journal.tally(rows):
            for key, (asked, failed) in counts.items():
                now = self._counts.setdefault(key, [0, 0])
                now[0], now[1] = now[0] + asked, now[1] + failed

    async def _judge(self, champions: Sequence[Served]) -> None:
        """Ends what does worse than its champion: whichever worker is first does, once for all."""
        for champion in champions:
            beside = self._fleet.beside(champion)
            if beside is None:
                continue
            name, number = champion.card.slug, beside.plan.number
            reason = await asyncio.to_thread(
                reason_to_end, name, beside.plan, champion.version.number,
                self._settings.database_url,
            )  # fmt: skip
            if reason is None:
                continue
            if await asyncio.to_thread(releases.unstage, name, reason, number):
                LOG.warning("%s version %d is tried no more: %s", name, number, reason)


def _count(served: Served, role: str) -> None:
    metrics.CANARY.labels(served.card.slug, str(served.version.number), role).inc()
