"""The loop, shown: what it deletes to make room for itself, and what it never does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "loop.py"


@pytest.fixture(scope="module")
def loop() -> ModuleType:
    """The program, without playing it."""
    spec = importlib.util.spec_from_file_location("loop", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_with_other_things_in_it_is_refused(loop: ModuleType, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work", "utf-8")
    for place in (thesis, tmp_path):
        with pytest.raises(SystemExit, match="did not make"):
            loop.main(place)
    assert thesis.read_text("utf-8") == "years of work"
    assert list(tmp_path.iterdir()) == [thesis]


def test_a_new_folder_an_empty_one_and_that_of_an_earlier_loop_are_taken(
    loop: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "new"):
        loop.make_way(tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == [loop.MARK]
        (tmp_path / name / "runs").mkdir()
