"""The model: an index that can be asked, and changed while it serves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.model import Conversation, Input, Measured, Message, Output
from mlfolio.core.run import write_json
from mlfolio.core.trace import Spent, own_context, spending, stage
from mlfolio.parts.llm.chat import Chat, LanguageModelError, from_environment
from mlfolio.parts.llm.judge import named_judge
from mlfolio.parts.llm.usage import Usage, prices, usage
from mlfolio.parts.retrieval.expand import Expansion, expanded
from mlfolio.parts.retrieval.extract import Quote, Signals, extract
from mlfolio.parts.retrieval.follow_up import follows, stand_alone
from mlfolio.parts.retrieval.generate import (
    REWRITE,
    SYSTEM,
    as_it_comes,
    conversation,
    prompt,
)
from mlfolio.parts.retrieval.index import Index, Within
from mlfolio.parts.retrieval.questions import made_questions, read_questions
from mlfolio.parts.retrieval.ranking import Candidates, Hit, varied
from mlfolio.parts.retrieval.remembered import Remembered
from mlfolio.parts.retrieval.rerank import Reranker, Saves, rerank
from mlfolio.parts.retrieval.search import best_hits, cut_question, first_hits, reads_all
from mlfolio.parts.retrieval.stores.opening import open_index
from mlfolio.parts.text.embed import Encoder, get_encoder
from mlfolio.parts.text.vectors import Encodes, Vectors

from .answers import (
    MAX_QUESTION,
    QUOTED,
    Citation,
    DocumentAnswer,
    DocumentConversation,
    DocumentQuestion,
    checked,
    fell_back,
    generated,
    not_found,
    quoted,
    with_usage,
)
from .collection import INDEX, Collection
from .measure import lost_documents, measure
from .narrowing import Narrowing
from .settings import NEED_AN_INDEX, SETTINGS, TRAINED, Settings
from .tenants import TENANTS, TenantCollections, empty_index, erase, opened

ENCODER, RERANKER = "encoder", "reranker"  # folders of what a run has trained
EXAMPLES = 5
LOG = logging.getLogger(__name__)


class DocumentsModel:
    """Answers from an index.

    Attributes:
        index: The chunks.
        collection: The documents that they are of.
        tenants: Those of the tenants, each with a model of its own.
        settings: How they were made and how they are asked.
        reranker: Who reads the first passages again, if anybody does.
        generates: Whether the language model of `MLFOLIO_LLM` may write the answers. A model that
            was just fitted does not let it, so that a run costs no tokens, and remembers none of
            its answers, so that what they take is measured; a loaded one does.

    Args:
        make: Where there is nothing yet, makes the model that documents are added to.
    """

    input_type: ClassVar[type[Input]] = DocumentQuestion
    output_type: ClassVar[type[Output]] = DocumentAnswer
    conversation_type: ClassVar[type[Conversation]] = DocumentConversation

    def __init__(
        self,
        index: Index,
        settings: Settings,
        encoder: Encodes | None = None,
        generates: bool = False,
        reranker: Reranker | None = None,
        make: Callable[[], DocumentsModel] | None = None,
    ) -> None:
        self.index = index
        self.settings = settings
        self.encoder: Encodes = encoder or get_encoder(settings.encoder)
        self.collection = Collection(index, self.encoder, settings.cutting)
        self.generates = generates
        self.reranker = reranker
        self._make = make
        self._patient: Chat | None = None
        # No method: a model in a circle lives on until Python looks for circles.
        over = partial(_over, self.settings, self.encoder, generates, reranker)
        self.tenants = TenantCollections(index.folder.parent / TENANTS, over)
        self._given = Remembered[DocumentAnswer](settings.remembered if generates else 0)
        self._narrowing = Narrowing(index)

    def predict(self, inputs: Sequence[DocumentQuestion]) -> list[DocumentAnswer]:
        """Answers each question; equal ones are looked up once, and cost once.

        Raises:
            InputError: A question asks for metadata under a key that no document has.
            UserError: `MLFOLIO_LLM` is set and names no usable model.
        """
        self._narrowing.refuse_unknown_keys([each.where for each in inputs])
        first: dict[DocumentQuestion, DocumentAnswer] = {}
        answers = []
        for question in inputs:
            if question in first:
                answers.append(with_usage(first[question], Usage(remembered=True)))
            else:
                answers.append(first.setdefault(question, self._answer(question)))
        return answers

    def retrieve(self, question: str, within: Within | None = None) -> tuple[list[Hit], Vectors]:
        """The best passages for a question, and the question's vector, shape (dimension,)."""
        found, _ = self.search(question, within)
        return self.hits(question, found), found.vector

    def hits(self, question: str, found: Candidates) -> list[Hit]:
        """The passages that an answer is made from, best first."""
        s = self.settings
        if self.reranker is None:
            with stage("rank"):
                return best_hits(self.index, found, s.passages, s.ranking)
        return varied(self._reread(question, found), s.passages, s.ranking)

    def extracted(self, question: str, found: Candidates) -> tuple[list[Quote], Signals, list[Hit]]:
        """The sentences that answer, what tells whether they do, and the passages they are from."""
        hits = self.hits(question, found)
        with stage("extract"):
            sentences = self.settings.sentences
            quotes, signals = extract(self.encoder, question, found.vector, hits, sentences)
        return quotes, signals, hits

    def search(self, question: str, within: Within | None = None) -> tuple[Candidates, list[str]]:
        """What either side finds for a question, expanded or not; and warnings."""
        s = self.settings
        return expanded(
            self.index, self.encoder, question, Expansion(s.expansion), self._chat(), s.ranking,
            s.candidates, within,
        )  # fmt: skip

    def ranking(self, question: str, k: int) -> list[str]:
        """The k best documents for a question, each by its best passage, best first."""
        found, _ = self.search(question)
        order = found.documents(self.settings.ranking, len(found.ids))
        if self.reranker is not None:
            again = [hit.passage.document for hit in self._reread(question, found)]
            order = list(dict.fromkeys([*again, *order]))
        return order[:k]

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """The same index, asked in another way.

        Raises:
            KnobError: A knob needs a new index.
        """
        fixed = [name for name in settings if name in NEED_AN_INDEX]
        if fixed:
            raise KnobError(
                f"{', '.join(fixed)}: the index was made with another value",
                "make a run with each value, and measure one run against the other",
            )
        changed = self.settings.model_copy(update=dict(settings))
        reranker = self.reranker
        if changed.reranker != self.settings.reranker:
            reranker = named_reranker(changed.reranker)
        return type(self)(self.index, changed, self.encoder, self.generates, reranker)

    def measure(self, questions: Path, judge: str | None = None) -> Measured:
        """Asks the test questions of a file, in the form of `questions.jsonl`.

        Raises:
            FileError: They cannot be read, or none of the documents that they name is there.
            UserError: `judge` names no usable model.
        """
        _, asked = read_questions(questions)
        lost = lost_documents(asked, self.documents())
        who = named_judge(judge, self.encoder) if judge else None
        model = self.changed({})
        model._patient = _patient(self._chat())
        answers = model.predict([DocumentQuestion(question=each.text) for each in asked])
        found = measure(model, asked, answers, who)
        return found._replace(notes=(*lost, *found.notes))

    def make_questions(self, n: int) -> Iterator[dict[str, Any]]:
        """Up to n questions from passages drawn at random, each with its document.

        The language model writes them, with their answers; without one they are words of a
        sentence (known-item search).
        """
        yield from made_questions(self.index, n, _patient(self._chat()))

    def warm(self) -> None:
        """Answers a question as far as that costs nobody anything: no language model is asked."""
        question = self.examples()[0].question
        hits, vector = self.retrieve(question)
        extract(self.encoder, question, vector, hits, self.settings.sentences)

    def examples(self) -> list[DocumentQuestion]:
        """A few questions: training questions where there are some, else first headings.

        Those are looked up, not stored: of a deleted document nothing may be left.
        """
        texts = self.settings.examples or [
            (first.heading.split(" > ")[0] or first.text)[:200]
            for first in self.index.beginnings(EXAMPLES)
        ]
        texts = texts or ["What is in these documents?"]
        return [DocumentQuestion(question=text) for text in texts]

    def add(
        self, path: Path, name: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> int:
        """Adds or replaces a document; returns its number of chunks once they are on disk.

        Args:
            path: Its file.
            name: What citations say; the file's name if left.
            metadata: That questions may ask for with `where`, beside the front matter of its own:
                key -> a text, number or boolean, or a list of such.

        Raises:
            FileError: It cannot be read, or the metadata break a rule; the index is as it was.
        """
        if self._make is not None:
            return self._make().add(path, name, metadata)
        return self.collection.add(path, name or path.name, metadata)

    def delete(self, name: str) -> bool:
        """Erases a document, its file and its text in the index; False if there was none."""
        return self.collection.delete(name)

    def adopt(self, former: Any) -> None:
        """Takes over what was uploaded to, or deleted from, a former model while this was made."""
        if isinstance(former, DocumentsModel):
            self.collection.take_over(former.collection.uploads, self.settings.begun)
            self.tenants.take_over(former.tenants, self.settings.begun)

    def of(self, tenant: str) -> DocumentsModel:
        """The model over the documents of a tenant; the first one that is added makes its place."""
        found = self.tenants.get(tenant)
        if found is not None:
            return found
        nothing = empty_index(self.encoder.dimension)
        # Nobody remembers here: all tenants without documents share that index.
        settings = self.settings.model_copy(update={"examples": [], "remembered": 0})
        make = partial(self.tenants.make, tenant)
        return DocumentsModel(
            nothing, settings, self.encoder, self.generates, self.reranker, make=make
        )

    @classmethod
    def tenants_of(cls, runs: Path) -> set[str]:
        """The tenants that have documents in the model of any run."""
        return {tenant for each in runs.rglob(TENANTS) for tenant in TenantCollections(each)}

    @classmethod
    def erase_tenant(cls, runs: Path, tenant: str) -> bool:
        """Erases the documents of a tenant from the model of every run."""
        return erase(runs, tenant)

    def documents(self) -> list[str]:
        """The names of all documents."""
        return self.collection.names()

    def labels(self) -> list[str]:
        """What is known of any of the documents, `key=value`, in order."""
        return sorted(self._narrowing.vocabulary())

    def page(self, citation: Citation) -> str:
        """The text of the page that a citation stands on; without pages the text around it."""
        return self.collection.page(citation.document, citation.position, citation.page)

    def save(self, folder: Path) -> None:
        """Writes `model.json`, the index and the uploads (by hard links: no file is changed).

        So it does with those of the tenants. And the encoder and the reranker, if they were trained
        here.
        """
        if self.settings.tuned and isinstance(self.encoder, Encoder):
            self.encoder.copy_to(folder / ENCODER)
        if self.settings.reranker == TRAINED and isinstance(self.reranker, Saves):
            (folder / RERANKER).mkdir()
            self.reranker.save(folder / RERANKER)
        self.collection.copy_to(folder)
        self.tenants.copy_to(folder / TENANTS, self.encoder.dimension)
        write_json(folder / SETTINGS, self.settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Opens a stored index in place: what is added or deleted is kept there.

        What was uploaded to former champions is put into it, if it is not there yet.

        Raises:
            FileError: There is none, or it was made with an encoder that is not here.
            StoreError: Its index is in a server that cannot be reached.
            UserError: `MLFOLIO_LLM` names no usable model, or `MLFOLIO_LLM_PRICES` no prices.
        """
        from_environment()  # a wrong name is said now, not at the first question
        prices()
        try:
            settings = Settings.model_validate_json((folder / SETTINGS).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{folder} holds no index: {error}", "mlfolio run documents") from None
        name = settings.encoder
        encoder = Encoder(name, folder / ENCODER) if settings.tuned else get_encoder(name)
        index = open_index(folder / INDEX, encoder.dimension)
        trained = settings.reranker == TRAINED
        reranker = named_reranker(str(folder / RERANKER) if trained else settings.reranker)
        model = cls(index, settings, encoder, generates=True, reranker=reranker)
        try:
            model.collection.catch_up()
        except OSError as error:  # a read-only folder, a full disk: the rest can be asked
            LOG.warning("uploaded documents are not in the answers: %s", error)
        return model

    def talk(self, conversation: Conversation) -> Iterator[str | Output]:
        """Answers the last question of a conversation, piece by piece; the whole answer is last.

        A follow-up is asked together with what it follows: rewritten by the language model, or
        else by a rule (`follow_up.stand_alone`). Where to look is asked for as it is.

        Raises:
            InputError: It asks for metadata under a key that no document has.
        """
        if not isinstance(conversation, DocumentConversation):
            conversation = DocumentConversation(messages=conversation.messages)
        self._narrowing.refuse_unknown_keys([conversation.where])
        yield from own_context(self._talked(conversation))

    def _talked(self, conversation: DocumentConversation) -> Generator[str | Output, None, None]:
        with spending() as spent:
            asked = DocumentQuestion(
                question=self._stand_alone(conversation.messages),
                document=conversation.document,
                where=conversation.where,
            )
            yield from self._pieces(asked, spent, streamed=True)

    def _answer(self, asked: DocumentQuestion) -> DocumentAnswer:
        with spending() as spent:
            *_, answer = self._pieces(asked, spent)
        assert isinstance(answer, DocumentAnswer)  # noqa: S101 - the last piece is
        return answer

    def _pieces(
        self, asked: DocumentQuestion, spent: Spent, streamed: bool = False
    ) -> Iterator[str | DocumentAnswer]:
        """The answer as it comes and, last, as a whole; one that was given already at once."""
        chat = self._chat()
        state = (self.index.version, str(chat.spec) if chat else "")
        answer = self._given.get(state, asked)
        if answer is not None:
            yield from [answer.answer] * (streamed and answer.found)
            yield with_usage(answer, usage(spent, remembered=True))
            return
        for piece in self._made(asked, chat, streamed):
            if isinstance(piece, DocumentAnswer):
                if not fell_back(piece):
                    self._given.put(state, asked, piece)
                piece = with_usage(piece, usage(spent))
            yield piece

    def _made(
        self, asked: DocumentQuestion, chat: Chat | None, streamed: bool
    ) -> Iterator[str | DocumentAnswer]:
        """An answer that was not given yet."""
        question, warnings = self._cut(asked.question)
        within, lacking = self._narrowing.within(asked)
        found, more = self.search(question, within)
        warnings += [*lacking, *more]
        quotes, signals, hits = self.extracted(question, found)
        p_answered = self.settings.confidence(signals)
        if not hits and asked.document and asked.document not in self.index.documents():
            warnings.append(f"there is no document or folder {asked.document!r}")
        elif not hits and asked.where and not lacking:
            warnings.append("no document is all of what `where` says")
        if p_answered < self.settings.least or not quotes:
            yield not_found(hits, 1 - p_answered, warnings)
            return
        if chat is not None:
            said = _said(chat, prompt(question, hits), len(hits), streamed)
            pieces = self._generated(said, hits, p_answered, warnings)
            try:
                first = next(pieces)
            except LanguageModelError as error:  # later, quotes would be read as the answer's end
                warnings.append(f"{QUOTED}: {error.message}")
            else:
                yield first
                yield from pieces
                return
        answer = quoted(quotes, p_answered, warnings)
        if streamed:
            yield from answer.answer.splitlines(keepends=True)
        yield answer

    def _chat(self) -> Chat | None:
        """The language model that may write, if there is one."""
        return (self._patient or from_environment()) if self.generates else None

    def _generated(
        self,
        pieces: Generator[str, None, str],
        hits: Sequence[Hit],
        p_answered: float,
        warnings: list[str],
    ) -> Generator[str | DocumentAnswer, None, None]:
        """What a language model says, and the answer that this makes."""
        said = yield from pieces
        with stage("support"):
            answer = checked(generated(said, hits, p_answered, warnings), self.encoder)
        yield answer

    def _reread(self, question: str, found: Candidates) -> list[Hit]:
        """The first passages in the reranker's order."""
        s = self.settings
        with stage("rank"):
            first = first_hits(self.index, found, s.reread, s.ranking)
        assert self.reranker is not None  # noqa: S101 - whoever calls has looked
        with stage(
            "rerank", {"gen_ai.operation.name": "rerank", "gen_ai.request.model": s.reranker}
        ):
            return rerank(self.reranker, question, first, s.reread, s.reranker_weight)

    def _stand_alone(self, messages: Sequence[Message]) -> str:
        """The last question, such that it can be understood alone."""
        chat = self._chat()
        if chat is not None and follows(messages):
            with suppress(LanguageModelError), stage("rewrite"):
                return chat.ask(REWRITE, conversation(messages))[:MAX_QUESTION]
        return stand_alone(messages, self._reads)[:MAX_QUESTION]

    def _reads(self, question: str) -> bool:
        return len(question) <= MAX_QUESTION and reads_all(self.encoder, question)

    def _cut(self, question: str) -> tuple[str, list[str]]:
        """The part of a question that the encoder reads, and a warning if that is not all."""
        cut, tokens = cut_question(self.encoder, question)
        limit = self.encoder.max_tokens
        too_long = f"input truncated: used {limit} of {tokens:,} tokens"
        return cut, [too_long] if tokens > limit else []


def _said(chat: Chat, asked: str, n: int, streamed: bool) -> Generator[str, None, str]:
    """All that a language model says; on the way what can be shown of it, where that is wanted."""
    if not streamed:
        return chat.ask(SYSTEM, asked)
    return (yield from as_it_comes(chat.stream(SYSTEM, asked), n))


def _patient(chat: Chat | None) -> Chat | None:
    """The same language model, asked again at once: one failure must not cost the next answers."""
    return chat and Chat(chat.spec, chat.timeout, chat.retries, pause=0)


def _over(
    settings: Settings, encoder: Encodes, generates: bool, reranker: Reranker | None, folder: Path
) -> DocumentsModel:
    """The model over the documents in a tenant's folder; examples of others are none of its."""
    index = opened(folder / INDEX, encoder.dimension)
    own = settings.model_copy(update={"examples": []})
    model = DocumentsModel(index, own, encoder, generates, reranker)
    model.collection.catch_up()
    return model


def named_reranker(name: str, fetch: bool = False) -> Reranker | None:
    """The cross-encoder of a folder or of the hub; None where no name is given.

    Raises:
        FileError: There is none.
        KnobError: It would have to be trained.
    """
    if name == TRAINED:
        raise KnobError("this index has no trained reranker", f"a run with reranker={TRAINED}")
    if not name:
        return None
    from mlfolio.parts.retrieval.cross_encoder import get_cross_encoder

    return get_cross_encoder(name, fetch)
