"""Whose prices are learned from: Yahoo's files, the user's own, or made-up ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np

from mlfolio.core.errors import DataUnavailableError, FileError, KnobError, install_command
from mlfolio.core.source import Source
from mlfolio.core.system import DataInfo, Finding
from mlfolio.data.datasets import get_dataset, place
from mlfolio.data.fingerprint import fingerprint
from mlfolio.data.tables import read_table

from .bars import Bars, read_bars
from .sample import unforeseeable
from .yahoo import fetch

FEWEST: Final = 500  # days of a series: two years
SAMPLE: Final = {"MADE-UP-1": 11, "MADE-UP-2": 12, "MADE-UP-3": 13}  # seeds
SAMPLE_DAYS: Final = 900
STILL: Final = 0.1  # share of the days that a price may stand still at a stretch
STALE: Final = 0.1  # share of days without a move
SUFFIXES: Final = (".csv", ".parquet")


@dataclass(frozen=True)
class Market:
    """Series of daily prices.

    All of them are learned from: the protocol is walk-forward, so a fit is repeated on what was
    known before each stretch that is measured.

    Attributes:
        source: Where they came from.
        dataset: Name of the data set, or of the user's file.
        licence: As its publisher states it.
        series: The prices of each, by ticker.
        notes: What was noticed while reading.
    """

    source: Source
    dataset: str
    licence: str
    series: Mapping[str, Bars]
    notes: list[Finding] = field(default_factory=list)

    @cached_property
    def info(self) -> DataInfo:
        """What identifies these data."""
        parts = [part for name, bars in self.series.items() for part in (name, bars.frame)]
        return DataInfo(
            source=self.source,
            dataset=self.dataset,
            licence=self.licence,
            fingerprint=fingerprint(*parts),
            test_fingerprint=fingerprint(*parts),
            rows={"series": len(self.series), "days": sum(map(len, self.series.values()))},
        )

    def check(self) -> list[Finding]:
        """What the data doctor has to say."""
        return [*self.notes, *_find_stale(self.series)]

    def without_test(self) -> Self:
        """All of it: there is no fixed test part."""
        return self


def load_market(source: Source, tickers: str) -> Market:
    """The series of a source.

    Args:
        source: Yahoo's files, the generated sample, or the user's file or folder of files.
        tickers: Those wanted of Yahoo's or of a folder, separated by commas; empty for all.

    Raises:
        DataUnavailableError: Yahoo's files are not here and cannot be fetched.
        UserError: A file cannot be used, or there is no such ticker.
    """
    wanted = tuple(dict.fromkeys(t.strip() for t in tickers.split(",") if t.strip()))
    if source.kind == "official":
        record = get_dataset("stocks")
        files, notes = _official(wanted)
        return _read(source, record.title, record.licence, files, notes)
    if source.path is None:
        if wanted:
            raise KnobError(f"the {source} has its own series", "tickers are of --data official")
        made = {name: unforeseeable(SAMPLE_DAYS, seed) for name, seed in SAMPLE.items()}
        return Market(source, "made-up prices", "Apache-2.0", made)
    files = _own(source.path)
    if missing := [ticker for ticker in wanted if ticker not in files]:
        raise KnobError(
            f"tickers: there is no {missing[0]!r} in {source.path.name}",
            f"there are: {', '.join(files)}",
        )
    chosen = {ticker: files[ticker] for ticker in wanted or files}
    return _read(source, source.path.name, "the user's own", chosen)


def _official(wanted: tuple[str, ...]) -> tuple[dict[str, Path], list[Finding]]:
    """The files of the data set, or of the tickers that were asked for, and which are old.

    Yahoo is asked for what is missing, where yfinance is installed; for tickers that are not of
    the data set, by which scores are compared, also for what was kept for more than a day.
    """
    record = get_dataset("stocks")
    if not wanted:
        for file in record.missing:
            fetch(Path(file.name).stem, record.folder / file.name)
        folder = place("stocks")
        return {Path(file.name).stem: folder / file.name for file in record.files}, []
    files = {ticker: record.folder / f"{_safe(ticker)}.csv" for ticker in wanted}
    published = {file.name for file in record.files}
    notes: list[Finding] = []
    for ticker, path in files.items():
        if path.is_file():
            notes += _renew(ticker, path, is_fixed=path.name in published)
        elif not fetch(ticker, path):
            raise FileError(
                f"there are no prices of {ticker!r}: {path} is not there, and yfinance, which "
                "could ask Yahoo, is not installed",
                f"put Yahoo's CSV there, or: {install_command('yahoo')}",
            )
    return files, notes


def _renew(ticker: str, path: Path, is_fixed: bool) -> list[Finding]:
    """Fetches anew what was kept for more than a day, or tells its age where that cannot be."""
    days = (time.time() - path.stat().st_mtime) / 86_400
    if days <= 1:
        return []
    fix = f"put a newer one there, or delete {path}: yfinance, where it is installed, fetches it"
    if not is_fixed:
        try:
            if fetch(ticker, path):
                return []
        except DataUnavailableError as error:
            fix = error.message
    message = f"{path.name} is {days:,.1f} days old, and so may be its last price"
    return [Finding(level="warning", check="kept prices", message=message, fix=fix)]


def _safe(ticker: str) -> str:
    """A ticker as a file name: Yahoo's have letters, digits and `^.=-`.

    Raises:
        KnobError: It has anything else.
    """
    if len(ticker) > 20 or not all(c.isascii() and (c.isalnum() or c in "^.=-") for c in ticker) \
            or not ticker.strip("."):  # fmt: skip
        raise KnobError(f"tickers: {ticker!r} is none", "AAPL, ^GSPC, BRK-B, BMW.DE")
    return ticker


def _own(path: Path) -> dict[str, Path]:
    """The user's file, or the tables of a folder, by their names."""
    if path.is_file():
        return {path.stem: path}
    files: dict[str, Path] = {}
    for each in sorted(path.iterdir()):
        if each.suffix not in SUFFIXES:
            continue
        same = [name for name in files if name.upper() == each.stem.upper()]
        if same:
            raise FileError(
                f"{files[same[0]].name} and {each.name} are of one ticker", "keep one of them"
            )
        files[each.stem] = each
    if not files:
        raise FileError(f"there is no CSV in {path}", "one file for each ticker: AAPL.csv")
    return files


