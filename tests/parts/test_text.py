"""Parts for texts: the encoder against scikit-learn's own, shares, storage, near-duplicates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from mlfolio.parts.text.duplicates import near_duplicates, skeleton
from mlfolio.parts.text.linear import Linear
from mlfolio.parts.text.tfidf import Grams, TfidfEncoder, count

TEXTS = [
    "free entry in a weekly draw, call 0900 now!", "are you home? call me", "a", "", "!!",
    "weekly draw: free entry - call 0901 now!", "ünïcode wörds 東京 🚢", "call call call me me",
]  # fmt: skip
KINDS = [("word", 1, 2), ("word", 2, 3), ("char", 1, 4), ("char", 3, 6), ("char_wb", 1, 3),
         ("char_wb", 2, 6)]  # fmt: skip
MIXED = (Grams(min_df=2), Grams(analyzer="char_wb", shortest=2, longest=5), Grams(analyzer="char"))


@pytest.mark.parametrize(("analyzer", "shortest", "longest"), KINDS)
def test_it_is_scikit_learns_tfidf(analyzer: str, shortest: int, longest: int) -> None:
    kind = Grams(analyzer=analyzer, shortest=shortest, longest=longest, min_df=2)  # type: ignore[arg-type]
    theirs = TfidfVectorizer(
        analyzer=analyzer, ngram_range=(shortest, longest), min_df=2, sublinear_tf=True,
        lowercase=False, token_pattern=kind.word if analyzer == "word" else None,
    )  # fmt: skip
    expected = theirs.fit_transform(TEXTS)
    encoder = TfidfEncoder((kind,))

    assert abs(encoder.fit_transform(TEXTS) - expected).max() < 1e-12
    assert abs(encoder.transform(TEXTS) - expected).max() < 1e-12
    assert encoder.terms_[0] == theirs.get_feature_names_out().tolist()
    grams = theirs.build_analyzer()
    for text in TEXTS:
        assert Counter(grams(text)) == Counter(term for term, _, _ in kind.occurrences(text))


def test_counting_once_learns_nothing_of_other_rows() -> None:
    train, test = np.array([0, 1, 3, 7]), np.array([2, 4, 5, 6])
    counted = count(TEXTS, MIXED)
    once = TfidfEncoder(MIXED).fit(counted[train])
    apart = TfidfEncoder(MIXED).fit([TEXTS[i] for i in train])

    assert once.terms_ == apart.terms_
    theirs = apart.transform([TEXTS[i] for i in test])
    assert abs(once.transform(counted[test]) - theirs).max() < 1e-12
    with pytest.raises(ValueError, match="counted together"):
        once.transform(count(TEXTS, MIXED))


def test_shares_add_up_to_the_score() -> None:
    encoder = TfidfEncoder(MIXED).fit(TEXTS)
    weights = np.random.default_rng(0).normal(size=encoder.n_features)
    for text in TEXTS:
        shares = encoder.shares(text, weights)
        assert [text[s.start : s.end] for s in shares] == text.split()
        assert sum(s.effect for s in shares) == pytest.approx(
            (encoder.transform([text]) @ weights)[0]
        )


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    encoder = TfidfEncoder(MIXED)
    X, y = encoder.fit_transform(TEXTS), np.array(["a", "b", "c", "a", "b", "c", "a", "b"])
    fitted = LinearSVC().fit(X, y)
    linear = Linear.of(fitted)

    encoder.save(tmp_path)
    linear.save(tmp_path)
    rows = TfidfEncoder.load(tmp_path).transform(TEXTS)
    again = Linear.load(tmp_path)

    assert abs(rows - X).max() < 1e-12
    assert np.allclose(again.scores(rows), fitted.decision_function(X))
    assert [again.classes[at] for at in again.best(rows)] == fitted.predict(X).tolist()
    assert clone(encoder).get_params() == encoder.get_params()


def test_near_duplicates_differ_in_numbers_addresses_and_signs() -> None:
    offer = "You have won {} pounds, call {} or see {} to claim your prize before {}"
    texts = [
        offer.format(900, "09061701461", "www.a.example", "Friday"),
        "see you at the harbour, I am late",
        offer.format(1500, "0871 234 567", "http://b.example/x?y=1", "Friday!!!").upper(),
        "ok", "Ok..", "no", "", "  ", "🎉🎉",
    ]  # fmt: skip
    assert skeleton(texts[0]) == skeleton(texts[2])
    assert near_duplicates(texts).tolist() == [0, 1, 0, 2, 2, 3, 4, 4, 4]
    assert near_duplicates([]).tolist() == []


def test_addresses_are_one_word_however_long_they_are() -> None:
    assert skeleton("Mail me@x.org, or see (www.x.org/a?b=1) or @you") == (
        "mail url or see url or you"
    )
    assert skeleton("a@.b @a.b a@b. a@b.c") == "a b a b a b url"
    assert skeleton("@" * 20_000) == ""  # took hours
    assert skeleton(".@" * 10_000) == "url"


def test_near_duplicates_are_found_by_similarity_and_joined_by_a_third() -> None:
    words = [f"word{chr(97 + i)}" for i in range(20)]
    texts = [" ".join(words[i : i + 16]) for i in (0, 2, 4)] + ["something else altogether here"]
    assert near_duplicates(texts).tolist() == [0, 0, 0, 1]
    assert near_duplicates(texts, similar=0.95).tolist() == [0, 1, 2, 3]


def test_groups_of_many_texts_are_the_same_in_any_order() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"{a}{b}{c}o" for a in "bdfgk" for b in "aeiu" for c in "lmnrst"])
    texts = [" ".join(rng.choice(words, 12)) for _ in range(400)]
    texts += [f"{text} again" for text in texts[:200]]
    order = rng.permutation(len(texts))
    groups = near_duplicates(texts)
    shuffled = near_duplicates([texts[i] for i in order])

    assert len(set(groups)) == len(set(zip(groups[order].tolist(), shuffled.tolist(), strict=True)))
    assert (groups[400:] == groups[:200]).all()
