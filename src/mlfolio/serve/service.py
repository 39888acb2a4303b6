"""What the API and the web app both do: ask a champion, log its answer, count it."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from mlfolio.core.errors import InputError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Conversation, Indexes, Input, Model, Output, Reason, Streams
from mlfolio.core.trace import own_context
from mlfolio.serve import metrics
from mlfolio.serve.batcher import QueueFullError
from mlfolio.serve.fleet import Fleet, Served
from mlfolio.serve.journal import Entry, Journal
from mlfolio.serve.keys import Caller
from mlfolio.serve.problems import ProblemError
from mlfolio.serve.settings import Settings
from mlfolio.serve.staging import Staging
from mlfolio.serve.threads import Threads
from mlfolio.serve.tracing import watched_pieces

TALKS, TALKS_WAITING = 8, 32  # conversations that are answered at the same time, and that wait
READ_AT_ONCE = 16  # large inputs: between so many a request may end
_NAME = re.compile(r"[^\x00-\x1f\x7f\\]{1,200}")  # of a document


class Service:
    """The champions, the prediction log and the settings of a server.

    Attributes:
        settings: What the server was told.
        fleet: The champions.
        journal: The prediction log.
        staging: What asks champions, and what is tried beside them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.journal = Journal(settings.database_url, settings.keep_days)
        self.fleet = Fleet(settings.systems, settings.queue_rows, settings.timeout_s)
        self.staging = Staging(self.fleet, self.journal, settings)
        self._readers = Threads("read", 2, waiting=64)
        self._indexers = Threads("index", 2, waiting=16)
        self._talkers = Threads("talk", TALKS, waiting=1000)  # bounded by `_talking`
        self._talking = 0

    async def start(self) -> None:
        """Loads the champions; from here on it answers."""
        self._folder = tempfile.TemporaryDirectory(prefix="mlfolio-upload-")
        self.journal.start()
        await self.fleet.start()
        self.staging.start()

    async def close(self) -> None:
        """Answers and logs what waits, then ends; what takes too long is left."""
        for threads in (self._readers, self._indexers, self._talkers):
            threads.close()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.fleet.close(), self.settings.timeout_s)
        finally:
            self._folder.cleanup()  # a document may lie in it: its thread ends with the process
            await self.staging.close()
            await self.journal.close()

    async def read(self, model: Model, rows: Sequence[Mapping[str, Any]]) -> list[Input]:
        """Large inputs, validated off the event loop; pictures take a while.

        Raises:
            InputError: Inputs that the model refuses.
            QueueFullError: Too many are being read.
        """
        inputs: list[Input] = []
        for at in range(0, len(rows), READ_AT_ONCE):
            part = rows[at : at + READ_AT_ONCE]
            inputs += await self._readers.run(parse_inputs, model, part, first_row=at)
        return inputs

    async def predict(
        self, served: Served, inputs: Sequence[Input], caller: Caller, logged: bool = True
    ) -> list[Entry]:
        """Answers inputs; each entry of the log has the answer, its id, and the version.

        Args:
            served: Who answers, or whose canary does.
            inputs: What is asked.
            caller: Who asks; it is answered from what it may see.
            logged: Whether the entries go into the log.

        Raises:
            QueueFullError: Too many wait.
            JournalFullError: The answers could not be logged, so they are not given.
        """
        started = time.perf_counter()
        answering, outputs = await self.staging.answer(served, inputs, caller)
        entries = self._entries(answering, inputs, outputs, started, caller)
        if logged:
            await self.journal.add(entries)
            self.staging.shadow(served, entries, inputs)
        metrics.observe(served.card.slug, answering.version.number, outputs)
        return entries

    async def explain(
        self, served: Served, inputs: Sequence[Input], caller: Caller, version: int | None = None
    ) -> list[list[Reason]]:
        """Why each input gets its answer.

        Args:
            served: Whose answer.
            inputs: What was asked.
            caller: Who asks.
            version: Which one answered; the champion if that is left out, or is gone.

        Raises:
            ProblemError: The model gives no reasons.
            QueueFullError: Too many wait.
        """
        beside = self.fleet.beside(served)
        if beside is not None and version == beside.plan.number:
            served = beside.served
            inputs = await self._readers.run(parse_inputs, served.model, inputs)
        if served.reasons is None:
            raise ProblemError(404, f"{served.card.slug} cannot explain its answers")
        return await served.reasons.ask(served.asked(inputs, caller.tenant))

    async def talk(
        self, served: Served, conversation: Conversation, caller: Caller
    ) -> AsyncIterator[str | Entry]:
        """The pieces of an answer as they come; the last is the log's entry of the whole.

        An answer that is not finished, since its reader goes away or it fails, is logged too: with
        what was said until then, where inputs are kept.

        Raises:
            ProblemError: The model cannot be talked to.
            InputError: It refuses the conversation.
            QueueFullError: Too many conversations wait.
            TimeoutError: A piece does not come in time.
        """
        if not isinstance(served.model, Streams):
            raise ProblemError(404, f"{served.card.slug} cannot be talked to")
        if self._talking >= TALKS + TALKS_WAITING:
            raise QueueFullError(1.0)
        self._talking += 1
        started, said, whole = time.perf_counter(), "", None
        own = _pieces(served, conversation, caller.tenant)
        pieces = own_context(watched_pieces(served.card.slug, own))
        # Submitted, not run: when the client goes, a thread may still be within the generator.
        work = self._talkers.submit(_next, pieces)
        try:
            while whole is None:
                async with asyncio.timeout(self.settings.timeout_s):
                    piece = await asyncio.wrap_future(work)
                if isinstance(piece, Output):
                    whole = piece
                    continue
                said += piece
                yield piece
                work = self._talkers.submit(_next, pieces)
        except InputError:  # the client's error, not the model's
            raise
        except Exception:
            metrics.ERRORS.labels(served.card.slug).inc()
            raise
        finally:
            self._talking -= 1
            work.add_done_callback(lambda _: _end(pieces))
            if whole is None and said:
                # Half an answer cannot be redacted as a whole one is, and may quote anything.
                kept = said if self._keeps_inputs(served) else ""
                cut = Output(answer=kept, warnings=["cut off"])
                self.journal.offer(self._entries(served, [conversation], [cut], started, caller))
        (entry,) = self._entries(served, [conversation], [whole], started, caller)
        await self.journal.add([entry])
        metrics.observe(served.card.slug, served.version.number, [whole])
        yield entry

    async def judge(
        self, served: Served, prediction: str, caller: Caller, *,
        answer: str | None = None, good: bool | None = None,
    ) -> None:  # fmt: skip
        """Keeps what somebody says of an answer.

        Args:
            served: Who gave it.
            prediction: Its id.
            caller: Who says so; of another tenant's predictions nobody may.
            answer: What would have been right, as JSON.
            good: Whether it was good.

        Raises:
            ProblemError: There is no such prediction.
            JournalFullError: The log takes nothing.
        """
        name, known = served.card.slug, True
        if answer is not None:
            known = await self.journal.judge(prediction, name, answer, *caller)
        if good is not None:
            known = await self.journal.rate(prediction, name, good, *caller)
        if not known:
            raise ProblemError(404, f"there is no prediction {prediction[:40]} of {name}")

    async def documents(self, served: Served, caller: Caller) -> list[str]:
        """The names of all documents that somebody may see.

        Raises:
            ProblemError: It holds none.
            TimeoutError: It takes too long.
        """
        _require_index(served)
        async with asyncio.timeout(self.settings.timeout_s):  # not behind what is being indexed
            return await self._readers.run(lambda: _index(served, caller).documents())

    async def add_document(
        self, served: Served, name: str, content: bytes, caller: Caller,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:  # fmt: skip
        """Adds a document in the place of one of its name; returns its number of passages.

        It lies in a file of our own naming for as long as that takes.

        Args:
            served: Who takes it.
            name: Its name.
            content: Of its file.
            caller: Who sends it.
            metadata: Of it.

        Raises:
            ProblemError: The name is none, or the model holds no documents.
            MlfolioError: It cannot be read, or its metadata break a rule.
            TimeoutError: It takes too long.
        """
        _require_index(served)
        if not _NAME.fullmatch(name) or {"", ".", ".."} & set(name.split("/")):
            raise ProblemError(
                422, f"{name[:80]!r} cannot name a document", "a file name, or a relative path"
            )
        _require_text(name)

        def work() -> int:
            with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
                path = Path(folder) / f"upload{Path(name).suffix.lower()[:20]}"
                path.write_bytes(content)
                return _index(served, caller).add(path, name, metadata)

        async with asyncio.timeout(self.settings.timeout_s):
            return await self._indexers.run(work)

    async def delete_document(self, served: Served, name: str, caller: Caller) -> bool:
        """Erases a document; False if there was none.

        Raises:
            ProblemError: The model holds no documents.
        """
        _require_index(served)
        _require_text(name)
        async with asyncio.timeout(self.settings.timeout_s):
            return await self._indexers.run(lambda: _index(served, caller).delete(name))

    def _entries(
        self,
        served: Served,
        inputs: Sequence[Input],
        outputs: Sequence[Output],
        started: float,
        caller: Caller,
    ) -> list[Entry]:
        """What is logged; `started` is when the computing began (`perf_counter`)."""
        latency = (time.perf_counter() - started) * 1000
        keeps = self._keeps_inputs(served)
        return [
            Entry(
                uuid4().hex, time.time(), served.card.slug, served.version.number,
                given if keeps else None, output, latency, caller.name, keeps, caller.tenant,
            )
            for given, output in zip(inputs, outputs, strict=True)
        ]  # fmt: skip

    def _keeps_inputs(self, served: Served) -> bool:
        """Whether inputs are logged: not those of private systems, unless the settings say so."""
        name = served.card.slug
        if served.card.private:
            return name in self.settings.store_inputs
        return name not in self.settings.forget_inputs


def _require_index(served: Served) -> None:
    if not isinstance(served.model, Indexes):
        raise ProblemError(404, f"{served.card.slug} holds no documents")


def _index(served: Served, caller: Caller) -> Indexes:
    """The documents that somebody may see; on a thread, for they may have to be opened."""
    return cast("Indexes", served.of(caller.tenant))


def _require_text(name: str) -> None:
    """Half a character (a lone surrogate) is in no file name and in no database."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ProblemError(422, f"{name[:80]!r} is no text", "send it as UTF-8") from None


def _pieces(
    served: Served, conversation: Conversation, tenant: str | None
) -> Iterator[str | Output]:
    """An answer, by the model that somebody may ask: nothing is opened before the first piece."""
    yield from cast("Streams", served.of(tenant)).talk(conversation)


def _next(pieces: Iterator[str | Output]) -> str | Output:
    """The next piece; a StopIteration would get lost between the threads."""
    for piece in pieces:
        return piece
    raise RuntimeError("the model ended without a whole answer")


def _end(pieces: Iterator[Any]) -> None:
    """Ends a generator, which lets go of what it holds: a connection to a language model."""
    close = getattr(pieces, "close", None)
    if close is not None:
        with suppress(Exception):
            close()
