"""The house: imports run downwards, systems do not know each other, import loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlfolio

PACKAGE = Path(mlfolio.__file__).parent
LEVELS = {
    "core": 0,
    "data": 1, "track": 1, "report": 1,
    "parts": 2,
    "systems": 3,
    "lifecycle": 4, "bulk": 4, "scaffold": 4,
    "serve": 5, "app": 5, "monitor": 5,
    "cli": 6,
}  # fmt: skip
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in LEVELS
)


def _imports(path: Path) -> set[str]:
    """Every module of ours that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("mlfolio.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_run_downwards(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for name in _imports(path):
        other = name.split(".")[1:]
        if other[0] not in LEVELS:
            continue
        assert LEVELS[other[0]] <= LEVELS[parts[0]], f"{'.'.join(parts)} imports {name}"
        if parts[0] == other[0] == "systems" and len(other) > 1:
            assert other[1] == parts[1], f"{'.'.join(parts)} knows another system: {name}"


@pytest.mark.parametrize("command", ["import mlfolio", "import mlfolio.cli"])
def test_import_loads_nothing_heavy(command: str) -> None:
    heavy = ["torch", "mlflow", "sklearn", "pandas", "matplotlib", "transformers"]
    program = f"{command}; import sys; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_help_is_light() -> None:
    """By what it imports: seconds are another machine's."""
    heavy = ["torch", "mlflow", "sklearn", "numpy", "pandas", "matplotlib"]
    program = (
        "import sys; from mlfolio.cli import main; sys.argv = ['mlfolio', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_cards_need_no_heavy_library() -> None:
    program = (
        "from mlfolio.core.catalog import catalog, get_card; import sys;"
        "[get_card(name) for name in catalog()];"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'lancedb') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_pickle_and_no_eval(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            if isinstance(node, ast.ImportFrom) and names[:-1] == ["parallel_config"]:
                continue  # joblib's choice of where searches are done, none of its files
            assert not {"pickle", "joblib", "dill", "cloudpickle", "shelve"} & set(names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}
