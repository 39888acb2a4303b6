"""Reranking: whose order counts, and cross-encoders that are read, trained, stored and damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mlfolio.core.errors import FileError, UserError
from mlfolio.core.run import Run
from mlfolio.parts.retrieval.cross_encoder import CrossEncoder, get_cross_encoder
from mlfolio.parts.retrieval.cross_training import (
    Example,
    fit_cross_encoder,
    mean_reciprocal_rank,
)
from mlfolio.parts.retrieval.index import Passage
from mlfolio.parts.retrieval.ranking import Hit
from mlfolio.parts.retrieval.rerank import Scores, rerank
from mlfolio.parts.text.embed import BUNDLED, find_encoder
from mlfolio.parts.torch import device
from mlfolio.parts.torch.training import Recipe

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXTS = ["The zebra sleeps.", "", "A yak carries salt over the pass. " * 60, "東京", "Pea soup"]


class Lengths:
    """Likes long texts."""

    def score(self, question: str, texts: Sequence[str]) -> Scores:
        self.read = [question, *texts]
        return np.array([len(text) for text in texts], dtype=np.float32)


def hits(*scores: float) -> list[Hit]:
    return [
        Hit(Passage(f"{n}.txt", 0, None, "Guide" * n, "x" * 10**n), score, 0.3, 1.0)
        for n, score in enumerate(scores)
    ]


def test_a_reranker_has_the_last_word_or_a_share_of_it() -> None:
    found = hits(0.9, 0.8, 0.5)

    def order(weight: float, keep: int = 3) -> list[str]:
        best = rerank(Lengths(), "?", found, keep, weight)
        assert [hit.score for hit in best] == sorted((hit.score for hit in best), reverse=True)
        return [hit.passage.document for hit in best]

    assert order(1.0) == ["2.txt", "1.txt", "0.txt"]
    assert order(1.0, keep=2) == ["2.txt", "1.txt"]
    assert order(0.0) == ["0.txt", "1.txt", "2.txt"]
    assert order(0.4) == ["0.txt", "1.txt", "2.txt"]
    assert order(0.6)[0] == "2.txt"


def test_scores_are_the_mean_of_both_stretched() -> None:
    best = rerank(Lengths(), "?", hits(0.9, 0.8, 0.5), 3, 0.25)
    stretched = {"0.txt": 0.75, "1.txt": 0.75 * 0.75 + 0.25 * 15 / 110, "2.txt": 0.25}
    assert {hit.passage.document: hit.score for hit in best} == pytest.approx(stretched)
    assert {hit.cosine for hit in best} == {0.3}, "the rest of a hit stays"


def test_headings_are_read_and_ties_keep_their_order() -> None:
    reader, equal = Lengths(), hits(0.5, 0.5)
    rerank(reader, "Why?", equal, 2)
    assert reader.read == ["Why?", "x", "Guide\n" + "x" * 10]
    same = [equal[1]] * 2 + [equal[1]]
    assert rerank(reader, "?", same, 2) == [Hit(equal[1].passage, 1.0, 0.3, 1.0)] * 2
    assert rerank(reader, "?", [], 5) == []


def made(folder: Path, kind: str, **more: Any) -> Path:
    """A folder as the hub has them: a small net, untrained, with the pieces of the bundled one."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(**SIZES, intermediate_size=32, **more)
    name = f"{kind}ForSequenceClassification" if "num_labels" in more else f"{kind}Model"
    torch.manual_seed(0)
    getattr(transformers, name)(config).save_pretrained(folder)
    shutil.copy(find_encoder(BUNDLED) / "tokenizer.json", folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("bert"), "Bert", initializer_range=0.2)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("scorer"), "Bert", num_labels=1, initializer_range=0.5)