def _read(
    source: Source, name: str, licence: str, files: Mapping[str, Path], told: Sequence[Finding] = ()
) -> Market:
    series, notes = {}, [*told]
    for ticker, path in files.items():
        series[ticker], found = read_bars(read_table(path), path.name)
        notes += found
        if len(series[ticker]) < FEWEST:
            raise FileError(
                f"{path.name} has {len(series[ticker]):,} days; at least {FEWEST} are needed",
                "bring more years",
            )
        _require_moves(series[ticker], path.name)
    return Market(source, name, licence, series, notes)


def _require_moves(bars: Bars, name: str) -> None:
    """Refuses a price that stands still for so long that nothing can be learned or measured."""
    moved = np.flatnonzero(np.diff(bars.close) != 0)
    stands = np.diff(np.concatenate([[0], moved + 1, [len(bars)]]))  # days from move to move
    longest = int(stands.argmax())
    if stands[longest] > STILL * len(bars):
        first = bars.dates[int(stands[:longest].sum())]
        raise FileError(
            f"{name}: from {first} on the close does not move for {stands[longest]:,} days",
            "leave them out; a price that stands still is forecast by copying",
        )


def _find_stale(series: Mapping[str, Bars]) -> list[Finding]:
    """Series whose price often does not move: not traded, or filled in."""
    shares = {name: float((np.diff(bars.close) == 0).mean()) for name, bars in series.items()}
    return [
        Finding(
            level="warning",
            check="stale prices",
            message=f"{name}: on {share:.0%} of the days the close is that of the day before",
            fix="forecasts of such days are right by copying",
        )
        for name, share in shares.items()
        if share > STALE
    ]
