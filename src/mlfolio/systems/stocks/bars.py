"""Daily prices as people have them: any CSV with Yahoo's columns, in order and made comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlfolio.core.errors import FileError
from mlfolio.core.system import Finding
from mlfolio.data.dates import read_dates, require_read
from mlfolio.data.tables import require_columns

Floats = NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
ALIASES = {
    "datetime": "date", "timestamp": "date", "vol.": "volume", "vol": "volume",
    "adj close": "adjusted", "adj. close": "adjusted", "adj_close": "adjusted",
    "adjclose": "adjusted", "adjusted close": "adjusted", "adjusted_close": "adjusted",
}  # fmt: skip
HIGHEST = 1e9  # of a price; of a volume its square
LONG_GAP = 10  # days without prices that are told
COARSE = 4  # days between most rows, from which they are of weeks or months
SPLITS = (1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100)
NEAR_SPLIT = 0.06  # in logarithms: the day's own move comes on top of the split
LOWEST = 1e-9  # so that ratios of prices are numbers
FARTHEST = 1e6  # factor between a close and its adjusted one
THOUSANDS = r"-?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"
AMBIGUOUS = r"-?[1-9]\d{0,2},\d{3}"  # 101,250: a hundred thousand, or a hundred
DECIMALS = r"-?\d+,\d+"
MISSING = ("", "null", "nan", "none", "n/a", "-", "–")


@dataclass(frozen=True, eq=False)
class Bars:
    """A series of days. Prices are adjusted for splits and dividends where the file says how.

    Attributes:
        dates: Days, shape (days,), rising.
        open: Prices, shape (days,), above nought, in the unit of the last day.
        high: Likewise.
        low: Likewise.
        close: Likewise.
        volume: Shape (days,); noughts where it is not known.
    """

    dates: NDArray[np.datetime64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.dates)

    def last(self, days: int) -> Bars:
        """The last days."""
        return self.take(slice(max(0, len(self) - days), None))

    def take(self, days: slice) -> Bars:
        """Some of the days."""
        return Bars(*(getattr(self, field.name)[days] for field in fields(self)))

    @property
    def frame(self) -> pd.DataFrame:
        """The same as a table with Yahoo's columns."""
        names = ("Date", *(name.title() for name in PRICES), "Volume")
        values = (getattr(self, field.name) for field in fields(self))
        return pd.DataFrame(dict(zip(names, values, strict=True)))


def read_bars(table: pd.DataFrame, name: str) -> tuple[Bars, list[Finding]]:
    """The days of a table, oldest first, and what was noticed.

    Where there is an adjusted close, all prices are multiplied by what makes it of the close, so
    that returns are those of an owner, and then by one number that makes the last close what it is.

    Args:
        table: Columns Date, Open, High, Low, Close, perhaps Adj Close and Volume, in any order.
        name: What to call it in errors.

    Raises:
        FileError: Columns are missing, or a cell is not what its column says.
    """
    table = _without_tickers(table).rename(columns=lambda column: _plain(str(column)))
    table = table.loc[:, ~table.columns.duplicated()]
    require_columns(table, ["date", *PRICES], name)
    notes: list[Finding] = []
    rows = _numbers(table, name, notes)
    rows["date"] = read_dates(table["date"], name).dt.normalize()
    rows = _in_order(rows, name, notes)
    _require_possible(rows, name)
    if "volume" not in rows or not rows["volume"].any():
        notes.append(_note("volume", f"{name} has no volumes", "the model sees noughts"))
        rows["volume"] = 0.0
    notes += [*_find_gaps(rows["date"], name), *_find_future(rows, name)]
    factor = np.ones(len(rows))
    if "adjusted" in rows:
        factor = (rows["adjusted"] / rows["close"]).to_numpy()
        factor = factor / factor[-1]
    adjusted = {column: rows[column].to_numpy() * factor for column in PRICES}
    days = rows["date"].to_numpy().astype("datetime64[D]")
    bars = Bars(days, **adjusted, volume=rows["volume"].fillna(0.0).to_numpy())
    plain = replace(bars, **{column: rows[column].to_numpy() for column in PRICES})
    return bars, [*notes, *_tell_splits(find_splits(plain), find_splits(bars), name)]


