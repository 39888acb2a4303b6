"""Rankings: fusion by scores and by ranks, variety, and what tells how good they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlfolio.parts.retrieval.extract import CONFIDENCE, Signals
from mlfolio.parts.retrieval.index import Passage
from mlfolio.parts.retrieval.metrics import hit, recall, reciprocal_rank
from mlfolio.parts.retrieval.ranking import Candidates, Hit, Ranking, varied
from mlfolio.parts.retrieval.search import best_hits, find, first_hits
from mlfolio.parts.retrieval.stores.lance import LanceIndex
from mlfolio.parts.retrieval.sync import Document, drop, sync

from .retrieval_tools import Words

ENCODER = Words()


def indexed(folder: Path, **texts: str) -> LanceIndex:
    index = LanceIndex(folder, ENCODER.dimension)
    sync(index, [Document.of_text(name, "", text) for name, text in texts.items()], ENCODER)
    return index


def candidates(bm25: list[float], cosine: list[float]) -> Candidates:
    ids = [f"{letter}#0" for letter in "abcdefgh"[: len(bm25)]]
    return Candidates(
        ids, list(range(len(ids))), np.array(bm25, np.float32), np.array(cosine, np.float32),
        np.zeros(2, np.float32),
    )  # fmt: skip


def test_reciprocal_ranks_are_those_of_the_paper() -> None:
    found = candidates([4.0, 0.0, 2.0, 0.0], [0.1, 0.9, 0.5, 0.4])

    fused = found.fused(Ranking(0.5, "ranks"))

    wanted = [1 / 61 + 1 / 64, 1 / 61, 1 / 62 + 1 / 62, 1 / 63]
    np.testing.assert_allclose(fused, np.array(wanted) * 61 / 2, rtol=1e-6)
    assert found.documents(Ranking(0.5, "ranks")) == ["c", "a", "b", "d"]


def test_documents_are_taken_away_from_every_search() -> None:
    inner = candidates([1.0, 3.0], [0.5, 0.2])
    found = replace(candidates([4.0, 0.0, 2.0], [0.1, 0.9, 0.5]), searches=(inner,))

    left = found.without({"a"})

    assert left.ids == ["b#0", "c#0"]
    assert left.rows == [1, 2]
    assert left.bm25.tolist() == [0.0, 2.0]
    assert [search.ids for search in left.searches] == [["b#0"]]
    assert left.documents() == ["b"], "c is in no search"


def test_confidence_follows_an_encoder_whose_cosines_lie_higher() -> None:
    rng = np.random.default_rng(0)
    there = [Signals(*values) for values in rng.normal((0.85, 0.85, 0.7), 0.04, (100, 3))]
    missing = [Signals(*values) for values in rng.normal((0.70, 0.70, 0.4), 0.04, (100, 3))]
    before = CONFIDENCE
    assert np.mean([before(each) > 0.5 for each in missing]) > 0.9, "all looks like an answer"

    after = before.scaled(there, missing)

    assert np.mean([after(each) for each in there]) > 0.9
    assert np.mean([after(each) for each in missing]) < 0.1
    assert np.mean([after(each) >= after.threshold for each in there]) == pytest.approx(
        0.9, abs=0.02
    )
    order = [np.argsort([which(each) for each in there]).tolist() for which in (before, after)]
    assert order[0] == order[1], "it is stretched and shifted, no more"
    assert before.scaled(missing, there) == before, "what tells nothing apart is not learned from"


def test_the_weight_is_that_of_either_sides_ranks() -> None:
    found = candidates([4.0, 0.0, 2.0], [0.1, 0.9, 0.5])

    assert found.documents(Ranking(0.0, "ranks")) == ["a", "c"], "BM25 alone needs the words"
    assert found.documents(Ranking(1.0, "ranks")) == ["b", "c", "a"]
    assert found.fused(Ranking(0.3, "ranks")).tolist() == pytest.approx(
        [0.7 + 0.3 * 61 / 63, 0.3, 0.7 * 61 / 62 + 0.3 * 61 / 62]
    )


def test_equal_scores_share_a_rank() -> None:
    fused = candidates([1.0, 3.0, 3.0, 3.0], [0.5] * 4).fused(Ranking(0.5, "ranks"))
    assert fused.tolist() == pytest.approx([0.5 + 0.5 * 61 / 64, 1, 1, 1])


@pytest.mark.parametrize("fusion", ["scores", "ranks"])
def test_nothing_found_has_no_order(fusion: str) -> None:
    assert candidates([], []).order(Ranking(fusion=fusion)) == []  # type: ignore[arg-type]


def test_what_is_found_already_is_not_chosen_again(tmp_path: Path) -> None:
    texts = {"a": "The zebra sleeps.", "b": "The zebra sleeps.", "c": "It sleeps in the reed."}
    index = indexed(tmp_path, **texts)
    found = find(index, ENCODER, "zebra sleeps")

    def names(ranking: Ranking) -> list[str]:
        return [one.passage.document for one in best_hits(index, found, 2, ranking)]

    assert names(Ranking()) == ["a", "b"]
    assert names(Ranking(diversity=0.5)) == ["a", "c"]
    assert best_hits(index, found, 3) == first_hits(index, found, 3)


def test_passages_of_one_document_are_few(tmp_path: Path) -> None:
    long = " ".join(f"The zebra number {n} sleeps." for n in range(120))
    index = indexed(tmp_path, long=long, short="A zebra.", other="The yak runs.")
    found = find(index, ENCODER, "zebra sleeps")
    assert len(found.ids) == 6

    def names(most: int | None) -> list[str]:
        ranking = Ranking(per_document=most)
        return [one.passage.document for one in best_hits(index, found, 4, ranking)]

    assert names(None).count("long") == 4
    assert sorted(names(2)) == ["long", "long", "other", "short"]
    assert sorted(names(1)) == ["long", "other", "short"], "there are no more documents"


def test_vectors_of_rows_that_moved_are_the_right_ones(tmp_path: Path) -> None:
    """Between finding and fetching, another process may write the whole table anew."""
    texts = {f"{n:02}": f"The zebra number {n}." for n in range(20)}
    index = indexed(tmp_path, **texts)
    found = find(index, ENCODER, "zebra number 7")
    for n in range(6):
        drop(LanceIndex(tmp_path, ENCODER.dimension), f"{n:02}")

    hits = first_hits(index, found, 20, Ranking(diversity=0.1))

    assert len(hits) == 14
    for one in hits:
        expected = ENCODER.encode_query(one.passage.text)
        assert one.vector is not None
        np.testing.assert_allclose(one.vector, expected, atol=1e-6)


def hits_of(draw: np.random.Generator, count: int) -> list[Hit]:
    """Hits of four documents in the order of their scores, with random vectors."""
    vectors = draw.standard_normal((count, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(draw.random(count))[::-1]
    return [
        Hit(Passage(f"{n % 4}", n, None, "", ""), float(score), 0.0, 0.0, vector)
        for n, (score, vector) in enumerate(zip(scores, vectors, strict=True))
    ]


@pytest.mark.parametrize("diversity", [0.0, 0.2, 0.7, 1.0])
@pytest.mark.parametrize("most", [None, 1, 2])
def test_variety_is_maximal_marginal_relevance(diversity: float, most: int | None) -> None:
    draw = np.random.default_rng(0)
    for count in (0, 1, 5, 30):
        hits = hits_of(draw, count)
        wanted: list[Hit] = []
        for _ in range(min(count, 6)):
            open_ = [
                one for one in hits
                if one not in wanted
                and sum(other.passage.document == one.passage.document for other in wanted)
                < (most or 99)
            ]  # fmt: skip
            if open_:
                wanted.append(max(open_, key=lambda one: marginal(one, wanted, diversity)))

        assert varied(hits, 6, Ranking(diversity=diversity, per_document=most)) == wanted


def marginal(one: Hit, chosen: list[Hit], diversity: float) -> float:
    """What Carbonell and Goldstein choose by; what is unlike all is worth no more than alone."""
    nearest = max([0.0, *(float(one.vector @ other.vector) for other in chosen)])  # type: ignore[operator]
    return (1 - diversity) * one.score - diversity * nearest


def test_variety_needs_vectors() -> None:
    bare = [Hit(Passage("a", n, None, "", ""), 0.5, 0.5, 0.0) for n in range(3)]
    with pytest.raises(ValueError, match="needs the vectors"):
        varied(bare, 2, Ranking(diversity=0.5))
    assert varied(bare, 2, Ranking(per_document=1)) == bare[:1]


@pytest.mark.parametrize(
    ("ranking", "k", "expected"),
    [  # of the relevant a, b and c: recall, hit, reciprocal rank
        ("abc", 3, (1, 1, 1)),
        ("abc", 1, (1 / 3, 1, 1)),
        ("xay", 3, (1 / 3, 1, 1 / 2)),
        ("xyb", 2, (0, 0, 0)),
        ("xyb", 3, (1 / 3, 1, 1 / 3)),
        ("xcyb", 10, (2 / 3, 1, 1 / 2)),
        ("xyz", 10, (0, 0, 0)),
        ("", 10, (0, 0, 0)),
    ],
)
def test_metrics_by_hand(ranking: str, k: int, expected: tuple[float, float, float]) -> None:
    relevant = {"a": 1.0, "b": 2.0, "c": 1.0}
    found = [metric(list(ranking), relevant, k) for metric in (recall, hit, reciprocal_rank)]
    assert found == pytest.approx(expected)


def test_metrics_are_what_trec_eval_says() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    draw = np.random.default_rng(0)
    names = [str(n) for n in range(30)]
    for _ in range(30):
        relevant = {str(n): 1.0 for n in draw.choice(30, int(draw.integers(1, 5)), replace=False)}
        ranking = [str(n) for n in draw.permutation(names)[: int(draw.integers(1, 20))]]
        judge = pytrec_eval.RelevanceEvaluator(
            {"q": dict.fromkeys(relevant, 1)}, {"recall.5", "success.5", "recip_rank"}
        )
        said = judge.evaluate({"q": {n: float(99 - at) for at, n in enumerate(ranking)}})["q"]
        assert recall(ranking, relevant, 5) == pytest.approx(said["recall_5"])
        assert hit(ranking, relevant, 5) == said["success_5"]
        assert reciprocal_rank(ranking, relevant, 99) == pytest.approx(said["recip_rank"])
