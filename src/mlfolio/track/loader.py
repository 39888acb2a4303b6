"""The loader module that MLflow calls to bring a registered model back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlfolio.core.catalog import get_system
from mlfolio.core.inputs import parse_inputs

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlfolio.core.model import Model

HEADER = "mlfolio.json"


def load_folder(folder: Path) -> tuple[str, Model]:
    """A stored model and the name of its system.

    The folder's header names the system; the catalog, not the file, says which class that is.
    """
    name = str(json.loads((folder / HEADER).read_text("utf-8"))["system"])
    return name, get_system(name).model.load(folder)


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


def _load_pyfunc(path: str) -> PyFunc:
    """What MLflow looks for."""
    return PyFunc(load_folder(Path(path))[1])