def find_splits(bars: Bars) -> dict[str, str]:
    """Days on which a price jumped by what looks like a split, with its ratio.

    After a split the day opens near the new price already, and by a ratio that is usual.
    """
    before = bars.close[:-1]
    opened, closed = np.log(bars.open[1:] / before), np.log(bars.close[1:] / before)
    least = np.log(SPLITS[0]) - NEAR_SPLIT
    found = {}
    for day in np.flatnonzero((np.abs(opened) > least) & (np.abs(closed) > least)):
        jumps = np.abs([opened[day], closed[day]])
        off = {ratio: float(np.abs(jumps - np.log(ratio)).max()) for ratio in SPLITS}
        ratio = min(off, key=lambda each: off[each])
        if off[ratio] < NEAR_SPLIT:
            side = f"{ratio:g} for 1" if closed[day] < 0 else f"1 for {ratio:g}"
            found[str(bars.dates[day + 1])] = side
    return found


def _tell_splits(plain: dict[str, str], adjusted: dict[str, str], name: str) -> list[Finding]:
    """Splits that Adj Close makes good, and jumps that are left."""

    def listed(splits: dict[str, str]) -> str:
        return ", ".join(f"{day} ({ratio})" for day, ratio in list(splits.items())[:5])

    found = []
    if made_good := {day: ratio for day, ratio in plain.items() if day not in adjusted}:
        message = f"{name}: Close jumps as by a split, Adj Close does not: {listed(made_good)}"
        found.append(_note("split", message, "returns are those of Adj Close"))
    if adjusted:
        message = (
            f"{name}: a jump that looks like a split that prices are not adjusted for: "
            f"{listed(adjusted)}"
        )
        fix = "if it was no crash, bring a column Adj Close, or divide the prices before it"
        found.append(Finding(level="warning", check="split", message=message, fix=fix))
    return found


def _plain(column: str) -> str:
    """`Adj Close`, `adj_close` and `adjusted` are the same column."""
    lower = column.strip().lower()
    return ALIASES.get(lower, lower)


def _without_tickers(table: pd.DataFrame) -> pd.DataFrame:
    """Without the rows `Ticker` and `Date` that yfinance's `download` has below the names."""
    if table.iloc[:2, 0].isin(["Ticker", "Date"]).sum() < 2:
        return table
    return table.iloc[2:].rename(columns={table.columns[0]: "date"})


def _numbers(table: pd.DataFrame, name: str, notes: list[Finding]) -> pd.DataFrame:
    """Prices and volumes, also with commas; missing where Yahoo writes `null` or a dash."""
    known = table[[each for each in (*PRICES, "adjusted", "volume") if each in table]]
    texts = known.select_dtypes(exclude="number").apply(_cells)
    decimal = not texts.empty and _has_decimal_commas(texts, name, notes)
    found = known.copy()
    for column, cells in texts.items():
        thousands = cells.str.fullmatch(THOUSANDS).fillna(False)
        plain = cells.mask(thousands, cells.str.replace(",", ""))
        plain = cells.str.replace(",", ".") if decimal else plain
        found[column] = pd.to_numeric(plain, errors="coerce")
        require_read(cells, found[column], name, "a number: 1234.5")
    return found.astype(float)


def _cells(column: pd.Series) -> pd.Series:
    """A column's texts, without what stands for nothing."""
    texts = column.astype("string").str.strip().str.removeprefix("$")
    return texts.mask(texts.str.lower().isin(MISSING))


def _has_decimal_commas(texts: pd.DataFrame, name: str, notes: list[Finding]) -> bool:
    """Whether commas are before decimals: all cells have a say, for one alone may be either."""
    cells = texts.melt()["value"].dropna()
    unsure = cells.str.fullmatch(AMBIGUOUS)
    if (cells.str.fullmatch(THOUSANDS) & ~unsure).any():
        return False
    if (cells.str.fullmatch(DECIMALS) & ~unsure).any():
        return True
    prices = texts.drop(columns="volume", errors="ignore").melt()["value"].dropna()
    if len(prices) and prices.str.fullmatch(AMBIGUOUS).all():
        first = prices.iloc[0]
        message = f"{name}: prices like {first} were read as {first.replace(',', '')}"
        fix = f"if the comma is before decimals, write {first.replace(',', '.')}"
        notes.append(Finding(level="warning", check="commas", message=message, fix=fix))
    return False


