"""Answers that are given again, until something changes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lancedb")

from mlfolio.parts.retrieval.remembered import Remembered
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.parts.retrieval.sync import Document, drop, put
from tests.parts.retrieval_tools import Words

ENCODER = Words()


def test_the_last_ones_are_kept() -> None:
    given = Remembered[str](2)
    for asked in "abc":
        assert given.get(1, asked) is None
        given.put(1, asked, asked.upper())
        given.get(1, "a")

    assert [given.get(1, asked) for asked in "abc"] == ["A", None, "C"]


def test_of_another_state_nothing_is_kept() -> None:
    given = Remembered[str](9)
    given.get(1, "a")
    given.put(1, "a", "A")

    assert given.get(2, "a") is None
    assert len(given) == 0
    given.put(1, "a", "late: the state has changed since")
    assert given.get(1, "a") is None


def test_none_are_kept_where_none_are_wanted() -> None:
    given = Remembered[str](0)
    given.get(1, "a")
    given.put(1, "a", "A")
    assert given.get(1, "a") is None


def test_every_commit_of_anybody_is_another_state(tmp_path: Path) -> None:
    one, other = (LanceIndex(tmp_path, ENCODER.dimension) for _ in range(2))
    seen = [other.version]

    put(one, Document.of_text("a", "Pumps", "The blue pump starts."), ENCODER)
    seen.append(other.version)
    put(one, Document.of_text("a", "Pumps", "The blue pump stops."), ENCODER)
    seen.append(other.version)
    drop(one, "a")
    seen.append(other.version)

    assert len(set(seen)) == 4
    assert other.version == seen[-1] == one.version
