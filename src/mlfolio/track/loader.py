"""What MLflow calls to keep a model and to bring it back: a flavor, as it says."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlfolio
from mlfolio.core.catalog import get_system
from mlfolio.core.errors import FileError, MlfolioError
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.run import read_json
from mlfolio.core.system import System

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlfolio.core.model import Model

HEADER = "mlfolio.json"
DATA, NEEDED, PYTHON = "data", "requirements.txt", "python_env.yaml"  # as MLflow calls them


def load_folder(folder: Path) -> tuple[str, Model]:
    """A stored model and the name of its system.

    The folder's header names the system; the catalog, not the file, says which class that is.

    Raises:
        FileError: The files are damaged.
    """
    name = str(read_json(folder / HEADER, "system")["system"])
    return name, load_model(get_system(name), folder)


def load_model(system: type[System], folder: Path) -> Model:
    """A stored model of a system.

    Raises:
        FileError: The files are damaged: each system's readers fail on them in ways of their own.
    """
    try:
        return system.model.load(folder)
    except (MlfolioError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise FileError(
            f"the stored model in {folder} is damaged: {type(error).__name__}: {error}",
            f"mlfolio run {system.card.slug} makes a new one",
        ) from error


class PyFunc:
    """A model as MLflow wants it: a frame of inputs in, a frame of outputs out."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, frame: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:
        """Answers each row; columns are the fields of the model's `Output`."""
        import pandas as pd

        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        inputs = parse_inputs(self.model, [{str(k): v for k, v in row.items()} for row in rows])
        return pd.DataFrame([output.model_dump() for output in self.model.predict(inputs)])


def save_model(path: str, mlflow_model: Any, folder: Path) -> None:
    """Keeps a run's model: its folder as it is, what loads it, and what that needs.

    `mlflow.pyfunc.save_model` would do, after it has read what every installed package is made of
    to compare its version with itself: seconds of each process.

    Args:
        path: Where MLflow wants it.
        mlflow_model: MLflow's description of it, to be completed.
        folder: The run's `model/`.
    """
    import mlflow

    place = Path(path)
    shutil.copytree(folder, place / DATA)
    needed = [f"mlflow=={mlflow.__version__}", f"mlfolio=={mlfolio.__version__}"]
    (place / NEEDED).write_text("\n".join(needed) + "\n", "utf-8")
    python = f"python: {platform.python_version()}\ndependencies: [-r {NEEDED}]\n"
    (place / PYTHON).write_text(python, "utf-8")
    mlflow.pyfunc.add_to_model(mlflow_model, __name__, data=DATA, python_env=PYTHON)
    mlflow_model.save(str(place / "MLmodel"))


def _load_pyfunc(path: str) -> PyFunc:
    """What MLflow looks for."""
    return PyFunc(load_folder(Path(path))[1])
