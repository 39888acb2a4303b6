"""What is stored of a model, and what has to hold of it before anybody is answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlfolio.core.errors import FileError
from mlfolio.core.run import DAMAGED, write_json
from mlfolio.parts.torch.stored import Stored, load_net

from .bands import Band
from .bars import FARTHEST, HIGHEST, LOWEST, Bars, Floats
from .indicators import FEATURES, WARM_UP
from .net import Forecaster, WindowNet
from .windows import Scaler

JSON, NET, SERIES = "model.json", "net.safetensors", "series.safetensors"
COLUMNS = ("open", "high", "low", "close", "volume")
ANY = -1  # length of a tensor
FAR = 500_000  # days before and after 1970 that every calendar has

Window = Annotated[int, Field(ge=5, le=120)]
Hidden = Annotated[int, Field(ge=2, le=512)]
Level = Annotated[float, Field(ge=0.5, le=0.99)]


class Facts(Stored):
    """What is no tensor.

    Attributes:
        series: Their tickers.
        features: Of a day, in the order of the net.
        hidden: Width of the net.
        window: Days that it reads.
        level: Share of days that bands are to cover.
    """

    series: list[str] = Field(min_length=1)
    features: list[str]
    hidden: Hidden
    window: Window
    level: Level


class Parts(NamedTuple):
    """The parts of a model, as `PriceModel` has them."""

    forecaster: Forecaster
    band: Band
    level: float
    series: Mapping[str, Bars]


def write_stored(parts: Parts, folder: Path) -> None:
    """Writes the parts of a model."""
    net, scaler = parts.forecaster.net, parts.forecaster.scaler
    weights = {name: each.contiguous() for name, each in net.state_dict().items()}
    save_file(weights, folder / NET)
    arrays = {"mean": scaler.mean, "deviation": scaler.deviation, "errors": parts.band.errors}
    for name, bars in parts.series.items():
        arrays |= {f"{column}/{name}": getattr(bars, column) for column in COLUMNS}
        arrays[f"dates/{name}"] = bars.dates.astype("datetime64[D]").astype(np.int64)
    tensors = {name: torch.from_numpy(each.copy()) for name, each in arrays.items()}
    save_file(tensors, folder / SERIES)
    facts = Facts(
        series=list(parts.series),
        features=list(FEATURES),
        hidden=net.lstm.hidden_size,
        window=parts.forecaster.window,
        level=parts.level,
    )
    write_json(folder / JSON, facts)


def read_stored(folder: Path) -> Parts:
    """Reads back the parts of a model.

    Raises:
        FileError: They are not there, do not belong together, or are not what a fit makes.
    """
    facts = Facts.read(folder / JSON)
    net = load_net(lambda: WindowNet(len(FEATURES), facts.hidden), folder / NET)
    try:
        return _parts(facts, net, load_file(folder / SERIES))
    except (OSError, SafetensorError, ValueError) as error:
        raise FileError(f"the model in {folder} is damaged: {error}", DAMAGED) from None


def _parts(facts: Facts, net: WindowNet, tensors: Mapping[str, Tensor]) -> Parts:
    """The parts, each as a fit makes it.

    Raises:
        ValueError: One is not.
    """

    def take(name: str, kind: torch.dtype, *shape: int) -> Tensor:
        found = tensors.get(name, torch.empty(()))
        sides = zip(found.shape, shape, strict=False)
        fits = len(found.shape) == len(shape) and all(want in (has, ANY) for has, want in sides)
        _require(fits and found.dtype == kind, f"{name} is no {kind} of shape {shape}")
        _require(bool(torch.isfinite(found).all()), f"{name} holds what is no number")
        return found

    def floats(name: str, length: int = ANY) -> Floats:
        found: Floats = take(name, torch.float64, length).numpy()
        return found

    def bars(name: str) -> Bars:
        days = take(f"dates/{name}", torch.int64, ANY).numpy()
        columns = (floats(f"{column}/{name}", len(days)) for column in COLUMNS)
        found = Bars(days.astype("datetime64[D]"), *columns)
        _require_possible(found, name)
        _require(len(found) >= WARM_UP + facts.window, f"{name} has too few days")
        return found

    _require(facts.features == list(FEATURES), f"the features are {', '.join(FEATURES)}")
    _require(len(set(facts.series)) == len(facts.series), "a ticker is there twice")
    scaler = Scaler(*(floats(name, len(FEATURES)) for name in ("mean", "deviation")))
    _require(scaler.deviation.min() > 0, "deviations are above nought")
    errors = floats("errors")
    _require(len(errors) > 0 and np.diff(errors).min(initial=0) >= 0, "errors are in order")
    series = {name: bars(name) for name in facts.series}
    return Parts(Forecaster(net, scaler, facts.window), Band(errors), facts.level, series)


def _require_possible(bars: Bars, name: str) -> None:
    """Refuses what reading would not have let in; prices may be adjusted by much."""
    prices = np.array([bars.open, bars.high, bars.low, bars.close])
    least, most = LOWEST / FARTHEST**2, HIGHEST * FARTHEST**2
    since = np.abs(bars.dates - np.datetime64("1970-01-01"))
    rules = {
        "days rise": np.diff(bars.dates).astype(int) > 0,
        f"days are at most {FAR:,} from 1970": since <= np.timedelta64(FAR, "D"),
        f"prices are {least:g} to {most:g}": (prices >= least) & (prices <= most),
        "low is not above high": bars.low <= bars.high * (1 + 1e-6),
        "volumes are not below nought": (bars.volume >= 0) & (bars.volume <= HIGHEST**2),
    }
    for rule, holds in rules.items():
        _require(holds.all(), f"{name}: {rule}")


def _require(holds: bool | np.bool_, rule: str) -> None:
    if not holds:
        raise ValueError(rule)
