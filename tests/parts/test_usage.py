"""What answers cost: by the user's prices, and nothing claimed without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlfolio.core.errors import UserError
from mlfolio.core.trace import Called, Spent, Timed
from mlfolio.parts.llm.usage import VARIABLE, Price, Usage, prices, usage

TEXT = "gpt-5-mini=0.25/2, org/model:8b = 0 / 0.5"


def test_prices_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = {"gpt-5-mini": Price(0.25, 2.0), "org/model:8b": Price(0.0, 0.5)}
    monkeypatch.setenv(VARIABLE, TEXT)
    assert prices() == found

    file = tmp_path / "prices"
    file.write_text("# dollars a million tokens\n" + TEXT.replace(", ", "\n") + "\n", "utf-8")
    monkeypatch.setenv(VARIABLE, str(file))
    assert prices() == found
    file.write_text("gpt-5-mini=1/1", "utf-8")
    os.utime(file, (1, 1))
    assert prices() == {"gpt-5-mini": Price(1.0, 1.0)}, "a file that changes is read again"

    monkeypatch.delenv(VARIABLE)
    assert prices() == {}


@pytest.mark.parametrize("text", ["gpt=1", "gpt=a/b", "=1/2", "gpt=1/-2", "gpt=nan/1", "no-file"])
def test_what_is_no_price_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UserError, match=VARIABLE) as caught:
        prices()
    assert "MODEL=IN/OUT" in caught.value.fix


def test_what_an_answer_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, TEXT)
    stages = [Timed("search", 0.25), Timed("search", 0.5), Timed("chat", 1.0)]
    calls = [Called("gpt-5-mini", 1_000_000, 500_000), Called("gpt-5-mini", 4, 0)]

    found = usage(Spent(stages, calls))

    assert (found.input_tokens, found.output_tokens) == (1_000_004, 500_000)
    assert found.cost == pytest.approx(1.250001)
    assert found.seconds == {"search": 0.75, "chat": 1.0}
    assert usage(Spent()) == Usage(), "where nobody was asked it cost nothing"


def test_of_what_is_not_known_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, TEXT)

    priced, unknown = Called("gpt-5-mini", 10, 10), Called("another", 10, 10)
    assert usage(Spent([], [priced, unknown])).cost is None
    monkeypatch.setenv(VARIABLE, "prices-that-were-here-a-moment-ago")
    assert usage(Spent([], [priced])).cost is None, "the answer is given all the same"
    monkeypatch.setenv(VARIABLE, TEXT)
    silent = usage(Spent([], [priced, Called("gpt-5-mini", None, None)]))
    assert (silent.cost, silent.input_tokens, silent.output_tokens) == (None, None, None)
