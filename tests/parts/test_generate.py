"""What a language model says, read as it comes and as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfolio.parts.retrieval.generate import NOTHING, as_it_comes, finish

PARTS = st.sampled_from(
    [*"a \n`[]12,-.", "[1]", "[9]", " [4]", "[1, 9]", "```", "xs[0]", f"{NOTHING} ", "not in the "]
)


def streamed(pieces: Sequence[str], n: int = 4) -> tuple[list[str], str]:
    """What is shown of some pieces one by one, and what was said in all."""
    shown, coming = [], as_it_comes(pieces, n)
    while True:
        try:
            shown.append(next(coming))
        except StopIteration as end:
            return shown, end.value


@given(st.lists(PARTS, max_size=30))
def test_what_is_shown_is_what_is_answered(pieces: list[str]) -> None:
    shown, said = streamed(pieces)

    assert said == "".join(pieces)
    assert "".join(shown) == finish(said, 4)[0]
    assert "".join(streamed(list(said))[0]) == "".join(shown), "however it is cut"


def test_it_is_shown_as_soon_as_it_can_be() -> None:
    said = ["The tithe", " [", "4", "]", " and more", " [9]", " and", " [1].", " Call `xs", "[9]`."]

    shown, _ = streamed(said)

    assert shown == ["The tithe", " [1]", " and more", " and", " [2].", " Call", " `xs[9]`."]
    assert streamed(["NOT", " in", " the house", " [1]."])[0] == ["NOT in the house", " [1]."]


@pytest.mark.parametrize(
    "said",
    [
        NOTHING,
        f"{NOTHING}.",
        "Not in the documents.",
        f"**{NOTHING}**",
        f"{NOTHING} [1]",
        f"{NOTHING} [99].",
        f"{NOTHING}. The passages only mention parking permits, in 2 places.",
        f"{NOTHING}\n\nThey only mention [99] permits.",
    ],
)
def test_that_there_is_no_answer_may_be_explained(said: str) -> None:
    assert finish(said, 5) == ("", [], [])
    assert streamed(list(said), 5)[0] == []


@pytest.mark.parametrize(
    "said",
    [
        "Nine bars [1]. Its colour code is not in the documents.",
        "Not in the documents of May; in June it is nine [1].",
        "Not in the documentation, but on the sign [1].",
        "Not in the harbour [1].",
        "900 [1].",
    ],
)
def test_an_answer_may_say_what_is_missing(said: str) -> None:
    assert finish(said, 5)[0] == said
    assert "".join(streamed(list(said), 5)[0]) == said
