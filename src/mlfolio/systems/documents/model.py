"""The model: an index that can be asked, and changed while it serves."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mlfolio.core.errors import FileError, KnobError
from mlfolio.core.model import Conversation, Input, Measured, Message, Output
from mlfolio.core.run import write_json
from mlfolio.parts.llm.chat import Chat, LanguageModelError, from_environment, parse_spec
from mlfolio.parts.llm.judge import Judge
from mlfolio.parts.retrieval.apart import content
from mlfolio.parts.retrieval.blocks import UnreadableError
from mlfolio.parts.retrieval.chunk import Chunking, ChunkKind, run_together
from mlfolio.parts.retrieval.expand import UNEXPANDED, Expansion, Way, expanded
from mlfolio.parts.retrieval.extract import Confidence, extract
from mlfolio.parts.retrieval.follow_up import stand_alone
from mlfolio.parts.retrieval.generate import REWRITE, SYSTEM, finish, may_be_nothing, prompt
from mlfolio.parts.retrieval.index import Index
from mlfolio.parts.retrieval.questions import made_questions, read_questions
from mlfolio.parts.retrieval.ranking import DENSE_WEIGHT, Candidates, Fusion, Hit, Ranking, varied
from mlfolio.parts.retrieval.remembered import Remembered
from mlfolio.parts.retrieval.rerank import Reranker, Saves, rerank
from mlfolio.parts.retrieval.search import CANDIDATES, best_hits, cut_question, first_hits
from mlfolio.parts.retrieval.support import unsupported
from mlfolio.parts.retrieval.sync import Document, drop, merge, put
from mlfolio.parts.retrieval.uploads import Upload, Uploads
from mlfolio.parts.text.embed import BUNDLED, get_encoder
from mlfolio.parts.text.vectors import Encodes, Vectors

from .measure import measure

NEED_AN_INDEX = (
    "encoder",
    "chunking",
    "chunk_tokens",
    "overlap",
)  # knobs that another index is needed for
NOT_FOUND = "This is not in your documents."
INDEX, UPLOADS, RERANKER, SETTINGS = "index", "uploads", "reranker", "model.json"
TRAINED = "trained"  # name of the reranker that a run trains itself
EXAMPLES = 5
MAX_QUESTION = 20_000  # characters
QUOTED = "quoted instead of generated"
LOG = logging.getLogger(__name__)

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION)
]


class DocumentQuestion(Input):
    """A question to the documents."""

    question: Text = Field(description="in your own words")
    document: str | None = Field(
        None, max_length=1000, description="name of one document or folder to look in; all if left"
    )


class Citation(BaseModel):
    """Where an answer comes from: the n-th one is [n] in the answer.

    Attributes:
        document: Name of the file.
        page: Counted from 1; None where the format has no pages.
        heading: Path of the headings above it.
        position: Of its passage in the document, counted from 0.
        text: The sentence or passage, as it stands there.
        score: Of its passage, 0 to 1, comparable within one question.
    """

    model_config = ConfigDict(frozen=True)

    document: str
    page: int | None
    heading: str
    position: int
    text: str
    score: float

    def __str__(self) -> str:
        """What a terminal shows."""
        page = f", page {self.page}" if self.page else ""
        return f"{self.document}{page}" + (f" ({self.heading})" if self.heading else "")


class DocumentAnswer(Output):
    """An answer with its sources.

    Attributes:
        answer: Quoted sentences with [n], or a generated text with [n], or that the documents do
            not say.
        found: Whether the documents answer.
        confidence: Probability that this is so: that the documents hold the answer if `found`, else
            that they do not. None where the language model has said that they do not.
        sources: What the [n] stand for; where nothing was found, the nearest passage.
        unsupported: Sentences of a generated answer that the passages they cite do not seem to say.
    """

    answer: str
    found: bool
    sources: list[Citation]
    unsupported: list[str] = Field(default_factory=list)

    def redacted(self) -> Self:
        """Whether something was found, and how sure that is: the rest quotes the documents."""
        nothing: dict[str, Any] = {"answer": "", "sources": [], "unsupported": [], "warnings": []}
        return self.model_copy(update=nothing)


class Settings(BaseModel):
    """What a stored model remembers beside its index.

    Attributes:
        recipe: What the chunks and vectors depend on beside the files: two indexes with equal
            recipes hold the same for the same file.
        begun: When its fit took over what was uploaded to the champion, in ns since 1970.
        examples: Training questions; empty where nobody asked any.
    """

    model_config = ConfigDict(frozen=True)

    encoder: str = BUNDLED
    chunking: ChunkKind = "sentences"
    chunk_tokens: int = 180
    overlap: int = 32
    weight: float = DENSE_WEIGHT
    fusion: Fusion = "scores"
    diversity: float = 0.0
    per_document: int | None = None
    expansion: Way = "none"
    candidates: int = CANDIDATES
    reranker: str = ""
    reread: int = 30
    reranker_weight: float = 1.0
    passages: int = 5
    sentences: int = 3
    threshold: float = Confidence().threshold
    remembered: int = 256
    examples: list[str] = []
    recipe: str = ""
    begun: int = 0

    @property
    def cutting(self) -> Chunking:
        """How documents are cut, those that are uploaded too."""
        return Chunking(self.chunking, self.chunk_tokens, self.overlap)

    @property
    def ranking(self) -> Ranking:
        """How what was found is ranked."""
        return Ranking(self.weight, self.fusion, self.diversity, self.per_document)


class DocumentsModel:
    """Answers from an index.

    Attributes:
        index: The chunks.
        uploads: The files that came while it was served; they lie beside the index.
        settings: How they were made and how they are asked.
        reranker: Who reads the first passages again, if anybody does.
        generates: Whether the language model of `MLFOLIO_LLM` may write the answers. A model that
            was just fitted does not let it, so that a run costs no tokens; a loaded one does.
    """

    input_type: ClassVar[type[Input]] = DocumentQuestion
    output_type: ClassVar[type[Output]] = DocumentAnswer

    def __init__(
        self,
        index: Index,
        settings: Settings,
        encoder: Encodes | None = None,
        generates: bool = False,
        reranker: Reranker | None = None,
    ) -> None:
        self.index = index
        self.uploads = Uploads(index.folder.parent / UPLOADS)
        self.settings = settings
        self.encoder: Encodes = encoder or get_encoder(settings.encoder)
        self.generates = generates
        self.reranker = reranker
        self._given = Remembered[DocumentAnswer](settings.remembered)

    def predict(self, inputs: Sequence[DocumentQuestion]) -> list[DocumentAnswer]:
        """Answers each question; equal ones are looked up once.

        Raises:
            UserError: `MLFOLIO_LLM` is set and names no usable model.
        """
        answers = {question: self._answer(question) for question in dict.fromkeys(inputs)}
        return [answers[question] for question in inputs]

    def retrieve(self, question: str, within: str | None = None) -> tuple[list[Hit], Vectors]:
        """The best passages for a question, and the question's vector, shape (dimension,)."""
        found, _ = self.search(question, within)
        return self.hits(question, found), found.vector

    def hits(self, question: str, found: Candidates) -> list[Hit]:
        """The passages that an answer is made from, best first."""
        s = self.settings
        if self.reranker is None:
            return best_hits(self.index, found, s.passages, s.ranking)
        return varied(self._reread(question, found), s.passages, s.ranking)

    def search(self, question: str, within: str | None = None) -> tuple[Candidates, list[str]]:
        """What either side finds for a question, expanded or not; and warnings."""
        s = self.settings
        chat = from_environment() if self.generates else None
        return expanded(
            self.index, self.encoder, question, Expansion(s.expansion), chat, s.ranking,
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
        """Asks the test questions of a file, in the form of `questions.jsonl`."""
        _, asked = read_questions(questions)
        who = Judge(Chat(parse_spec(judge)), self.encoder) if judge else None
        answers = self.predict([DocumentQuestion(question=each.text) for each in asked])
        return measure(self, asked, answers, who)

    def make_questions(self, n: int) -> Iterator[dict[str, Any]]:
        """Up to n questions from passages drawn at random, each with its document.

        The language model writes them, with their answers; without one they are words of a
        sentence (known-item search).
        """
        yield from made_questions(self.index, n, from_environment() if self.generates else None)

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

    def add(self, path: Path, name: str | None = None) -> int:
        """Adds or replaces a document; returns its number of chunks once they are on disk.

        The file is kept beside the index, so that the models of later runs have it too.

        Raises:
            FileError: It cannot be read; the index is as it was.
        """
        name = name or path.name
        try:
            data = content(path)
            document = Document.of_bytes(name, data, path.suffix)
            return put(
                self.index, document, self.encoder, self.settings.cutting,
                before=lambda: self.uploads.keep(document.name, path.suffix, data),
            )  # fmt: skip
        except UnreadableError as error:
            raise FileError(f"{name}: {error.message}", error.fix) from None

    def delete(self, name: str) -> bool:
        """Erases a document, its file and its text in the index; False if there was none."""
        with self.index.writing():
            known = name in self.uploads or name in self.index.documents()
            if known:
                self.uploads.delete(name)  # first: what a crash leaves to do, `load` does
            drop(self.index, name)
        return known

    def adopt(self, former: Any) -> None:
        """Takes over what was uploaded to, or deleted from, a former model while this was made."""
        if isinstance(former, DocumentsModel):
            with self.index.writing():
                self.uploads.take_over(former.uploads, self.settings.begun)
            self._index_uploads()

    def documents(self) -> list[str]:
        """The names of all documents."""
        return sorted(self.index.documents())

    def page(self, citation: Citation) -> str:
        """The text of the page that a citation stands on; without pages the text around it."""
        found = self.index.around(citation.document, citation.position, citation.page)
        return run_together([passage.text for passage in found])

    def save(self, folder: Path) -> None:
        """Writes `model.json`, the index and the uploads (by hard links: no file is changed).

        And the reranker, if it was trained here.
        """
        if self.settings.reranker == TRAINED and isinstance(self.reranker, Saves):
            (folder / RERANKER).mkdir()
            self.reranker.save(folder / RERANKER)
        self.index.copy_to(folder / INDEX)
        self.uploads.copy_to(folder / UPLOADS)
        write_json(folder / SETTINGS, self.settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Opens a stored index in place: what is added or deleted is kept there.

        What was uploaded to former champions is put into it, if it is not there yet.

        Raises:
            FileError: There is none, or it was made with an encoder that is not here.
            UserError: `MLFOLIO_LLM` is set and names no usable model.
        """
        from_environment()  # a wrong name is said now, not at the first question
        try:
            settings = Settings.model_validate_json((folder / SETTINGS).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{folder} holds no index: {error}", "mlfolio run documents") from None
        encoder = get_encoder(settings.encoder)
        index = Index(folder / INDEX, encoder.dimension)
        trained = settings.reranker == TRAINED
        reranker = named_reranker(str(folder / RERANKER) if trained else settings.reranker)
        model = cls(index, settings, encoder, generates=True, reranker=reranker)
        try:
            model._index_uploads()
        except OSError as error:  # a read-only folder, a full disk: the rest can be asked
            LOG.warning("uploaded documents are not in the answers: %s", error)
        return model

    def talk(self, conversation: Conversation) -> Iterator[str | Output]:
        """Answers the last question of a conversation, piece by piece; the whole answer is last.

        A follow-up is asked together with what it follows: rewritten by the language model, or
        else by a rule (`follow_up.stand_alone`).
        """
        question = self._stand_alone(conversation.messages)
        yield from self._pieces(DocumentQuestion(question=question), streamed=True)

    def _index_uploads(self) -> None:
        """Makes the index say what was uploaded and deleted: nothing to do, as a rule."""
        if not any(self._not_indexed()):
            return
        with self.index.writing():
            stale, gone = self._not_indexed()  # again: another process may have done it
            documents = (upload.document for upload in stale)
            done = merge(self.index, documents, gone, self.encoder, self.settings.cutting)
        for name, why in done.unreadable.items():
            LOG.warning("the uploaded document %s is in no answer any more: %s", name, why)

    def _not_indexed(self) -> tuple[list[Upload], list[str]]:
        """The uploads that are not in the index, and the deleted documents that still are."""
        known = self.index.documents()
        stale = [upload for upload in self.uploads if known.get(upload.name) != upload.digest]
        return stale, [name for name in known if self.uploads.is_deleted(name)]

    def _answer(self, asked: DocumentQuestion) -> DocumentAnswer:
        *_, answer = self._pieces(asked)
        assert isinstance(answer, DocumentAnswer)  # noqa: S101 - the last piece is
        return answer

    def _pieces(
        self, asked: DocumentQuestion, streamed: bool = False
    ) -> Iterator[str | DocumentAnswer]:
        """The answer as it comes and, last, as a whole; one that was given already at once."""
        chat = from_environment() if self.generates else None
        state = (self.index.version, str(chat.spec) if chat else "")
        answer = self._given.get(state, asked)
        if answer is not None:
            yield from [answer.answer] * (streamed and answer.found)
            yield answer
            return
        for piece in self._made(asked, chat, streamed):
            yield piece
        if isinstance(piece, DocumentAnswer) and not _fell_back(piece):
            self._given.put(state, asked, piece)

    def _made(
        self, asked: DocumentQuestion, chat: Chat | None, streamed: bool
    ) -> Iterator[str | DocumentAnswer]:
        """An answer that was not given yet."""
        question, warnings = self._cut(asked.question)
        found, more = self.search(question, asked.document)
        warnings += more
        hits = self.hits(question, found)
        sentences = self.settings.sentences
        quotes, signals = extract(self.encoder, question, found.vector, hits, sentences)
        p_answered = Confidence()(signals)
        if not hits and asked.document and asked.document not in self.index.documents():
            warnings.append(f"there is no document or folder {asked.document!r}")
        if p_answered < self.settings.threshold or not quotes:
            yield _not_found(hits, 1 - p_answered, warnings)
            return
        if chat is not None:
            try:
                said = yield from _said(chat, prompt(question, hits), streamed)
            except LanguageModelError as error:
                warnings.append(f"{QUOTED}: {error.message}")
            else:
                yield self._checked(_generated(said, hits, p_answered, warnings))
                return
        lines = [f"“{quote.text}” [{number}]" for number, quote in enumerate(quotes, start=1)]
        if streamed:
            yield from ("\n" * (number > 0) + line for number, line in enumerate(lines))
        yield DocumentAnswer(
            answer="\n".join(lines),
            confidence=p_answered,
            found=True,
            sources=[_citation(quote.hit, quote.text) for quote in quotes],
            warnings=warnings,
        )

    def _reread(self, question: str, found: Candidates) -> list[Hit]:
        """The first passages in the reranker's order."""
        s = self.settings
        first = first_hits(self.index, found, s.reread, s.ranking)
        assert self.reranker is not None  # noqa: S101 - whoever calls has looked
        return rerank(self.reranker, question, first, s.reread, s.reranker_weight)

    def _checked(self, answer: DocumentAnswer) -> DocumentAnswer:
        """A generated answer, with the sentences that nothing it cites supports."""
        if not answer.found:
            return answer
        passages = [source.text for source in answer.sources]
        found = unsupported(self.encoder, answer.answer, passages)
        if not found:
            return answer
        n = "a sentence is" if len(found) == 1 else f"{len(found)} sentences are"
        warning = f"{n} not supported by what is cited: see unsupported"
        return answer.model_copy(
            update={"unsupported": found, "warnings": [*answer.warnings, warning]}
        )

    def _stand_alone(self, messages: Sequence[Message]) -> str:
        """The last question, such that it can be understood alone."""
        by_rule = stand_alone(messages)
        chat = from_environment() if self.generates else None
        if chat is None or by_rule == messages[-1].content:
            return by_rule[:MAX_QUESTION]
        said = "\n".join(f"{message.role}: {message.content}" for message in messages)
        try:
            return chat.ask(REWRITE, said)[:MAX_QUESTION]
        except LanguageModelError:
            return by_rule[:MAX_QUESTION]

    def _cut(self, question: str) -> tuple[str, list[str]]:
        """The part of a question that the encoder reads, and a warning if that is not all."""
        cut, tokens = cut_question(self.encoder, question)
        limit = self.encoder.max_tokens
        too_long = f"input truncated: used {limit} of {tokens:,} tokens"
        return cut, [too_long] if tokens > limit else []


def _fell_back(answer: DocumentAnswer) -> bool:
    """Whether a language model failed on the way: the next time it may not."""
    return any(warning.startswith((QUOTED, UNEXPANDED)) for warning in answer.warnings)


def _said(chat: Chat, asked: str, streamed: bool) -> Generator[str, None, str]:
    """All that a language model says; on the way its pieces, where they are wanted."""
    if not streamed:
        return chat.ask(SYSTEM, asked)
    said = held = ""
    for piece in chat.stream(SYSTEM, asked):
        said, held = said + piece, held + piece
        if not may_be_nothing(said):  # that there is no answer is said in our own words
            yield held
            held = ""
    return said


def _generated(
    said: str, hits: Sequence[Hit], p_answered: float, warnings: list[str]
) -> DocumentAnswer:
    """A language model's answer, with the passages that it cites, or all if it cites none."""
    text, used, more = finish(said, len(hits))
    if not text:
        return _not_found(hits, None, warnings)
    cited = [hits[at] for at in used] or hits
    return DocumentAnswer(
        answer=text, confidence=p_answered, found=True, warnings=[*warnings, *more],
        sources=[_citation(hit, hit.passage.text) for hit in cited],
    )  # fmt: skip


def _not_found(
    hits: Sequence[Hit], confidence: float | None, warnings: list[str]
) -> DocumentAnswer:
    """That the documents do not say, with the nearest passage for whoever wants to look."""
    return DocumentAnswer(
        answer=NOT_FOUND,
        confidence=confidence,
        found=False,
        sources=[_citation(hit, hit.passage.text) for hit in hits[:1]],
        warnings=warnings,
    )


def _citation(hit: Hit, text: str) -> Citation:
    passage = hit.passage
    return Citation(
        document=passage.document, page=passage.page, heading=passage.heading,
        position=passage.position, text=text, score=min(1.0, hit.score),
    )  # fmt: skip


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


def stored_settings(folder: Path) -> Settings | None:
    """The settings of a stored model; None where they cannot be read."""
    try:
        return Settings.model_validate(json.loads((folder / SETTINGS).read_text("utf-8")))
    except (OSError, ValueError):
        return None
