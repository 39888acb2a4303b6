"""The software bill of materials of a model: what it stands on, in CycloneDX 1.6.

https://cyclonedx.org/docs/1.6/json/. It names the packages that the system needs, as they were
installed while the model was made, and the data: nothing that merely lay beside them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlfolio.core.card import Card
from mlfolio.core.run import read_json, write_json

SHA256 = re.compile("[0-9a-f]{64}")


class Package(NamedTuple):
    """What an installed package says of itself.

    Attributes:
        name: As it writes it.
        version: As it was installed.
        wants: What it may need, with the conditions.
        licences: As CycloneDX has them.
    """

    name: str
    version: str
    wants: tuple[Requirement, ...]
    licences: tuple[dict[str, Any], ...]

    @property
    def purl(self) -> str:
        """Its package URL, by which others know it too."""
        return f"pkg:pypi/{canonicalize_name(self.name)}@{self.version}"


def write_sbom(folder: Path, card: Card) -> Path:
    """Writes `sbom.json` into a run's folder.

    Args:
        folder: The run's folder, with its `scores.json`, `data.json` and `run.json`.
        card: The system's card.

    Returns:
        Path of the bill.
    """
    result, data = read_json(folder / "scores.json"), read_json(folder / "data.json")
    packages = needed("mlfolio", {card.extra} if card.extra else set())
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{card.slug}/{folder.name}')}",
        "version": 1,
        "metadata": {
            "timestamp": read_json(folder / "run.json", "started")["started"],
            "component": _model(folder.name, card, result),
        },
        "components": [_data(data), *(_package(each) for each in packages.values())],
        "dependencies": [
            {"ref": "model", "dependsOn": ["data", *_refs(packages, ["mlfolio"])]},
            *(
                {"ref": each.purl, "dependsOn": _refs(packages, [w.name for w in each.wants])}
                for each in packages.values()
            ),
        ],
    }
    path = folder / "sbom.json"
    write_json(path, bill)
    return path


def needed(name: str, extras: set[str]) -> dict[str, Package]:
    """An installed package and all that it needs here, by canonical name.

    What is not installed is left out: the run went without it.

    Args:
        name: Of the package.
        extras: Its optional parts that are wanted too.
    """
    found: dict[str, Package] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), extra) for extra in ("", *sorted(extras))]
    while waiting:
        one, extra = waiting.pop()
        if (one, extra) in seen:
            continue
        seen.add((one, extra))
        try:
            found.setdefault(one, _read(one))
        except PackageNotFoundError:
            continue
        for wanted in _wanted(found[one], extra):
            inner = canonicalize_name(wanted.name)
            waiting += [(inner, each) for each in ("", *sorted(wanted.extras))]
    return dict(sorted(found.items()))


@lru_cache(maxsize=512)  # metadata are parsed anew by each look at them
def _read(name: str) -> Package:
    """An installed package.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    found = distribution(name)
    metadata = found.metadata
    return Package(
        metadata["Name"], metadata["Version"], tuple(map(Requirement, found.requires or ())),
        tuple(_licences(metadata)),
    )  # fmt: skip


def _wanted(package: Package, extra: str) -> Iterator[Requirement]:
    """What a package, or one extra of it, wants on this machine."""
    for requirement in package.wants:
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _refs(packages: Mapping[str, Package], names: list[str]) -> list[str]:
    """Those of some packages that are there."""
    known = map(canonicalize_name, names)
    return sorted({packages[name].purl for name in known if name in packages})


def _package(package: Package) -> dict[str, Any]:
    about = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    return {**about, "licenses": list(package.licences)} if package.licences else about


def _licences(metadata: PackageMetadata) -> list[dict[str, Any]]:
    """As the package states them: an SPDX expression, or else in its own words."""
    if expressions := metadata.get_all("License-Expression", []):
        return [{"expression": expressions[0]}]
    classified = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License ::") and line != "License :: OSI Approved"
    ]
    if not classified:  # some give the whole text
        classified = [
            text.strip().splitlines()[0][:100]
            for text in metadata.get_all("License", [])
            if text.strip()
        ]
    return [{"license": {"name": name}} for name in dict.fromkeys(classified)]


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"type": "data", "bom-ref": "data", "name": data["dataset"]}
    if data["licence"]:
        about["licenses"] = [{"license": {"name": data["licence"]}}]
    if SHA256.fullmatch(data["fingerprint"]):
        about["hashes"] = [{"alg": "SHA-256", "content": data["fingerprint"]}]
    return about


def _model(run: str, card: Card, result: Mapping[str, Any]) -> dict[str, Any]:
    """The model, with what was measured of it."""
    measured = [
        {"type": score["name"], "value": str(score["value"])}
        | ({"confidenceInterval": {
            "lowerBound": str(score["ci95"][0]), "upperBound": str(score["ci95"][1]),
        }} if score["ci95"] else {})
        for score in result["scores"]
    ]  # fmt: skip
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": card.slug,
        "version": run,
        "description": card.summary,
        "modelCard": {
            "modelParameters": {"datasets": [{"ref": "data"}]},
            "quantitativeAnalysis": {"performanceMetrics": measured},
        },
    }
