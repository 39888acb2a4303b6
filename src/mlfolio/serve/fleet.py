"""The champions that are served: loaded, warm, each behind its queue, replaced as they change.

Beside a champion there may be a version that is tried (`mlfolio.serve.staging` asks it).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from mlfolio.core.card import Card
from mlfolio.core.catalog import catalog, get_card, get_system
from mlfolio.core.errors import MlfolioError, NotTrainedError, UnknownNameError, UserError
from mlfolio.core.model import Explains, Indexes, Input, Model, Output, Reason, Tenants, Warms
from mlfolio.core.run import read_exhibits
from mlfolio.core.trace import stage
from mlfolio.serve import metrics
from mlfolio.serve.batcher import MAX_BATCH, Batcher
from mlfolio.serve.tracing import watched
from mlfolio.track import connection, registry, releases
from mlfolio.track.history import Staged
from mlfolio.track.loader import load_model

WATCH_S = 2.0  # how often the registry is looked at
RETRY_S = 60.0  # before a champion that could not be loaded is tried again
LOG = logging.getLogger(__name__)
A = TypeVar("A")


class Asked(NamedTuple):
    """A question, and the tenant that it is answered for; None for everybody."""

    tenant: str | None
    question: Input


@dataclass(frozen=True)
class Served:
    """A champion, ready to answer.

    Attributes:
        card: Of its system.
        model: The model; that of everybody, where there are tenants.
        version: Its entry in the registry.
        picture: The first figure of the run's report, relative to the run's folder, if any.
        answers: Its queue for predictions.
        reasons: Its queue for explanations; None if it gives none.
    """

    card: Card
    model: Model
    version: registry.Version
    picture: str | None
    answers: Batcher[Asked, Output]
    reasons: Batcher[Asked, list[Reason]] | None

    def has_own(self, tenant: str | None) -> bool:
        """Whether somebody sees what is a tenant's own here, and not what is everybody's."""
        return tenant is not None and isinstance(self.model, Tenants)

    def of(self, tenant: str | None) -> Model:
        """The model as somebody may ask it; it may take a moment, so off the event loop."""
        return _of(self.model, tenant)

    def asked(self, inputs: Sequence[Input], tenant: str | None) -> list[Asked]:
        """Questions for the queues."""
        whose = tenant if self.has_own(tenant) else None
        return [Asked(whose, question) for question in inputs]

    async def close(self) -> None:
        """Answers what waits, then ends."""
        for queue in (self.answers, self.reasons):
            if queue is not None:
                await queue.close()


class Beside(NamedTuple):
    """What is tried beside a champion.

    Attributes:
        plan: How, as the registry has it.
        served: The model, ready to answer.
    """

    plan: Staged
    served: Served


class Fleet:
    """The served champions by name.

    Args:
        names: Systems to serve; empty for all that have a champion, now or later.
        queue_rows: Inputs that may wait for one model.
        timeout_s: How long a request may take, and so how long a replaced champion still answers.

    Raises:
        UnknownNameError: There is no such system.
    """

    def __init__(self, names: tuple[str, ...], queue_rows: int, timeout_s: float = 30) -> None:
        for name in names:
            get_card(name)
        self._asked = names
        self._queue_rows = queue_rows
        self._retire_s = timeout_s + 5
        self._served: dict[str, Served] = {}
        self._beside: dict[str, Beside] = {}
        self._broken: dict[str, _Broken] = {}  # champions that could not be loaded
        self._stamp = -1.0
        self._watch: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Loads every champion and goes on watching the registry.

        Raises:
            NotTrainedError: A system that was asked for by name has no champion.
            UserError: No system has one, or one that was asked for cannot be loaded.
        """
        await self._update()
        for name in self._asked or (() if self._served else self._broken):
            if name in self._broken:
                raise UserError(f"{name} cannot be served: {self._broken[name].why}")
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
        for served in (*self._served.values(), *(one.served for one in self._beside.values())):
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
        if self._asked and name not in self._asked:
            raise UnknownNameError("served system", name, self._asked)
        raise NotTrainedError(name)

    def beside(self, served: Served) -> Beside | None:
        """What is tried beside a champion; nothing beside one that is being replaced."""
        name = served.card.slug
        return self._beside.get(name) if self._served.get(name) is served else None

    def __iter__(self) -> Iterator[Served]:
        """The served champions, in the order of the catalog."""
        return iter([self._served[name] for name in catalog() if name in self._served])

    async def _keep_watching(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._update()
            except Exception as error:  # a registry that is away must not end the watch
                if str(error) != said:
                    LOG.error("the registry cannot be read: %s", error)
                said = str(error)
            else:
                said = ""

    async def _update(self) -> None:
        """Loads what is new and puts it in the place of the old."""
        stamp = connection.stamp()
        again = any(time.monotonic() > broken.again for broken in self._broken.values())
        if stamp == self._stamp and not again:
            return
        for name in self._asked or catalog():
            await self._update_champion(name)
            if name in self._served:
                await self._update_beside(name)
        self._stamp = stamp

    async def _update_champion(self, name: str) -> None:
        """Loads the champion of a system, if it is another one than before."""
        champion = await asyncio.to_thread(registry.champion, name)
        if champion is None:
            self._broken.pop(name, None)
            return
        broken = self._broken.get(name)
        if broken and broken.number == champion.number and time.monotonic() < broken.again:
            return
        old = self._served.get(name)
        if old is not None and old.version.number == champion.number:
            self._broken.pop(name, None)  # the alias may have gone back from a damaged one
            return
        try:
            model, picture = await asyncio.to_thread(_load, champion, old)
        except Exception as error:  # the old one goes on, and this is tried again
            known = isinstance(error, MlfolioError)
            LOG.error("%s version %d: %s", name, champion.number, error, exc_info=not known)
            again_at = time.monotonic() + RETRY_S
            self._broken[name] = _Broken(champion.number, again_at, str(error))
            return
        self._broken.pop(name, None)
        self._served[name] = self._queue(get_card(name), model, champion, picture)
        metrics.CHAMPION.labels(name).set(champion.number)
        LOG.info("serving %s version %d", name, champion.number)
        if old is not None:
            self._leave(old, model)

    async def _update_beside(self, name: str) -> None:
        """Loads what is tried beside a champion; what cannot be loaded is tried no more."""
        plan, old = await asyncio.to_thread(releases.staged, name), self._beside.get(name)
        if (plan, old) == (None, None) or (old is not None and old.plan == plan):
            return
        if old is not None:
            del self._beside[name]
            self._leave(old.served, old.served.model)
        if plan is None:
            return
        try:
            version = await asyncio.to_thread(registry.version, name, plan.number)
            model, picture = await asyncio.to_thread(_load, version, None)
        except Exception as error:
            LOG.error("%s version %d is tried no more: %s", name, plan.number, error)
            reason = f"it cannot be loaded: {error}"
            await asyncio.to_thread(releases.unstage, name, reason, plan.number)
            return
        served = self._queue(get_card(name), model, version, picture, tried=True)
        self._beside[name] = Beside(plan, served)
        LOG.info("trying %s %s", name, plan)

    def _leave(self, old: Served, model: Model) -> None:
        """Lets a model end in its own time."""
        task = asyncio.create_task(self._retire(old, model))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _retire(self, old: Served, model: Model) -> None:
        """Closes a former champion once nobody who was handed it can still be about to ask."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._retire_s)
        if isinstance(model, Indexes) and model is not old.model:  # what came to it meanwhile
            await asyncio.to_thread(model.adopt, old.model)
        await old.close()

    def _queue(
        self, card: Card, model: Model, version: registry.Version, picture: str | None,
        tried: bool = False,
    ) -> Served:  # fmt: skip
        name = card.slug
        answers = Batcher[Asked, Output](
            watched(name, "predict", _apart(model, lambda own, inputs: own.predict(inputs))),
            # Over documents many questions take as long as each alone, and so each is traced alone.
            max_batch=1 if isinstance(model, Indexes) else MAX_BATCH,
            max_waiting=self._queue_rows, told=None if tried else metrics.OfModel(name),
        )  # fmt: skip
        reasons = None
        if isinstance(model, Explains):
            reasons = Batcher[Asked, list[Reason]](
                watched(name, "explain", _apart(model, lambda own, inputs: own.explain(inputs))),
                max_batch=20, max_waiting=100,
            )  # fmt: skip
        return Served(card, model, version, picture, answers, reasons)


def _of(model: Model, tenant: str | None) -> Model:
    if tenant is None or not isinstance(model, Tenants):
        return model
    return model.of(tenant)


def _apart(
    model: Model, ask: Callable[[Any, list[Input]], Sequence[A]]
) -> Callable[[list[Asked]], list[A]]:
    """Answers a batch: the questions of each tenant by the tenant's model, and nobody else's.

    Args:
        model: That of everybody.
        ask: What is asked of a model.
    """

    def answer(batch: list[Asked]) -> list[A]:
        places: dict[str | None, list[int]] = {}
        for at, asked in enumerate(batch):
            places.setdefault(asked.tenant, []).append(at)
        answers: dict[int, A] = {}
        for tenant, mine in places.items():
            given = ask(_of(model, tenant), [batch[at].question for at in mine])
            answers.update(zip(mine, given, strict=True))
        return [answers[at] for at in range(len(batch))]

    return answer


class _Broken(NamedTuple):
    """A champion that could not be loaded: its number, when it is tried again, what was wrong."""

    number: int
    again: float
    why: str


def _load(version: registry.Version, old: Served | None) -> tuple[Model, str | None]:
    """A registered model that is ready, and the picture of its run.

    The first answer of a model is always slow, so it has been given already.
    """
    model = load_model(get_system(version.system), registry.local_folder(version))
    if isinstance(model, Indexes) and old is not None:
        model.adopt(old.model)
    with stage("warm", {"mlfolio.system": version.system}, span=f"warm {version.system}"):
        if isinstance(model, Warms):
            model.warm()
        else:
            model.predict(model.examples()[:1])
    shown = read_exhibits(version.folder.parent)
    return model, next((exhibit.file for exhibit in shown if exhibit.kind == "figure"), None)
