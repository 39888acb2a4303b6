"""Fine-tuning an encoder: it learns what answers what, and is stored and used like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlfolio.core.errors import FileError, UserError
from mlfolio.core.run import Run
from mlfolio.parts.retrieval.cross_training import Example
from mlfolio.parts.retrieval.encoder_training import fit_encoder
from mlfolio.parts.text.embed import Encoder, get_encoder
from mlfolio.parts.torch.training import Recipe
from tests.small_bert import small_bert

THINGS = {"yak": "salt", "goat": "milk", "heron": "reeds", "mole": "tunnels", "bee": "wax",
          "otter": "fish", "camel": "sand", "lynx": "snow"}  # fmt: skip
SAID = {name: f"One finds {what} with it." for name, what in THINGS.items()}
EXAMPLES = [
    Example(f"Tell of the {name}.", (SAID[name],),
            tuple(text for other, text in SAID.items() if other != name))
    for name in THINGS
]  # fmt: skip


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bert(tmp_path_factory.mktemp("bert"), width=32)


def right(encoder: Encoder) -> float:
    """Share of the things whose text is the nearest to their question."""
    asked = encoder.encode([example.question for example in EXAMPLES])
    texts = encoder.encode(list(SAID.values()))
    return float(np.mean((asked @ texts.T).argmax(axis=1) == np.arange(len(THINGS))))


@pytest.mark.slow
def test_it_learns_what_answers_what(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert right(get_encoder(str(bert))) < 0.5

    encoder = fit_encoder(
        EXAMPLES, Recipe(80, 1e-3), Run("documents", tmp_path / "run"), str(bert), tmp_path / "new"
    )

    assert right(encoder) > 0.9
    again = get_encoder(str(tmp_path / "new"))
    vectors = encoder.encode(list(SAID.values()))
    np.testing.assert_array_equal(again.encode(list(SAID.values())), vectors)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.recipe() != get_encoder(str(bert)).recipe()


def test_a_text_that_answers_two_questions_is_wrong_for_neither(bert: Path, tmp_path: Path) -> None:
    shared = "They have four legs."
    both = [Example(f"Tell of the {name}.", (shared, SAID[name]), (SAID["bee"],))
            for name in ("yak", "goat")]  # fmt: skip
    (tmp_path / "run").mkdir()
    run = Run("documents", tmp_path / "run")

    encoder = fit_encoder(both, Recipe(30, 1e-3), run, str(bert), tmp_path / "new")

    asked = encoder.encode([example.question for example in both])
    texts = encoder.encode([shared, SAID["bee"]])
    assert (asked @ texts[0] > asked @ texts[1]).all()


def test_what_cannot_be_learned_from(bert: Path, tmp_path: Path) -> None:
    half = [Example("?", ("right",), ()), Example("?", (), ("wrong",))]
    run = Run("documents", tmp_path)
    with pytest.raises(UserError, match="right and wrong texts"):
        fit_encoder(half, Recipe(1, 0.1), run, str(bert), tmp_path / "new")
    with pytest.raises(FileError, match="no encoder 'nobody/nothing'"):
        fit_encoder(EXAMPLES, Recipe(1, 0.1), run, "nobody/nothing", tmp_path / "new")
    assert not (tmp_path / "new").exists()
