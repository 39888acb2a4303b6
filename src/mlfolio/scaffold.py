"""Copies of a system's folder that are packages of their own: `mlfolio eject` and `mlfolio new`.

A system's folder imports its own files relatively and the rest of mlfolio absolutely, so it runs
wherever it lies; what is added here is packaging, a `__main__` and a test.
"""

from __future__ import annotations

import keyword
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from mlfolio.core.card import Card
from mlfolio.core.catalog import ENTRY_POINTS, catalog, get_card
from mlfolio.core.errors import UserError

FIRST_NUMBER = 26  # of systems that are not in the guide

_PYPROJECT = Template("""\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$package"
version = "0.1.0"
description = "$title"
requires-python = ">=3.11"
dependencies = ["mlfolio$extra"]
$entry_point
[tool.hatch.build.targets.wheel]
packages = ["$package"]

[tool.pytest.ini_options]
testpaths = ["tests"]
""")

_ENTRY_POINT = '\n[project.entry-points."' + ENTRY_POINTS + '"]\n{} = "{}:{}"\n'

_MAIN = Template('''\
"""`python -m $package VERB` is `mlfolio VERB $slug`, with this package's system."""

from mlfolio.cli import main
from mlfolio.core.catalog import adopt

adopt("$slug", "$package:$class_name")
main(system="$slug")
''')

_TEST = Template('''\
"""The system runs on its sample, keeps its promises, and comes back from disk the same."""

import mlfolio
from $package.system import $class_name


def test_runs_on_its_sample(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFOLIO_RUNS", str(tmp_path))

    result = mlfolio.run($class_name, data="sample", register=False)

    measured = {score.name for score in result.scores}
    promises = $class_name.card.promises
    assert {promise.metric for promise in promises if not promise.official} <= measured
    model = $class_name.model.load(result.folder / "model")
    examples = model.examples()
    assert len(model.predict(examples)) == len(examples)
''')


def copy_system(name: str, folder: Path, slug: str, plugin: bool) -> Path:
    """Copies a system into an installable package.

    Args:
        name: The system to copy.
        folder: Where the package goes; must be new or empty.
        slug: Name of the copy.
        plugin: Whether the installed copy joins the catalog under `slug`.

    Returns:
        The package's folder, with `pyproject.toml`.

    Raises:
        UserError: The name is taken or not usable, or the folder is not empty.
    """
    card = get_card(name)
    folder = folder.resolve()
    package = _package_name(slug if plugin else folder.name)
    if plugin and slug in catalog():
        raise UserError(f"there is a system called {slug!r} already", "choose another name")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", slug):
        raise UserError(
            f"{slug!r} cannot name a system",
            "small letters, digits, - and _, beginning with a letter",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not an empty folder", "name a new one")
    module, _, old_class = catalog()[name].partition(":")
    class_name = old_class if slug == name else _class_name(slug)
    words = {
        "package": package,
        "slug": slug,
        "class_name": class_name,
        "title": card.title,
        "extra": f"[{card.extra}]" if card.extra else "",
        "entry_point": _ENTRY_POINT.format(slug, package, class_name) if plugin else "",
    }
    source = _source_folder(module)
    leave = shutil.ignore_patterns("__pycache__", "results.json", *["README.md"] * plugin)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
        temporary = Path(made)
        shutil.copytree(source, temporary / package, ignore=leave)
        _rename(temporary / package, card.slug, slug, old_class, class_name)
        if plugin:
            _begin_card(temporary / package / "card.py", card, slug)
        (temporary / "pyproject.toml").write_text(_PYPROJECT.substitute(words), "utf-8")
        (temporary / package / "__main__.py").write_text(_MAIN.substitute(words), "utf-8")
        (temporary / "tests").mkdir()
        (temporary / "tests" / f"test_{package}.py").write_text(_TEST.substitute(words), "utf-8")
        for part in temporary.iterdir():  # the folder stays: somebody may be working in it
            part.rename(folder / part.name)
    return folder


def _source_folder(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{module} is not installed as a package of files")
    return Path(spec.submodule_search_locations[0])


def _rename(folder: Path, slug: str, new_slug: str, name: str, new_name: str) -> None:
    """Gives the copy its own name: the card's slug and the system's class."""
    for path in folder.glob("*.py"):
        text = path.read_text("utf-8")
        text = text.replace(f'slug="{slug}"', f'slug="{new_slug}"')
        text = re.sub(rf"\bclass {name}\b", f"class {new_name}", text)
        path.write_text(text, "utf-8")


def _begin_card(path: Path, card: Card, slug: str) -> None:
    """A card that claims nothing yet: a title of its own, and no targets.

    The copy's README, which tells what the other system measured, was left behind.
    """
    begun = f"{slug.capitalize()} (begun as {card.title})"
    text = path.read_text("utf-8").replace(f'title="{card.title}"', f'title="{begun}"')
    text = text.replace(f"number={card.number},", f"number={FIRST_NUMBER},")
    path.write_text(re.sub(r", target=[\d.]+", "", text), "utf-8")


def _package_name(name: str) -> str:
    """A name that Python can import and that is not taken."""
    package = re.sub(r"\W", "_", name.lower())
    if not package.isidentifier() or keyword.iskeyword(package):
        raise UserError(f"{name!r} cannot name a Python package", "choose letters and digits")
    if find_spec(package) is not None:
        raise UserError(f"there is a Python package {package!r} already", "choose another name")
    return package


def _class_name(slug: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[-_]", slug))
