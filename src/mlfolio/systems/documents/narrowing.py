"""Where to look for a question: the place and the metadata that it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mlfolio.core.errors import InputError, Problem
from mlfolio.parts.retrieval.index import Index, Within
from mlfolio.parts.retrieval.remembered import Remembered
from mlfolio.parts.retrieval.where import Where, keys_of, resolve, unknown_keys

from .answers import DocumentQuestion

KEYS_SHOWN: Final = 20


class Narrowing:
    """What questions may ask for with `where`, of the documents of one index.

    Args:
        index: Theirs.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._labels = Remembered[set[str]](1)

    def refuse_unknown_keys(self, asked: Sequence[Where | None]) -> None:
        """Refuses what no document could have: a typing error, most likely.

        Args:
            asked: What each question asks for.

        Raises:
            InputError: One asks for metadata under a key that no document has.
        """
        filters = [(row, where) for row, where in enumerate(asked) if where]
        if not filters:
            return
        known = keys_of(self.vocabulary())
        problems = [
            Problem(row, f"where.{key}", rule)
            for row, where in filters
            for key, rule in unknown_keys(where, known).items()
        ]
        if problems:
            shown = ", ".join(known[:KEYS_SHOWN]) + ", ..." * (len(known) > KEYS_SHOWN)
            fix = f"keys: {shown}" if known else "no document has metadata: give them some first"
            raise InputError(problems, fix)

    def within(self, asked: DocumentQuestion) -> tuple[Within | None, list[str]]:
        """Where to look for a question, and which of its conditions no document meets."""
        if not asked.where:
            return Within(asked.document) if asked.document is not None else None, []
        groups, lacking = resolve(asked.where, self.vocabulary())
        return Within(asked.document, groups), lacking

    def vocabulary(self) -> set[str]:
        """The labels of all documents, `key=value`."""
        version = self._index.version
        labels = self._labels.get(version, "all")
        if labels is None:
            labels = self._index.labels()
            self._labels.put(version, "all", labels)
        return labels
