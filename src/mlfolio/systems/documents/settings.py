"""What a stored model remembers beside its index."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlfolio.parts.retrieval.chunk import Chunking, ChunkKind
from mlfolio.parts.retrieval.expand import Way
from mlfolio.parts.retrieval.extract import CONFIDENCE
from mlfolio.parts.retrieval.logistic import Logistic
from mlfolio.parts.retrieval.ranking import DENSE_WEIGHT, Fusion, Ranking
from mlfolio.parts.retrieval.search import CANDIDATES
from mlfolio.parts.text.embed import BUNDLED

SETTINGS = "model.json"
NEED_AN_INDEX = (
    "encoder",
    "tuned",
    "chunking",
    "chunk_tokens",
    "overlap",
)  # another value, another index
TRAINED = "trained"  # name of the reranker that a run trains itself


class Settings(BaseModel):
    """What a stored model remembers beside its index.

    Attributes:
        recipe: What the chunks and vectors depend on beside the files: two indexes with equal
            recipes hold the same for the same file.
        begun: When its fit took over what was uploaded to the champion, in ns since 1970.
        threshold: Below which there is no answer; None for that of `confidence`.
        confidence: Tells from what was found whether it is an answer.
        examples: Training questions; empty where nobody asked any.
    """

    model_config = ConfigDict(frozen=True)

    encoder: str = BUNDLED
    tuned: bool = False
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
    threshold: float | None = None
    confidence: Logistic = CONFIDENCE
    remembered: int = 256
    examples: list[str] = []
    recipe: str = ""
    begun: int = 0

    @property
    def cutting(self) -> Chunking:
        """How documents are cut, those that are uploaded too."""
        return Chunking(self.chunking, self.chunk_tokens, self.overlap)

    @property
    def least(self) -> float:
        """The probability below which the answer is "not in your documents"."""
        return self.confidence.threshold if self.threshold is None else self.threshold

    @property
    def ranking(self) -> Ranking:
        """How what was found is ranked."""
        return Ranking(self.weight, self.fusion, self.diversity, self.per_document)


def stored_settings(folder: Path) -> Settings | None:
    """The settings of a stored model; None where they cannot be read."""
    try:
        return Settings.model_validate_json((folder / SETTINGS).read_text("utf-8"))
    except (OSError, ValueError):
        return None
