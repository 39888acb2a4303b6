"""Chunks: five ways to cut a document, each on one page, no token lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize.punkt import PunktSentenceTokenizer  # type: ignore[import-untyped]

from mlfolio.parts.retrieval import semantic
from mlfolio.parts.retrieval.blocks import Block, UnreadableError
from mlfolio.parts.retrieval.chunk import Chunk, Chunking, ChunkKind, chunks, cut_blocks
from mlfolio.parts.retrieval.sentences import split_sentences
from mlfolio.parts.text.vectors import Vectors

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


# ---------------------------------------------------------------- every way

ENCODER = Words()
KINDS: tuple[ChunkKind, ...] = get_args(ChunkKind)
PAGES = st.lists(
    st.builds(
        Block,
        kind=st.sampled_from(["text", "item", "code", "heading"]),
        text=st.lists(SENTENCE, min_size=1, max_size=5).map(" ".join),
        level=st.integers(1, 3),
        page=st.integers(1, 3),
    ),
    max_size=8,
).map(lambda blocks: sorted(blocks, key=lambda block: block.page or 0))


def cut(
    blocks: Sequence[Block], kind: ChunkKind, size: int = 180, overlap: int = 32
) -> list[Chunk]:
    return list(cut_blocks(blocks, ENCODER, Chunking(kind, size, overlap)))


def words(blocks: Sequence[Block], *, headings: bool = False) -> list[str]:
    return [w for b in blocks if headings or b.kind != "heading" for w in b.text.split()]


def quoted(found: Sequence[Chunk]) -> list[Chunk]:
    return [chunk for chunk in found if chunk.part == 0]


def test_by_sentences_is_the_default() -> None:
    blocks = [Block("heading", "Guide", 1), Block("text", "Alpha one two. Beta one. " * 50)]

    assert list(cut_blocks(blocks, ENCODER)) == list(chunks(blocks, COUNT))
    assert all(chunk.part == 0 and not chunk.child for chunk in chunks(blocks, COUNT))


@pytest.mark.parametrize("kind", KINDS)
@given(PAGES, st.integers(8, 40), st.integers(0, 10))
def test_every_way_says_every_word(
    kind: ChunkKind, blocks: list[Block], size: int, overlap: int
) -> None:
    found = cut(blocks, kind, size, overlap)

    assert [chunk.position for chunk in quoted(found)] == list(range(len(quoted(found))))
    said = {w for chunk in found for w in chunk.text.split()}
    searched = {w for chunk in found for w in (chunk.child or chunk.text).split()}
    assert set(words(blocks)) <= said == searched <= set(words(blocks, headings=True))
    for page in (1, 2, 3):
        here = [block for block in blocks if block.page == page]
        there = {w for chunk in found if chunk.page == page for w in chunk.text.split()}
        assert set(words(here)) <= there <= set(words(here, headings=True))


@pytest.mark.parametrize("kind", KINDS)
@given(PAGES, st.integers(8, 40), st.integers(0, 10))
def test_no_way_makes_a_chunk_too_long(
    kind: ChunkKind, blocks: list[Block], size: int, overlap: int
) -> None:
    found = cut(blocks, kind, size, overlap)

    at_most = {"parents": 3 * size, "headings": ENCODER.max_tokens - 2}.get(kind, size)
    searched = {"parents": size // 2}.get(kind, at_most)
    assert all(0 < n <= at_most for n in COUNT([chunk.text for chunk in found]))
    assert all(0 < n <= searched for n in COUNT([c.child or c.text for c in found]))


@pytest.mark.parametrize("kind", KINDS)
@given(PAGES, st.integers(8, 40))
def test_without_overlap_every_word_is_said_once_and_in_order(
    kind: ChunkKind, blocks: list[Block], size: int
) -> None:
    body = [block for block in blocks if kind != "fixed" or block.kind != "heading"]

    found = cut(body, kind, size, overlap=0)

    assert [w for chunk in quoted(found) for w in chunk.text.split()] == words(body)
    assert [w for c in found for w in (c.child or c.text).split()] == words(body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a b c d " * 200 + "extraordinarily " * 50, "東" * 900])
def test_every_way_cuts_what_has_no_end(kind: ChunkKind, text: str) -> None:
    class Letters(Words):
        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            return letters(texts)

    found = list(cut_blocks([Block("text", text)], Letters(), Chunking(kind, 40, 0)))

    assert max(letters([chunk.child or chunk.text for chunk in found])) <= 40
    whole = "".join(chunk.text for chunk in quoted(found))
    assert whole.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["東京東京", "a 東 b 東", "東. a. 東.", "— — 東 — 東"])
def test_a_letter_of_more_tokens_than_a_chunk_is_a_chunk(kind: ChunkKind, text: str) -> None:
    class Dear(Words):
        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            return [5 * sum(not letter.isascii() for letter in text) for text in texts]

    found = list(cut_blocks([Block("text", text)], Dear(), Chunking(kind, 4, 2)))

    whole = "".join(chunk.text for chunk in quoted(found)).replace(" ", "")
    assert [a for a in whole if a in "東京"] == [a for a in text if a in "東京"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "blocks", [[], [Block("heading", "Guide", 1)], [Block("code", "\n \n")], [Block("text", " ")]]
)
def test_where_nothing_is_said_there_is_no_chunk(kind: ChunkKind, blocks: list[Block]) -> None:
    assert cut(blocks, kind) == []


# ---------------------------------------------------------------- fixed


@given(st.integers(0, 200), st.integers(4, 40), st.integers(0, 30))
def test_fixed_chunks_have_their_size_and_share_their_overlap(
    n: int, size: int, overlap: int
) -> None:
    text = [f"w{at}" for at in range(n)]
    step = size - min(overlap, size // 2)

    found = cut([Block("text", " ".join(text))], "fixed", size, overlap)

    starts = range(0, max(n - size, 0) + step, step) if n else []
    assert [c.text.split() for c in found] == [text[at : at + size] for at in starts]


def test_fixed_chunks_go_over_headings_and_not_over_pages() -> None:
    blocks = [
        Block("heading", "Guide", 1, 1), Block("heading", "Start", 2, 1),
        Block("text", "One two. Three four.", page=1), Block("heading", "Blue pumps", 2, 1),
        Block("text", "Five six seven.", page=1), Block("heading", "Valves", 2, 1),
        Block("text", "Eight.", page=2),
    ]  # fmt: skip

    found = [(c.text, c.heading, c.page) for c in cut(blocks, "fixed", size=3, overlap=0)]
    assert found == [
        ("One two. Three", "Guide > Start", 1), ("four.\nBlue pumps", "Guide > Start", 1),
        ("Five six seven.", "Guide > Blue pumps", 1), ("Eight.", "Guide > Valves", 2),
    ]  # fmt: skip
    (first, second) = cut(blocks, "fixed", size=50, overlap=10)
    assert first.text == "One two. Three four.\nBlue pumps\nFive six seven."
    assert first.search_text == f"Guide > Start\n{first.text}"
    assert second.text == "Eight."


def test_fixed_chunks_do_not_begin_within_a_heading() -> None:
    blocks = [
        Block("text", "One two three."), Block("heading", "All about pumps", 1),
        Block("text", "Four five six."),
    ]  # fmt: skip

    found = [(c.text, c.heading) for c in cut(blocks, "fixed", size=4, overlap=1)]

    assert found == [("One two three.\nAll", ""), ("Four five six.", "All about pumps")]


def test_fixed_chunks_keep_lines_of_code() -> None:
    code = "def f(x):\n    if x:\n        return  1"

    (chunk,) = cut([Block("text", "Run this:"), Block("code", code)], "fixed")

    assert chunk.text == f"Run this:\n{code}"


# ---------------------------------------------------------------- headings


def test_a_section_is_one_chunk_while_the_encoder_reads_it() -> None:
    fits = "Alpha one two three. " * 50  # 200 tokens
    blocks = [
        Block("heading", "Guide", 1), Block("text", "Short."), Block("heading", "Pumps", 2),
        Block("text", fits), Block("heading", "Valves", 2), Block("text", fits),
        Block("item", "Beta. " * 80),
    ]  # fmt: skip

    found = cut(blocks, "headings")

    assert [chunk.heading for chunk in found[:2]] == ["Guide", "Guide > Pumps"]
    assert [chunk.text for chunk in found[:2]] == ["Short.", fits.strip()]
    alone = cut([blocks[0], *blocks[4:]], "sentences")
    assert [c.text for c in found[2:]] == [c.text for c in alone], "a longer one by sentences"
    assert len(alone) == 2


def test_room_for_the_heading_is_kept() -> None:
    heading, full = Block("heading", "Far " * 50, 1), "Alpha one two three. " * 51

    assert len(cut([heading, Block("text", full)], "headings")) == 1, "204 + 50 + 2 special ones"
    assert len(cut([heading, Block("text", f"{full}End.")], "headings")) == 2


# ---------------------------------------------------------------- semantic

PUMPS = "The pump moves cold water. Cold water cools the pump. The pump needs water. "
SOUP = "Pea soup tastes salty. Salty pea soup steams. Soup tastes salty. "


def test_a_semantic_chunk_ends_where_the_subject_changes() -> None:
    found = cut([Block("text", PUMPS), Block("text", SOUP)], "semantic")

    assert [chunk.text for chunk in found] == [PUMPS.strip(), SOUP.strip()]


def test_the_subjects_of_a_document_are_compared_with_each_other() -> None:
    """A section about one subject stays whole where another one has two."""
    blocks = [
        Block("heading", "One", 1), Block("text", PUMPS), Block("heading", "Two", 1),
        Block("text", SOUP + PUMPS), Block("heading", "Three", 1), Block("text", SOUP),
    ]  # fmt: skip

    found = [(chunk.heading, chunk.text) for chunk in cut(blocks, "semantic")]

    assert found == [
        ("One", PUMPS.strip()), ("Two", SOUP.strip()), ("Two", PUMPS.strip()),
        ("Three", SOUP.strip()),
    ]  # fmt: skip


def test_one_subject_is_cut_for_its_length_alone() -> None:
    text = "The pump moves cold water. " * 100

    found = cut([Block("text", text)], "semantic", size=50)

    assert [chunk.text.count(".") for chunk in found[:-1]] == [5] * 18, "from half the size on"
    assert found[-1].text.count(".") == 10
    assert len(cut([Block("text", text[:135])], "semantic")) == 1


def test_a_long_subject_is_cut_at_its_largest_turn() -> None:
    class Given(Words):
        """Vectors that turn by an angle given for each border."""

        def encode(self, texts: Sequence[str]) -> Vectors:
            turned = np.cumsum(angles)
            return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)

    #         before sentence 8 (the subject changes), 3 and 5 (of the first eight, four to a chunk)
    angles = [0.0, 0.1, 0.1, 0.3, 0.1, 0.2, 0.1, 0.1, 0.9]
    text = " ".join(f"Sentence {at}." for at in range(len(angles)))

    found = list(cut_blocks([Block("text", text)], Given(), Chunking("semantic", 8)))

    assert [c.text.replace("Sentence ", "") for c in found] == [
        "0. 1. 2.",
        "3. 4.",
        "5. 6. 7.",
        "8.",
    ]


def test_a_documents_sentences_are_embedded_at_once_and_with_their_neighbours() -> None:
    class Watched(Words):
        def encode(self, texts: Sequence[str]) -> Vectors:
            seen.append(list(texts))
            return super().encode(texts)

    seen: list[list[str]] = []
    blocks = [
        Block("text", "One. Two. Three."), Block("heading", "Guide", 1), Block("text", "Four."),
    ]  # fmt: skip
    list(cut_blocks(blocks, Watched(), Chunking("semantic")))

    assert seen == [["One. Two.", "One. Two. Three.", "Two. Three.", "Four."]]


def test_too_many_sentences_are_not_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "MAX_SENTENCES", 10)

    assert cut([Block("text", "One. " * 10)], "semantic")
    with pytest.raises(UnreadableError, match="over 10 sentences"):
        cut([Block("text", "One. " * 11)], "semantic")


# ---------------------------------------------------------------- parents


def test_children_are_searched_and_parents_quoted() -> None:
    text = [f"Alpha {at} two." for at in range(12)]
    blocks = [Block("heading", "Guide", 1), Block("text", " ".join(text))]

    found = cut(blocks, "parents", size=9, overlap=3)  # 9 sentences in a parent, 1 in a child

    assert [(c.position, c.part) for c in found] == [
        *((0, part) for part in range(9)), *((1, part) for part in range(4)),
    ]  # fmt: skip
    assert {chunk.text for chunk in found[:9]} == {" ".join(text[:9])}
    assert {chunk.text for chunk in found[9:]} == {" ".join(text[8:])}, "parents share a sentence"
    assert [chunk.child for chunk in found] == [*text[:9], *text[8:]]
    assert found[1].search_text == "Guide\nAlpha 1 two."


def test_a_short_section_is_its_own_child() -> None:
    (chunk,) = cut([Block("text", "Alpha one two.")], "parents")

    assert (chunk.text, chunk.child, chunk.part) == ("Alpha one two.", "Alpha one two.", 0)


@given(PAGES, st.integers(8, 40), st.integers(0, 10))
def test_every_child_stands_in_its_parent(blocks: list[Block], size: int, overlap: int) -> None:
    for chunk in cut(blocks, "parents", size, overlap):
        assert " ".join(chunk.child.split()) in " ".join(chunk.text.split())
