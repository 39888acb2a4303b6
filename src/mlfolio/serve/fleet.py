"""The champions that are served: loaded, warm, each behind its queue, replaced as they change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from mlfolio.core.card import Card
from mlfolio.core.catalog import catalog, get_card, get_system
from mlfolio.core.errors import MlfolioError, NotTrainedError, UnknownNameError, UserError
from mlfolio.core.model import Explains, Input, Model, Output, Reason
from mlfolio.core.run import read_exhibits
from mlfolio.serve import metrics
from mlfolio.serve.batcher import Batcher
from mlfolio.track import registry
from mlfolio.track.loader import load_model

WATCH_S = 2.0  # how often the registry is looked at
RETIRE_S = 60.0  # how long a replaced champion still answers
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A champion, ready to answer.

    Attributes:
        card: Of its system.
        model: The model.
        version: Its number in the registry.
        run: Name of the run that made it.
        answers: Its queue for predictions.
        reasons: Its queue for explanations; None if it gives none.
    """

    card: Card
    model: Model
    version: registry.Version
    answers: Batcher[Input, Output]
    reasons: Batcher[Input, list[Reason]] | None

    @property
    def picture(self) -> str | None:
        """The first figure of the run's report, relative to the run's folder."""
        shown = read_exhibits(self.version.folder.parent)
        return next((exhibit.file for exhibit in shown if exhibit.kind == "figure"), None)

    async def close(self) -> None:
        """Answers what waits, then ends."""
        for queue in (self.answers, self.reasons):
            if queue is not None:
                await queue.close()


class Fleet:
    """The served champions by name.

    Args:
        names: Systems to serve; empty for all that have a champion, now or later.
        queue_rows: Inputs that may wait for one model.

    Raises:
        UnknownNameError: There is no such system.
    """

    def __init__(self, names: tuple[str, ...], queue_rows: int) -> None:
        for name in names:
            get_card(name)
        self._asked = names
        self._queue_rows = queue_rows
        self._served: dict[str, Served] = {}
        self._broken: dict[str, int] = {}  # versions that could not be loaded
        self._stamp = -1.0
        self._watch: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Loads every champion and goes on watching the registry.

        Raises:
            NotTrainedError: A system that was asked for by name has no champion.
            UserError: No system has one.
        """
        await self._update()
        for name in self._asked:
            if name not in self._served:
                raise NotTrainedError(name)
        if not self._served:
            raise UserError("there is no trained model to serve", "mlfolio run iris")
        self._watch = asyncio.create_task(self._keep_watching())

    async def close(self) -> None:
        """Answers what waits, then ends."""
        self._closing.set()
        if self._watch is not None:
            self._watch.cancel()
        for served in self._served.values():
            await served.close()
        await asyncio.gather(*self._retired)

    def get(self, name: str) -> Served:
        """The champion of a system.

        Raises:
            UnknownNameError: There is no such system.
            NotTrainedError: It has no champion, or is not served here.
        """
        served = self._served.get(name)
        if served is not None:
            return served
        if name not in catalog():
            raise UnknownNameError("system", name, catalog())
        raise NotTrainedError(name)

    def __iter__(self) -> Any:
        """The served champions, in the order of the catalog."""
        return iter([self._served[name] for name in catalog() if name in self._served])

    async def _keep_watching(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._update()
            except Exception:  # a registry that is away for a while must not end the watch
                LOG.exception("the registry cannot be read")

    async def _update(self) -> None:
        """Loads champions that are new and puts them in the place of the old ones."""
        stamp = registry.stamp()
        if stamp == self._stamp:
            return
        for name in self._asked or catalog():
            champion = await asyncio.to_thread(registry.champion, name)
            if champion is None or champion.number == self._broken.get(name):
                continue
            old = self._served.get(name)
            if old is not None and old.version.number == champion.number:
                continue
            try:
                model = await asyncio.to_thread(_load, champion)
            except Exception as error:  # the old one goes on
                known = isinstance(error, MlfolioError)
                LOG.error("%s version %d: %s", name, champion.number, error, exc_info=not known)
                self._broken[name] = champion.number
                continue
            self._served[name] = self._queue(get_card(name), model, champion)
            LOG.info("serving %s version %d", name, champion.number)
            if old is not None:
                task = asyncio.create_task(self._retire(old))
                self._retired.add(task)
                task.add_done_callback(self._retired.discard)
        self._stamp = stamp

    async def _retire(self, old: Served) -> None:
        """Closes a former champion once nobody who was handed it can still be about to ask."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), RETIRE_S)
        await old.close()

    def _queue(self, card: Card, model: Model, version: registry.Version) -> Served:
        told = metrics.BATCH.labels(card.slug).observe
        answers = Batcher[Input, Output](model.predict, max_waiting=self._queue_rows, told=told)
        reasons = None
        if isinstance(model, Explains):
            reasons = Batcher[Input, list[Reason]](model.explain, max_batch=1, max_waiting=100)
        return Served(card, model, version, answers, reasons)


def _load(version: registry.Version) -> Model:
    """A registered model that has answered once already: the first answer is always slow."""
    model = load_model(get_system(version.system), registry.local_folder(version))
    model.predict(model.examples()[:1])
    return model