def _in_order(rows: pd.DataFrame, name: str, notes: list[Finding]) -> pd.DataFrame:
    """Complete rows, oldest first, a day once."""
    whole = rows[[column for column in rows if column != "volume"]].notna().all(axis=1)
    if lost := int((~whole).sum()):
        notes.append(_note("rows left out", f"{name}: {lost:,} rows without a date or a price"))
    rows = rows[whole]
    if rows.empty:
        raise FileError(f"{name} has no row with a date and all prices", "see that it is not empty")
    if not rows["date"].is_monotonic_increasing:
        notes.append(_note("order", f"{name}: its rows are not oldest first and were put in order"))
        rows = rows.sort_values("date", kind="stable")
    twice = rows["date"].duplicated(keep="last")
    if twice.any():
        message = f"{name}: {twice.sum():,} dates more than once, {_first(rows, twice)} first"
        notes.append(_note("copies", message, "the last row of each counts"))
    return rows[~twice]


def _require_possible(rows: pd.DataFrame, name: str) -> None:
    """Refuses prices that none can be, with the row's date."""
    prices = rows[[column for column in (*PRICES, "adjusted") if column in rows]]
    wrong = {
        "prices are above nought": (prices <= 0).any(axis=1),
        f"prices are below {HIGHEST:,.0f}": (prices >= HIGHEST).any(axis=1),
        f"prices are {LOWEST:g} or more": (prices < LOWEST).any(axis=1),
        "low is not above high": rows["low"] > rows["high"] * (1 + 1e-6),
    }
    if "adjusted" in rows:
        ratio = rows["adjusted"] / rows["close"]
        wrong["Adj Close is near Close"] = (ratio > FARTHEST) | (ratio < 1 / FARTHEST)
    if "volume" in rows:
        wrong["volumes are not below nought"] = rows["volume"] < 0
        wrong["volumes are finite"] = rows["volume"] > HIGHEST**2
    for rule, where in wrong.items():
        if where.any():
            raise FileError(
                f"{name}, {_first(rows, where)}: {rule}", f"see to {where.sum():,} such rows"
            )


def _find_gaps(dates: pd.Series, name: str) -> list[Finding]:
    """Rows of weeks or months, and long stretches without prices: both count as a day apart."""
    days = dates.diff().dt.days.to_numpy()
    if len(days) > 1 and (usual := float(np.median(days[1:]))) > COARSE:
        message = f"{name}: most rows are {usual:.0f} days apart; the model is for trading days"
        fix = "bring daily prices"
        return [Finding(level="warning", check="not daily", message=message, fix=fix)]
    long = np.flatnonzero(np.nan_to_num(days) > LONG_GAP)
    if not len(long):
        return []
    at = max(long, key=lambda place: days[place])
    message = (
        f"{name}: {len(long)} gaps of more than {LONG_GAP} days, the longest of {days[at]:.0f} "
        f"before {dates.iloc[at].date()}"
    )
    return [Finding(level="warning", check="gaps", message=message, fix="bring the days between")]


def _find_future(rows: pd.DataFrame, name: str) -> list[Finding]:
    """Days that are not over anywhere yet."""
    ahead = rows["date"] > pd.Timestamp.now() + pd.Timedelta(days=1)
    if not ahead.any():
        return []
    message = f"{name}: {ahead.sum():,} days are in the future, {_first(rows, ahead)} first"
    fix = "see to the order of day and month: 2024-12-31"
    return [Finding(level="warning", check="future", message=message, fix=fix)]


def _first(rows: pd.DataFrame, where: pd.Series) -> str:
    """The date of the first such row."""
    return str(rows.loc[where, "date"].iloc[0].date())


def _note(check: str, message: str, fix: str = "") -> Finding:
    return Finding(level="note", check=check, message=message, fix=fix)


def messages(findings: Sequence[Finding]) -> list[str]:
    """Findings as sentences, for who asks about a series."""
    return [found.message + (f"; {found.fix}" if found.fix else "") for found in findings]


def rounded(price: float) -> float:
    """Six digits; more would pretend to be known."""
    return float(f"{price:.6g}")