def test_scores_are_those_of_the_transformers_library(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification, BertTokenizerFast

    tokenizer = BertTokenizerFast(tokenizer_file=str(stored / "tokenizer.json"))
    net = AutoModelForSequenceClassification.from_pretrained(stored).eval()
    question = "What does the yak carry?"
    batch = tokenizer(
        [question] * len(TEXTS), TEXTS, truncation="only_second", max_length=512, padding=True,
        return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        wanted = net(**batch).logits.squeeze(1).numpy()

    encoder = get_cross_encoder(str(stored))

    np.testing.assert_allclose(encoder.score(question, TEXTS), wanted, atol=0.1)  # bf16 perhaps
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: False)
    np.testing.assert_allclose(encoder.score(question, TEXTS), wanted, atol=1e-5)


def test_alone_and_among_many(stored: Path) -> None:
    encoder = CrossEncoder.load(stored)
    many = [f"{text} {n}" for n in range(40) for text in TEXTS]
    together = encoder.score("a yak?", many)
    for row in (0, 7, 152):
        assert encoder.score("a yak?", [many[row]])[0] == pytest.approx(together[row], abs=0.02)
    assert encoder.score("a yak?", []).shape == (0,)


def test_the_passage_is_cut_and_the_question_is_not(stored: Path) -> None:
    encoder = CrossEncoder.load(stored)
    question = "zebra " * 300
    (pair,) = encoder.pairs(question, ["yak " * 500])
    assert (len(pair), pair.tokens.count("zebra"), pair.tokens.count("ya")) == (512, 300, 105)
    (pair,) = encoder.pairs("zebra " * 9000, ["yak " * 500])
    assert (len(pair), pair.tokens.count("zebra")) == (512, 384), "something of each text is read"
    assert np.isfinite(encoder.score("zebra " * 9000, TEXTS)).all()


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Roberta", {"type_vocab_size": 1, "max_position_embeddings": 66, "pad_token_id": 1}),
        ("Electra", {"embedding_size": 16, "max_position_embeddings": 64}),
    ],
)
def test_other_kinds_of_transformers(tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
    encoder = CrossEncoder.load(made(tmp_path, kind, vocab_size=30522, num_labels=1, **more))
    assert encoder.pairs.longest == 64
    assert np.isfinite(encoder.score("What does the yak carry?", TEXTS)).all()


ANIMALS = ("zebra", "yak", "walrus", "newt", "ibis", "gnu", "lynx", "moose")


def examples() -> list[Example]:
    """A text is right if it says where an animal is."""
    return [
        Example(f"Where is the {animal}?", (f"The {animal} stands in the reed.",),
                tuple(f"The {other} is a fine animal." for other in ANIMALS if other != animal))
        for animal in ANIMALS
    ]  # fmt: skip


def fitted(bert: Path, folder: Path, recipe: Recipe, **how: Any) -> CrossEncoder:
    folder.mkdir(exist_ok=True)
    run = Run("documents", folder, seed=1)
    return fit_cross_encoder(examples(), recipe, run, base=str(bert), **how)


def test_it_learns_begins_at_nothing_and_can_be_stored(bert: Path, tmp_path: Path) -> None:
    blank = fitted(bert, tmp_path / "blank", Recipe(1, 0.0))
    assert blank.score("Where is the yak?", TEXTS).tolist() == [0.0] * len(TEXTS)
    assert mean_reciprocal_rank(blank, examples()) == 1 / 8, "equal scores are no credit"

    encoder = fitted(bert, tmp_path / "run", Recipe(15, 3e-3), wrong=3)

    assert mean_reciprocal_rank(encoder, examples()) > 0.9
    encoder.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {
        ".json", ".safetensors",
    }  # fmt: skip
    texts = [example.right[0] for example in examples()]
    again = CrossEncoder.load(tmp_path).score("Where is the yak?", texts)
    np.testing.assert_array_equal(again, encoder.score("Where is the yak?", texts))
    more = fit_cross_encoder(
        examples(), Recipe(1, 0.0), Run("documents", tmp_path / "blank"), base=str(tmp_path)
    )
    np.testing.assert_array_equal(more.score("Where is the yak?", texts), again)


class Killed(Exception):  # noqa: N818 - no error: somebody pulled the plug
    pass


def test_a_killed_training_goes_on_to_the_same_bits(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(4, 1e-3, patience=4)
    whole = fitted(bert, tmp_path / "whole", recipe, held_out=examples()[:3])
    log = Run.log

    def die(run: Run, step: int, **metrics: float) -> None:
        log(run, step, **metrics)
        if step == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", die)
        with pytest.raises(Killed):
            fitted(bert, tmp_path / "killed", recipe, held_out=examples()[:3])

    resumed = fitted(bert, tmp_path / "killed", recipe, held_out=examples()[:3])

    lines = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3, 4], "it did go on"
    assert "cross-encoder score" in json.loads(lines[0])
    for name, weights in whole.net.state_dict().items():
        assert torch.equal(weights, resumed.net.state_dict()[name]), name


def test_what_cannot_be_learned_from(bert: Path, tmp_path: Path) -> None:
    half = [Example("?", ("right",), ()), Example("?", (), ("wrong",))]
    with pytest.raises(UserError, match="right and wrong texts"):
        fit_cross_encoder(half, Recipe(1, 0.1), Run("documents", tmp_path), base=str(bert))


def test_what_is_no_cross_encoder(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"it lacks .*classifier"):
        get_cross_encoder(str(bert))
    with pytest.raises(FileError, match="no cross-encoder 'nobody/nothing'"):
        get_cross_encoder("nobody/nothing")
    with pytest.raises(FileError, match="can be used"):
        get_cross_encoder(str(tmp_path))
    three = made(tmp_path, "Bert", num_labels=3)
    with pytest.raises(FileError, match="can be used"):
        get_cross_encoder(str(three))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_files_are_refused(stored: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    content = (stored / file).read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"[]", b"\xff" * 100):
        (tmp_path / file).write_bytes(damaged)
        with pytest.raises(FileError):
            CrossEncoder.load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(FileError):
        CrossEncoder.load(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_size": 18}, {"num_hidden_layers": 1}, {"num_hidden_layers": 3},
        {"vocab_size": 9}, {"num_attention_heads": 5}, {"max_position_embeddings": 31},
        {"model_type": "crystal ball"}, {"hidden_act": "nonsense"},
    ],
    ids=str,
)  # fmt: skip
def test_a_tampered_configuration_is_refused(stored: Path, tmp_path: Path, values: Any) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    config = json.loads((stored / "config.json").read_text("utf-8")) | values
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(FileError):
        CrossEncoder.load(tmp_path)


def test_tampered_weights_are_refused(stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    weights = load_file(stored / "model.safetensors")
    changes: list[dict[str, Any]] = [
        {"classifier.bias": torch.tensor([torch.nan])}, {"classifier.bias": None},
        {"classifier.weight": torch.zeros(2, 16)},
    ]  # fmt: skip
    for change in changes:
        left = {name: each for name, each in (weights | change).items() if each is not None}
        save_file(left, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(FileError):
            CrossEncoder.load(tmp_path)
