"""Chunks: whole sentences, one heading, one page, no token lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize.punkt import PunktSentenceTokenizer  # type: ignore[import-untyped]

from mlfolio.parts.retrieval.blocks import Block
from mlfolio.parts.retrieval.chunk import chunks, split_sentences

from .retrieval_tools import Words

COUNT = Words().count_tokens
WORD = st.text(alphabet="abcdefgh", min_size=1, max_size=8)
SENTENCE = st.lists(WORD, min_size=1, max_size=30).map(lambda w: " ".join(w).capitalize() + ".")
BLOCKS = st.lists(
    st.builds(
        Block,
        kind=st.sampled_from(["text", "item", "heading"]),
        text=st.lists(SENTENCE, min_size=1, max_size=5).map(" ".join),
        level=st.integers(1, 3),
        page=st.none(),
    ),
    max_size=8,
)


@given(BLOCKS, st.integers(8, 40), st.integers(0, 10))
def test_nothing_is_lost_and_nothing_is_too_long(
    blocks: list[Block], size: int, overlap: int
) -> None:
    found = list(chunks(blocks, COUNT, size=size, overlap=overlap))

    assert [chunk.position for chunk in found] == list(range(len(found)))
    assert all(COUNT([chunk.text])[0] <= size for chunk in found)
    given_words = {w for b in blocks if b.kind != "heading" for w in b.text.split()}
    assert {w for chunk in found for w in chunk.text.split()} == given_words


def test_no_chunk_crosses_a_heading_or_a_page() -> None:
    blocks = [
        Block("heading", "Guide", 1, 1), Block("text", "One.", page=1),
        Block("heading", "Pumps", 2, 1), Block("text", "Two.", page=1),
        Block("text", "Three.", page=2), Block("heading", "Other", 1, 2),
        Block("text", "Four.", page=2),
    ]  # fmt: skip

    found = [(c.text, c.heading, c.page) for c in chunks(blocks, COUNT)]

    assert found == [
        ("One.", "Guide", 1), ("Two.", "Guide > Pumps", 1),
        ("Three.", "Guide > Pumps", 2), ("Four.", "Other", 2),
    ]  # fmt: skip


def test_neighbours_share_their_border_sentence() -> None:
    text = "Alpha one two. Beta one two. Gamma one two. Delta one two."

    first, second = list(chunks([Block("text", text)], COUNT, size=9, overlap=3))[:2]

    assert first.text == "Alpha one two. Beta one two. Gamma one two."
    assert second.text == "Gamma one two. Delta one two."


def test_abbreviations_end_no_sentence() -> None:
    assert split_sentences("Dr. Lee saw Fig. 3. It was red.") == [
        "Dr. Lee saw Fig. 3.", "It was red.",
    ]  # fmt: skip


@pytest.mark.parametrize("sentence", ["a! ", "It cost 3.5 pounds, said Dr. Lee of the U.S. navy. "])
def test_a_text_of_any_length_is_split_alike(sentence: str) -> None:
    n = 100_000 // len(sentence)
    assert split_sentences(sentence * n) == [sentence.strip()] * n


def test_the_splitter_sees_a_window_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up after five seconds, which a text of a few megabytes takes."""
    seen: list[int] = []
    tokenize = PunktSentenceTokenizer.span_tokenize

    def watched(self: PunktSentenceTokenizer, text: str, *options: bool) -> object:
        seen.append(len(text))
        return tokenize(self, text, *options)

    monkeypatch.setattr(PunktSentenceTokenizer, "span_tokenize", watched)
    text = "One! " + "two " * 30_000 + "end. Three!"
    found = split_sentences(text)

    assert max(seen) <= 10_000
    assert (found[0], found[-1]) == ("One!", "Three!")
    assert " ".join(found).split() == text.split()


def letters(texts: Sequence[str]) -> list[int]:
    return [len(text.replace(" ", "")) for text in texts]


@pytest.mark.parametrize("text", ["a b c d " * 200 + "extraordinarily " * 50, "東" * 900])
def test_pieces_of_a_long_sentence_are_counted(text: str) -> None:
    found = list(chunks([Block("text", text)], letters, size=40, overlap=0))

    assert max(letters([chunk.text for chunk in found])) <= 40
    assert "".join(chunk.text for chunk in found).replace(" ", "") == text.replace(" ", "")


def test_a_long_heading_keeps_its_end() -> None:
    blocks = [
        Block("heading", "Far " * 50, 1), Block("heading", "Near " * 20 + "nearest", 2),
        Block("text", "One."),
    ]  # fmt: skip

    (chunk,) = chunks(blocks, COUNT)

    assert COUNT([chunk.heading])[0] <= 60
    assert chunk.heading.startswith("… Far")
    assert chunk.heading.endswith("Near nearest")
    (chunk,) = chunks([Block("heading", "東" * 500, 1), Block("text", "One.")], letters)
    assert letters([chunk.heading])[0] <= 61
