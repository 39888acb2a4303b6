"""MLflow: on our own SQLite database beside the runs, or on the server that is named elsewhere."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from filelock import FileLock

from mlfolio.core.errors import MlfolioError
from mlfolio.core.run import runs_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI = "MLFLOW_TRACKING_URI"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # MLflow's own seven retries of two minutes each hide a server that is away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def place() -> str:
    """Where the registry lies, for people."""
    return f"the server in {URI}" if is_remote() else str(runs_folder())


def stamp() -> float:
    """A number that changes when the registry does: whoever saw it before need not ask again.

    Of a tracking server elsewhere nothing is known, so there it changes every ten seconds.
    """
    if is_remote():
        return time.time() // 10
    return database().stat().st_mtime if database().exists() else 0.0


@contextmanager
def open_client() -> Iterator[MlflowClient]:
    """MLflow, pointed at our database, with its chatter and telemetry off.

    Raises:
        MlfolioError: MLflow, its database or its server failed.
    """
    with _quiet():
        import mlflow
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        theirs = os.environ.get(URI)
        try:
            runs_folder().mkdir(parents=True, exist_ok=True)
            if not theirs:
                _make_database()
            mlflow.set_tracking_uri(theirs or f"sqlite:///{database()}")
            if not theirs:  # MLflow writes its address there, as if the user had
                os.environ.pop(URI, None)
            yield mlflow.MlflowClient()
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise MlfolioError(
                f"the registry ({place()}) cannot be used: {first_line(error)}",
                _way_out(error, theirs),
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow's chatter and telemetry off."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - now, since it sets its logger's level itself

        for name in ("mlflow", "alembic", "sqlalchemy"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield


def _way_out(error: Exception, server: str | None) -> str:
    """What to do when the registry fails."""
    if "out-of-date database schema" in str(error):
        return "stop what uses it, then: mlfolio migrate"
    if server:
        return f"is {URI} right, and the server there up?"
    return "try again; is it locked, or the disk full?"


def migrate() -> str:
    """Brings our own database to what this MLflow reads: whole, or not at all.

    MLflow's migrations cannot go on where one was killed, so they run on a copy that takes the
    database's place; the old one stays beside it. A tracking server migrates its own database.
    Nothing else may write meanwhile.

    Returns:
        What was done, in words.

    Raises:
        MlfolioError: The registry cannot be read, or a newer MLflow has written it.
    """
    if is_remote():
        with open_client() as client:
            client.search_registered_models(max_results=1)
        return f"{place()} answers; its database is its own to migrate"
    with _quiet():  # a client of MLflow's would refuse the database
        runs_folder().mkdir(parents=True, exist_ok=True)
        _make_database()
        with FileLock(runs_folder() / ".registry.lock"), FileLock(runs_folder() / ".database.lock"):
            before, newest = _revisions()
            if before == newest:
                return "the registry is up to date"
            kept = database().with_name(f"mlflow-{before}.db")
            _replace_migrated(kept)
    return f"the registry is up to date now; as it was, it is in {kept}"


def _revisions() -> tuple[str, str]:
    """The revision of our own database, and the one that this MLflow reads."""
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{database()}")
    try:
        return (
            str(utils._get_schema_version(engine)),  # type: ignore[no-untyped-call]
            utils._get_latest_schema_revision(),  # type: ignore[no-untyped-call]
        )
    finally:
        engine.dispose()


def _replace_migrated(kept: Path) -> None:
    """Puts a migrated copy of our database in its place, and the old one at `kept`."""
    from alembic.util.exc import CommandError
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    with TemporaryDirectory(prefix=".mlflow.db.", dir=runs_folder()) as folder:
        copy = Path(folder) / "mlflow.db"
        with closing(sqlite3.connect(database())) as old, closing(sqlite3.connect(copy)) as new:
            old.backup(new)
        engine = create_engine(f"sqlite:///{copy}")
        try:
            utils._upgrade_db(engine)  # type: ignore[no-untyped-call]
        except CommandError as error:  # it knows no such revision
            raise MlfolioError(
                f"the registry ({place()}) was written by a newer MLflow: {first_line(error)}",
                "install the MLflow that wrote it, or the database that was kept before",
            ) from error
        finally:
            engine.dispose()
        shutil.copy2(database(), kept)
        copy.replace(database())


def _make_database() -> None:
    """Makes our database if there is none: in another folder, so that it appears whole.

    MLflow goes through dozens of migrations, and cannot go on where one of them was killed.
    """
    with FileLock(runs_folder() / ".database.lock"):
        if database().exists():
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for left in runs_folder().glob(".mlflow.db.*"):  # of attempts that were killed
            shutil.rmtree(left)
        for suffix in ("-wal", "-shm", "-journal"):  # of a database that somebody has deleted
            database().with_name(database().name + suffix).unlink(missing_ok=True)
        with TemporaryDirectory(prefix=".mlflow.db.", dir=runs_folder()) as folder:
            made = Path(folder) / "mlflow.db"
            root = (runs_folder() / "mlflow").as_uri()
            store = SqlAlchemyStore(f"sqlite:///{made}", root)  # type: ignore[no-untyped-call]
            store.engine.dispose()
            made.rename(database())


def is_remote() -> bool:
    """Whether it is a server elsewhere."""
    return bool(os.environ.get(URI))


def database() -> Path:
    """Our own database."""
    return runs_folder() / "mlflow.db"


def artifacts(system: str) -> str:
    """Where the files of a system's runs go, as an address."""
    return (runs_folder() / "mlflow" / system).as_uri()


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
