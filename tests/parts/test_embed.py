"""The bundled encoder gives the vectors that its makers' code gives, whole and in batches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mlfolio.core.errors import FileError
from mlfolio.parts.text.embed import BUNDLED, find_encoder, get_encoder

pytestmark = pytest.mark.slow

TEXTS = ["A heron stands in the reed.", "Pea soup", "word " * 600, "東京の天気", "Pea soup", ""]


def test_vectors_are_those_of_mean_pooling() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = find_encoder(BUNDLED)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        states = network(**batch).last_hidden_state
    weights = batch["attention_mask"].unsqueeze(-1)
    pooled = (states * weights).sum(1) / weights.sum(1)
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()

    found = get_encoder().encode(TEXTS)

    assert found.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(axis=1).min() > 0.999  # bf16 against fp32


def test_one_and_many_agree() -> None:
    encoder = get_encoder()
    many = [f"{text} {n}" for n in range(40) for text in TEXTS]

    together = encoder.encode(many)

    for row in (0, 7, 150):
        assert together[row] @ encoder.encode_query(many[row]) > 0.999
    np.testing.assert_array_equal(together, encoder.encode(many))
    assert encoder.encode([]).shape == (0, 384)


def test_tokens_are_counted_without_limit() -> None:
    assert get_encoder().count_tokens(["word " * 600, "Pea soup", ""]) == [600, 2, 0]


def test_any_folder_will_do(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(find_encoder(BUNDLED), folder)
    first = get_encoder(str(folder)).encode_query("Pea soup")
    np.testing.assert_array_equal(first, get_encoder().encode_query("Pea soup"))

    other = tmp_path / "other"
    shutil.copytree(folder, other)
    pooling = other / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert get_encoder(str(other)).encode_query("Pea soup") @ first < 0.99


def test_other_weights_in_the_same_folder_are_another_recipe(tmp_path: Path) -> None:
    shutil.copytree(find_encoder(BUNDLED), tmp_path, dirs_exist_ok=True)
    encoder = get_encoder(str(tmp_path))
    before = encoder.recipe()
    assert before == encoder.recipe()

    with (tmp_path / "model.safetensors").open("ab") as weights:
        weights.write(b"x")

    assert encoder.recipe() != before


@pytest.mark.parametrize("fetch", [False, True])
def test_only_who_asks_downloads(monkeypatch: pytest.MonkeyPatch, fetch: bool) -> None:
    asked = []

    def snapshot_download(name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        asked.append((name, local_files_only))
        raise OSError("not here")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(FileError, match="from the hub" if fetch else "in the cache of the hub"):
        get_encoder("nobody/nothing", fetch=fetch)

    assert asked == [("nobody/nothing", not fetch)]


def test_encoders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no encoder 'nobody/nothing'"):
        get_encoder("nobody/nothing")
    with pytest.raises(FileError, match="holds no encoder"):
        get_encoder(str(tmp_path))
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(find_encoder(BUNDLED) / name, tmp_path)
    with pytest.raises(FileError, match="holds no weights"):
        get_encoder(str(tmp_path)).encode_query("x")
