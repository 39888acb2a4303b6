"""Prices from Yahoo Finance by yfinance, an optional library, where there is a network."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from mlfolio.core.errors import DataUnavailableError

FIRST = "2000-01-01"


def fetch(ticker: str, path: Path) -> bool:
    """Asks Yahoo for all days of a ticker and writes them as its CSV, whole or not at all.

    Args:
        ticker: As Yahoo has it.
        path: Where the file is to be.

    Returns:
        False if yfinance is not installed; nothing was asked then.

    Raises:
        DataUnavailableError: Yahoo did not answer, or knows no such ticker.
    """
    if find_spec("yfinance") is None:
        return False
    import yfinance

    by_hand = f"look at the network and the ticker, or put Yahoo's CSV into {path}"
    try:
        rows = yfinance.Ticker(ticker).history(start=FIRST, auto_adjust=False)
    except Exception as error:  # of many libraries below it
        raise DataUnavailableError(
            f"Yahoo gave no prices of {ticker!r} ({type(error).__name__}: {str(error)[:100]})",
            by_hand,
        ) from None
    if rows.empty:
        raise DataUnavailableError(f"Yahoo gave no prices of {ticker!r}", by_hand)
    rows.index = rows.index.tz_localize(None).strftime("%Y-%m-%d")
    columns = ["Open", "High", "Low", "Close", "Adj Close", "Volume"]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        rows[columns].to_csv(temporary, index_label="Date")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True
