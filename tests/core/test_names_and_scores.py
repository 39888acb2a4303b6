"""Errors name what is near; knobs and inputs are refused all at once; scores compare."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from pydantic import Field

from mlfolio.core.card import Card, Promise
from mlfolio.core.catalog import catalog, get_card, get_system
from mlfolio.core.errors import InputError, KnobError, UnknownNameError, nearest
from mlfolio.core.inputs import parse_inputs
from mlfolio.core.model import Input, Model, Output
from mlfolio.core.run import Run
from mlfolio.core.score import Baseline, Evaluation, Score
from mlfolio.core.source import Source
from mlfolio.core.system import System


class Question(Input):
    number: float = Field(alias="Number", ge=0)
    word: str | None = None


class Echo:
    input_type = Question
    output_type = Output

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        return [Output(answer=row.number) for row in inputs]

    def examples(self) -> list[Any]:
        return [Question(Number=1)]

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()


class Toy(System):
    card: ClassVar[Card] = Card(
        number=1, slug="toy", title="Toy", summary="toy", kind="table", level="beginner",
        dataset="iris", promises=(Promise(metric="accuracy"),),
    )  # fmt: skip
    model: ClassVar[type[Model]] = Echo

    folds: int = Field(5, ge=2, le=10)
    words: list[str] = Field(default_factory=list)

    def load(self, source: Source) -> Any: ...
    def fit(self, data: Any, run: Run) -> Any: ...
    def evaluate(self, model: Any, data: Any, run: Run) -> Evaluation:
        raise AssertionError


def score(value: float, **facts: Any) -> Score:
    return Score(name="accuracy", value=value, n=10, protocol="test", **facts)


def test_nearest_ignores_case() -> None:
    assert nearest("AGE", ["Age", "Fare"]) == "Age"
    assert nearest("xyzzy", ["Age", "Fare"]) is None


def test_unknown_system_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'titanic'"):
        get_system("titanik")


def test_the_catalog_is_strings_that_exist() -> None:
    for name in catalog():
        assert get_card(name).slug == name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("digits", "safetensors", "deep"), ("documents", "lancedb", "documents")],
)
def test_a_missing_extra_says_what_to_install(
    home: Path, name: str, module: str, extra: str
) -> None:
    """In a process of its own, where the module cannot be imported."""
    program = f"import sys; sys.modules[{module!r}] = None; from mlfolio.cli import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", program, "run", name, "--data", "sample"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert f"[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_wrong_knobs_at_once() -> None:
    with pytest.raises(KnobError) as caught:
        Toy.with_knobs({"folds": "99", "fold": 3, "words": 1})
    message = str(caught.value)
    assert "folds = '99'" in message
    assert "did you mean 'folds'" in message
    assert "words = 1" in message


def test_knobs_are_read_from_text() -> None:
    assert Toy.with_knobs({"folds": "7", "words": ["a"]}).folds == 7


def test_inputs_match_names_without_case_and_report_every_problem() -> None:
    assert parse_inputs(Echo(), [{"NUMBER": "3"}])[0].number == 3  # type: ignore[attr-defined]

    with pytest.raises(InputError) as caught:
        parse_inputs(Echo(), [{"number": 1}, {"number": -1}, {}, {"number": 1, "wort": 2}, 5])  # type: ignore[list-item]
    assert len(caught.value.problems) == 4
    for part in (
        "row 2, Number = -1",
        "row 3, Number: required",
        "mean 'word'",
        "row 5, (row) = 5: is no mapping",
    ):
        assert part in str(caught.value)


def test_names_that_differ_in_case_only_are_told_apart() -> None:
    class Twins(Input):
        old: int = Field(0, alias="Age")
        young: int = Field(0, alias="age")

    class Both(Echo):
        input_type = Twins  # type: ignore[assignment]

    (row,) = parse_inputs(Both(), [{"Age": 1, "age": 2}])
    assert (row.old, row.young) == (1, 2)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="AGE: no such field"):
        parse_inputs(Both(), [{"AGE": 1}])
    with pytest.raises(InputError, match="number: no such field"):
        parse_inputs(Echo(), [{"Number": 1, "number": 2}])


def test_very_many_problems_are_counted_not_listed() -> None:
    with pytest.raises(InputError, match="and 80 more"):
        parse_inputs(Echo(), [{}] * 100)


def test_scores_know_what_is_better() -> None:
    assert score(0.9).better_than(0.8)
    assert not score(0.8).better_than(0.8)
    assert score(0.1, direction="lower").better_than(0.2)
    assert score(0.9, target=0.9).met
    assert score(0.1, direction="lower", target=0.2).met
    assert score(0.5, target=0.9).met is False
    assert score(0.5).met is None


def test_baselines_know_whether_they_differ() -> None:
    assert Baseline(name="b", value=0, gain_ci95=(0.1, 0.2)).differs
    assert Baseline(name="b", value=0, gain_ci95=(-0.1, 0.2)).differs is False
    assert Baseline(name="b", value=0).differs is None


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        score(float("nan"))


def test_evaluation_finds_scores_by_name() -> None:
    evaluation = Evaluation(scores=(score(0.5),))
    assert evaluation["accuracy"].value == 0.5
    with pytest.raises(KeyError):
        evaluation["recall"]
