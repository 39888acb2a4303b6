"""Databases that an earlier version made are brought up to date, and nothing in them is lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from mlflow.store.db import utils
from sqlalchemy import create_engine

import mlfolio
from tests.conftest import Cli, SampleOf


def revise(runs: Path, revision: str) -> None:
    """Takes the registry back to what an earlier MLflow knew."""
    engine = create_engine(f"sqlite:///{runs / 'mlflow.db'}")
    config: Config = utils._get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as opened:
        return str(opened.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def refusal() -> str:
    """What a new process says of a registry that it cannot write."""
    program = (
        "from mlfolio.core.errors import MlfolioError; from mlfolio.track import connection\n"
        "try:\n    with connection.open_client() as client: client.search_experiments()\n"
        "except MlfolioError as error: print(error.fix)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_a_registry_of_an_earlier_mlflow_is_migrated(
    home: Path, cli: Cli, sample_of: SampleOf
) -> None:
    trained = Path(shutil.copytree(sample_of("iris").runs, home / "runs", dirs_exist_ok=True))
    newest = revision(trained / "mlflow.db")
    revise(trained, "-1")
    before = revision(trained / "mlflow.db")

    done = cli("migrate")

    assert done.code == 0, done.err
    assert revision(trained / "mlflow.db") == newest
    assert revision(trained / f"mlflow-{before}.db") == before
    assert mlfolio.load("iris").version == 1
    assert "up to date now" in done.out
    assert not list(trained.glob(".mlflow.db.*"))


def test_it_may_run_again_and_where_nothing_is(home: Path, cli: Cli) -> None:
    for _ in range(2):
        done = cli("migrate")
        assert done.code == 0, done.err
        assert "the registry is up to date\n" in done.out
    with closing(sqlite3.connect(home / "runs" / "predictions.db")) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
    assert {"predictions", "feedback", "verdicts", "conversations"} <= tables


def test_a_log_from_before_tenants_gets_their_column(home: Path, cli: Cli) -> None:
    cli("migrate")
    with closing(sqlite3.connect(home / "runs" / "predictions.db")) as opened:
        opened.execute("ALTER TABLE predictions DROP COLUMN tenant")

    assert cli("migrate").code == 0

    with closing(sqlite3.connect(home / "runs" / "predictions.db")) as opened:
        columns = {row[1] for row in opened.execute("PRAGMA table_info(predictions)")}
    assert "tenant" in columns


def test_a_registry_of_a_newer_mlflow_stays_as_it_is(home: Path, cli: Cli) -> None:
    with closing(sqlite3.connect(home / "runs" / "mlflow.db")) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        opened.commit()
    assert refusal() == "stop what uses it, then: mlfolio migrate"

    refused = cli("migrate")

    assert refused.code == 1
    assert "newer MLflow" in refused.err
    assert revision(home / "runs" / "mlflow.db") == "ffffffffffff"
    assert not list((home / "runs").glob("mlflow-*.db"))
