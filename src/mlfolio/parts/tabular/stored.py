"""Fitted estimators on disk, without pickle: only the types that a model names are ever made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sklearn.base import BaseEstimator

from mlfolio.core.errors import FileError
from mlfolio.core.run import write_json
from mlfolio.parts.tabular.schema import Schema

HEAVY: Final = "sklearn.externals.array_api_compat.torch"

Stored = TypeVar("Stored")


def dump_estimator(estimator: BaseEstimator, path: Path, trusted: Sequence[type | str]) -> None:
    """Writes a fitted estimator.

    Raises:
        FileError: It holds types that are not trusted: it could not be read back.
    """
    _skops().dump(estimator, path)
    _renumber(path)
    _require(path, _names(trusted))


def load_estimator(path: Path, trusted: Sequence[type | str]) -> BaseEstimator:
    """Reads an estimator that `dump_estimator` wrote.

    Args:
        path: The file.
        trusted: Classes of its parts beyond scikit-learn's own.

    Raises:
        FileError: The file holds others.
    """
    names = _names(trusted)
    _require(path, names)
    return _skops().load(path, trusted=names)


def save_model(model: Any, folder: Path, trusted: Sequence[type | str]) -> None:
    """Writes a model of a table: its estimator as `model.skops`, the rest as `model.json`.

    Args:
        model: A dataclass with a `schema` and an `estimator`.
        folder: Is there and empty.
        trusted: Classes of the estimator's parts beyond scikit-learn's own.
    """
    facts = {field.name: getattr(model, field.name) for field in fields(model)}
    dump_estimator(facts.pop("estimator"), folder / "model.skops", trusted)
    write_json(folder / "model.json", facts)


def load_model(kind: Callable[..., Stored], folder: Path, trusted: Sequence[type | str]) -> Stored:
    """Reads what `save_model` wrote.

    Raises:
        FileError: The file holds types that this model is not made of.
    """
    facts = json.loads((folder / "model.json").read_text("utf-8"))
    schema = Schema.model_validate(facts.pop("schema"))
    estimator = load_estimator(folder / "model.skops", trusted)
    return kind(schema=schema, estimator=estimator, **facts)


def _skops() -> Any:
    """skops.io. It looks through all packages of scikit-learn, one of which would load torch."""
    if "torch" not in sys.modules:
        sys.modules.setdefault(HEAVY, None)  # type: ignore[arg-type]  # the documented way to hide
    import skops.io

    if HEAVY in sys.modules and sys.modules[HEAVY] is None:
        sys.modules.pop(HEAVY, None)
    return skops.io


def _names(trusted: Sequence[type | str]) -> list[str]:
    return [
        kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        for kind in trusted
    ]


def _renumber(path: Path) -> None:
    """Writes a skops file so that the same estimator always makes the same bytes.

    skops names objects and their files by addresses in memory, and the archive has the time of
    day; here they are numbered as they come, and the time is left out.
    """
    with ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def renumbered(node: Any) -> Any:
        if isinstance(node, list):
            return [renumbered(each) for each in node]
        if not isinstance(node, dict):
            return node
        node = {key: renumbered(value) for key, value in node.items()}
        if isinstance(at := node.get("__id__"), int):
            node["__id__"] = numbers.setdefault(at, len(numbers) + 1)
        if isinstance(file := node.get("file"), str) and file in content:
            node["file"] = names.setdefault(file, f"{len(names) + 1}{Path(file).suffix}")
        return node

    schema = renumbered(json.loads(content.pop("schema.json")))
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for old, new in names.items():
            archive.writestr(ZipInfo(new), content[old], ZIP_DEFLATED)
        text = json.dumps(schema, indent=2)
        archive.writestr(ZipInfo("schema.json"), text, ZIP_DEFLATED)


def _require(path: Path, names: Sequence[str]) -> None:
    strange = sorted(set(_skops().get_untrusted_types(file=path)) - set(names))
    if strange:
        raise FileError(
            f"{path} holds types that its model is not made of: {', '.join(strange)}",
            "do not load models from people you do not trust",
        )
