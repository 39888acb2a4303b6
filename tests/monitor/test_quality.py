"""How good answers were, whatever a class is called, and looks that were gathered before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlfolio.monitor.report import write_report
from mlfolio.monitor.rows import Row
from mlfolio.monitor.watching import FROM_RUN, Gathered, look, watch


def survivors(n: int, said: type = int) -> list[Row]:
    """Answers 0 and 1, as titanic's, four of five right; people may tell the truth as a text."""
    rng = np.random.default_rng(0)
    found = []
    for answer, right in zip(rng.integers(2, size=n).tolist(), rng.random(n) < 0.8, strict=True):
        output: dict[str, Any] = {
            "answer": answer, "probabilities": {str(answer): 0.8, str(1 - answer): 0.2},
            "confidence": 0.8,
        }  # fmt: skip
        found.append(Row({"age": 20.0}, output, said(answer if right else 1 - answer)))
    return found


@pytest.mark.parametrize("said", [str, float])
def test_a_class_by_another_name_is_the_same(said: type) -> None:
    """Feedback may say "1" of class 1, and a table with gaps 1.0."""
    before = survivors(500)
    found = watch("toy", before, before, survivors(500, said))
    assert found.alarms == ()
    assert found.live is not None
    assert {m.name: (m.value, m.before) for m in found.live.measures} == {
        "accuracy": (pytest.approx(0.8, abs=0.05),) * 2,
        "Brier score": (pytest.approx(0.168, abs=0.03),) * 2,
    }
    assert all(m.value == m.before for m in found.live.measures)


def test_a_number_that_hardly_ever_changed_may_be_written_another_way() -> None:
    before = [row._replace(input={"age": 0.0 if at % 50 else 1.0})
              for at, row in enumerate(survivors(500))]  # fmt: skip
    now = [row._replace(input={"age": 0}) for row in survivors(120)]
    assert watch("toy", before, now).alarms == ()


def test_what_was_gathered_is_not_gathered_again() -> None:
    """There is no registry and no log to gather from."""
    gathered = Gathered(7, FROM_RUN, survivors(200), survivors(150), survivors(150), None)
    found = look("toy", gathered)
    assert (found.version, found.before, found.rows) == (7, 200, 150)


@pytest.mark.slow
def test_a_report_draws_what_both_sides_have(tmp_path: Path) -> None:
    """The run kept no inputs, and the log does: only answers can be drawn."""
    pytest.importorskip("evidently")
    before = [row._replace(input=None) for row in survivors(200)]
    gathered = Gathered(1, FROM_RUN, before, survivors(150), [], None)
    write_report(gathered, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "output: confidence" in html
