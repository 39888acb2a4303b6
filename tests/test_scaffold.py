"""A system's folder copied out is a package that works without us knowing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlfolio.core.catalog import SYSTEMS, get_system
from mlfolio.core.errors import UserError
from mlfolio.scaffold import copy_system
from tests.conftest import Cli, quick


def python(*arguments: str, cwd: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_an_ejected_system_passes_its_own_test(name: str, home: Path) -> None:
    folder = copy_system(name, home / "mine", slug=name, plugin=False)
    (test,) = folder.rglob("test_*.py")  # with their defaults some take minutes
    run, knobs = "register=False)", f"register=False, **{quick(get_system(name))})"
    text = test.read_text("utf-8")
    assert run in text
    test.write_text(text.replace(run, knobs), "utf-8")

    done = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder), cwd=home, path=folder
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_an_ejected_system_runs_as_a_module(home: Path) -> None:
    folder = copy_system("iris", home / "mine", slug="iris", plugin=False)
    own = folder / "mine" / "card.py"
    own.write_text(
        own.read_text("utf-8").replace("Iris flower classification", "My flowers"), "utf-8"
    )

    done = python("-m", "mine", "run", "repeats=1", "--json", cwd=home, path=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["system"] == "iris"
    shown = python("-m", "mine", "info", cwd=home, path=folder)
    assert "My flowers" in shown.stdout
    early = python("-m", "mine", "--debug", "info", cwd=home, path=folder)
    assert "My flowers" in early.stdout
    listed = python("-m", "mine", "list", "--json", cwd=home, path=folder)
    assert "My flowers" in {row["title"] for row in json.loads(listed.stdout)}


@pytest.mark.slow
def test_a_new_system_joins_the_catalog_once_installed(home: Path) -> None:
    copy_system("iris", home / "orchids-pkg", slug="orchids", plugin=True)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--target", str(home / "site"), str(home / "orchids-pkg")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr

    listed = python("-m", "mlfolio", "list", "--json", cwd=home, path=home / "site")
    run = python(
        "-m", "mlfolio", "run", "orchids", "repeats=1", "--json", cwd=home, path=home / "site"
    )
    flower = ["sepal_length=5", "sepal_width=3", "petal_length=1", "petal_width=0.2"]
    answer = python("-m", "mlfolio", "predict", "orchids", *flower, cwd=home, path=home / "site")

    assert "orchids" in {row["system"] for row in json.loads(listed.stdout)}
    assert json.loads(run.stdout)["system"] == "orchids", run.stderr
    assert answer.stdout.startswith("setosa")


def test_verbs(cli: Cli, home: Path) -> None:
    assert "is yours in" in cli("eject", "iris", "mine").out
    assert json.loads(cli("eject", "iris", "other", "--json").out)["system"] == "iris"
    said = cli("new", "tulips", "--from", "iris").out
    assert "edit tulips/tulips/card.py" in said
    assert "pip install -e tulips" in said
    card = (home / "tulips" / "tulips" / "card.py").read_text("utf-8")
    assert 'slug="tulips"' in card
    assert 'title="Tulips (begun as Iris flower classification)"' in card
    assert "target" not in card, "what was promised of iris is not promised of tulips"
    assert not (home / "tulips" / "tulips" / "README.md").exists()
    assert "class Tulips" in (home / "tulips" / "tulips" / "system.py").read_text("utf-8")
    assert not (home / "mine" / "mine" / "results.json").exists()


def test_nothing_is_overwritten(home: Path) -> None:
    (home / "full").mkdir()
    (home / "full" / "precious.txt").write_text("keep", "utf-8")
    with pytest.raises(UserError, match="not an empty folder"):
        copy_system("iris", home / "full", slug="iris", plugin=False)
    assert [p.name for p in (home / "full").iterdir()] == ["precious.txt"]


def test_an_empty_folder_is_filled_wherever_it_lies(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    copy_system("iris", Path(), slug="iris", plugin=False)
    assert Path("here/system.py").is_file()

    (home / "link").symlink_to(home / "there")
    copy_system("iris", home / "link", slug="iris", plugin=False)
    assert (home / "there" / "there" / "system.py").is_file()
    assert list(home.glob(".*")) == [], "nothing half-made stays"


@pytest.mark.parametrize("name", ["class", "json", "1st"])
def test_names_that_python_cannot_import_are_refused(home: Path, name: str) -> None:
    with pytest.raises(UserError):
        copy_system("iris", home / name, slug="iris", plugin=False)
