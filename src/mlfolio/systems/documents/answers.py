"""What is asked of documents, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mlfolio.core.model import Conversation, Input, Output
from mlfolio.parts.llm.usage import Usage
from mlfolio.parts.retrieval.expand import UNEXPANDED
from mlfolio.parts.retrieval.extract import Quote
from mlfolio.parts.retrieval.generate import finish
from mlfolio.parts.retrieval.ranking import Hit
from mlfolio.parts.retrieval.support import unsupported
from mlfolio.parts.retrieval.where import Where
from mlfolio.parts.text.vectors import Encodes

NOT_FOUND = "This is not in your documents."
MAX_QUESTION = 20_000  # characters
QUOTED = "quoted instead of generated"

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION)
]
Place = Annotated[
    str | None,
    Field(max_length=1000, description="name of one document or folder to look in; all if left"),
]
Filter = Annotated[
    Where | None,
    Field(
        description="what the documents' metadata have to be; all documents if left",
        examples=[
            {"team": "legal", "kind": ["contract", "policy"], "date": {"from": "2024-01-01"}}
        ],
    ),
]


class DocumentQuestion(Input):
    """A question to the documents."""

    question: Text = Field(description="in your own words")
    document: Place = None
    where: Filter = None


class DocumentConversation(Conversation):
    """What was said so far, and where to look for an answer to the last question."""

    document: Place = None
    where: Filter = None


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
        usage: What it took: tokens, dollars, seconds. Two answers that say the same are equal,
            whatever either took.
    """

    answer: str
    found: bool
    sources: list[Citation]
    unsupported: list[str] = Field(default_factory=list)
    usage: Usage | None = None

    def __eq__(self, other: object) -> bool:
        """Whether another answer says the same."""
        if not isinstance(other, DocumentAnswer):
            return NotImplemented
        return dict(with_usage(self, None)) == dict(with_usage(other, None))

    def redacted(self) -> Self:
        """Whether something was found, how sure that is and what it took: the rest quotes."""
        nothing: dict[str, Any] = {"answer": "", "sources": [], "unsupported": [], "warnings": []}
        return self.model_copy(update=nothing)


def with_usage(answer: DocumentAnswer, usage: Usage | None) -> DocumentAnswer:
    """The answer with what it took."""
    return answer.model_copy(update={"usage": usage})


def fell_back(answer: DocumentAnswer) -> bool:
    """Whether a language model failed on the way: the next time it may not."""
    return any(warning.startswith((QUOTED, UNEXPANDED)) for warning in answer.warnings)


def generated(
    said: str, hits: Sequence[Hit], p_answered: float, warnings: list[str]
) -> DocumentAnswer:
    """A language model's answer, with the passages that it cites, or all if it cites none."""
    text, used, more = finish(said, len(hits))
    if not text:
        return not_found(hits, None, warnings)
    cited = [hits[at] for at in used] or hits
    return DocumentAnswer(
        answer=text, confidence=p_answered, found=True, warnings=[*warnings, *more],
        sources=[citation(hit, hit.passage.text) for hit in cited],
    )  # fmt: skip


def quoted(quotes: Sequence[Quote], p_answered: float, warnings: list[str]) -> DocumentAnswer:
    """Sentences of the documents, one a line."""
    lines = [f"“{quote.text}” [{number}]" for number, quote in enumerate(quotes, start=1)]
    return DocumentAnswer(
        answer="\n".join(lines), confidence=p_answered, found=True, warnings=warnings,
        sources=[citation(quote.hit, quote.text) for quote in quotes],
    )  # fmt: skip


def checked(answer: DocumentAnswer, encoder: Encodes) -> DocumentAnswer:
    """A generated answer, with the sentences that nothing it cites supports."""
    if not answer.found:
        return answer
    # With the name, page and headings: the language model was told them too.
    passages = [f"{source}\n{source.text}" for source in answer.sources]
    found = unsupported(encoder, answer.answer, passages)
    if not found:
        return answer
    n = "a sentence is" if len(found) == 1 else f"{len(found)} sentences are"
    warning = f"{n} not supported by what is cited: see unsupported"
    return answer.model_copy(update={"unsupported": found, "warnings": [*answer.warnings, warning]})


def not_found(hits: Sequence[Hit], confidence: float | None, warnings: list[str]) -> DocumentAnswer:
    """That the documents do not say, with the nearest passage for whoever wants to look."""
    return DocumentAnswer(
        answer=NOT_FOUND,
        confidence=confidence,
        found=False,
        sources=[citation(hit, hit.passage.text) for hit in hits[:1]],
        warnings=warnings,
    )


def citation(hit: Hit, text: str) -> Citation:
    """Where a text of a passage comes from."""
    passage = hit.passage
    return Citation(
        document=passage.document, page=passage.page, heading=passage.heading,
        position=passage.position, text=text, score=min(1.0, hit.score),
    )  # fmt: skip
