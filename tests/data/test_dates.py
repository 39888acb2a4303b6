"""Dates: days and months are told apart by all dates together, or not at all."""

from __future__ import annotations

import pandas as pd
import pytest

from mlfolio.core.errors import FileError
from mlfolio.data.dates import read_dates


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["12/1/2010 8:26", "12/13/2010 8:26"], 12),  # UCI's Online Retail: months first
        (["01/12/2010", "13/12/2010"], 12),
        (["01.12.2010", "02.12.2010"], 1),  # days first where there are points
        (["2010-12-01T08:00:00+01:00", "2010-12-02T08:00:00+01:00"], 1),
        ([20101201, 20101203], 2),
    ],
)
def test_dates_as_people_write_them(dates: list[object], days: int) -> None:
    read = read_dates(pd.Series(dates, name="when"), "t.csv")
    assert (read.iloc[1] - read.iloc[0]).days == days


@pytest.mark.parametrize("zone", ["Z", "+09:00", "-0500", " +0100", ".250Z"])
def test_a_day_is_that_of_the_place(zone: str) -> None:
    read = read_dates(pd.Series([f"2010-12-01 00:00:00{zone}", None]), "t.csv")
    assert f"{read.iloc[0]:%Y-%m-%d %H:%M}" == "2010-12-01 00:00"


def test_dates_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(FileError, match="neither the first nor the second"):
        read_dates(pd.Series(["13/01/2010", "01/13/2010"], name="when"), "t.csv")
    with pytest.raises(FileError, match="cannot be read: 'soon'"):
        read_dates(pd.Series(["2010-01-01", "soon"], name="when"), "t.csv")
