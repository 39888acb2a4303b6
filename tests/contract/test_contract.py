"""One battery over every system in the catalog: a new system gets it for nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import mlfolio
from mlfolio.core.catalog import SYSTEMS, get_card, get_system
from mlfolio.core.errors import InputError, KnobError
from mlfolio.core.inputs import field_names, parse_inputs
from mlfolio.core.model import Indexes, Model
from mlfolio.core.run import REFERENCE, Run, status
from mlfolio.core.source import SAMPLE
from mlfolio.core.system import System
from mlfolio.lifecycle import Result
from mlfolio.monitor.reproduce import reproduce
from tests.conftest import quick

SEED = 3


class Fitted(NamedTuple):
    kind: type[System]
    result: Result
    model: Model

    def rows(self, n: int) -> list[dict[str, Any]]:
        """n valid rows, the model's examples over and over."""
        examples = [row.model_dump(by_alias=True) for row in self.model.examples()]
        return [examples[i % len(examples)] for i in range(n)]


QUICK = "iris"  # `make check` runs the battery over this one alone
PARAMS = [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SYSTEMS]


@pytest.fixture(scope="module", params=PARAMS)
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The system after one quick run on its sample."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFOLIO_RUNS", str(folder / "runs"))
        kind = get_system(request.param)
        result = mlfolio.run(kind, data="sample", seed=SEED, register=False, **quick(kind))
        return Fitted(kind, result, kind.model.load(result.folder / "model"))


def test_knobs_round_trip_and_are_described(fitted: Fitted) -> None:
    system = fitted.kind()

    assert fitted.kind.model_validate(json.loads(system.model_dump_json())) == system
    for name, knob in fitted.kind.model_fields.items():
        assert knob.description, f"{name} does not say what it does"


def test_unknown_knob_is_refused_with_its_name(fitted: Fitted) -> None:
    with pytest.raises(KnobError, match="no_such_knob"):
        fitted.kind.with_knobs({"no_such_knob": 1})


def test_run_keeps_its_promises(fitted: Fitted) -> None:
    measured = {score.name: score for score in fitted.result.scores}

    for promise in fitted.kind.card.promises:
        if promise.official:
            continue
        score = measured[promise.metric]
        assert score.direction == promise.direction
        assert score.target is None, "a sample is never held against a published number"
        assert score.protocol
    primary = fitted.result.scores[0]
    assert primary.name == fitted.kind.card.primary.metric
    assert primary.trivial is not None
    assert primary.ci95 is not None
    assert primary.ci95[0] <= primary.value <= primary.ci95[1]


def test_run_folder_can_be_read(fitted: Fitted) -> None:
    folder = fitted.result.folder
    assert status(folder) == "done"
    for name in (
        "knobs.json", "data.json", "scores.json", "schema.json", "environment.json", "sbom.json",
    ):  # fmt: skip
        assert json.loads((folder / name).read_text("utf-8"))
    report = (folder / "report.html").read_text("utf-8")
    assert "SAMPLE" in report
    assert "<script" not in report
    assert 'src="http' not in report
    for name in ("MODEL_CARD.md", "DATA_CARD.md"):
        card = (folder / name).read_text("utf-8")
        assert card.startswith("---\n")
        assert "SAMPLE" in card


def test_what_a_run_keeps_as_reference_is_in_the_form_of_the_log(fitted: Fitted) -> None:
    """Watching compares the two; a system that keeps none is watched by its first answers."""
    path, private = fitted.result.folder / REFERENCE, fitted.kind.card.private
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    for line in map(json.loads, lines[:50]):
        output = fitted.model.output_type.model_validate(line["output"])
        if private:
            assert line["input"] is None
            assert output == output.redacted()
        else:
            (asked,) = parse_inputs(fitted.model, [line["input"]])
            assert json.loads(asked.model_dump_json(by_alias=True)) == line["input"]
        if line["truth"] is not None:
            fitted.model.output_type.model_validate(line["output"] | {"answer": line["truth"]})


def test_a_run_made_again_is_the_same_bit_for_bit(fitted: Fitted, home: Path) -> None:
    found = reproduce(fitted.result.folder)

    assert found.scores == ()
    # The files of an index have names that are drawn by chance.
    assert found.same or issubclass(fitted.kind.model, Indexes), found


def test_fit_does_not_touch_the_test_part(fitted: Fitted, tmp_path: Path) -> None:
    system = fitted.kind(**quick(fitted.kind))
    data = system.load(SAMPLE).without_test()
    (tmp_path / "run").mkdir()

    blind = system.fit(data, Run("blind", tmp_path / "run", seed=SEED))

    rows = parse_inputs(fitted.model, fitted.rows(5))
    assert _plain(blind.predict(rows)) == _plain(fitted.model.predict(rows))


def test_fit_leaves_nothing_outside_its_folder(
    fitted: Fitted, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("run")
    system = fitted.kind(**quick(fitted.kind))
    before = sorted(home.rglob("*"))

    system.fit(system.load(SAMPLE), Run("tidy", elsewhere, seed=SEED))

    assert sorted(home.rglob("*")) == before


def test_fresh_process_gives_the_same_answers(fitted: Fitted, home: Path) -> None:
    rows = fitted.rows(5)
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from mlfolio.core.inputs import parse_inputs\n"
        "from mlfolio.track.loader import load_folder\n"
        "_, model = load_folder(Path(sys.argv[1]))\n"
        "answers = model.predict(parse_inputs(model, json.load(sys.stdin)))\n"
        "print(json.dumps([a.model_dump(mode='json', exclude={'usage'}) for a in answers]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(fitted.result.folder / "model")],
        input=json.dumps(rows, default=str), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip

    here = fitted.model.predict(parse_inputs(fitted.model, rows))
    assert json.loads(done.stdout.splitlines()[-1]) == _plain(here)


def test_batch_equals_one_by_one(fitted: Fitted) -> None:
    rows = parse_inputs(fitted.model, fitted.rows(7))

    together = _plain(fitted.model.predict(rows))
    alone = _plain([fitted.model.predict([row])[0] for row in rows])

    _assert_close(together, alone)


def test_no_rows_no_answers(fitted: Fitted) -> None:
    assert fitted.model.predict([]) == []


def test_a_thousand_rows(fitted: Fitted) -> None:
    rows = parse_inputs(fitted.model, fitted.rows(1000))

    answers = fitted.model.predict(rows)

    assert len(answers) == 1000
    assert all(isinstance(answer, fitted.model.output_type) for answer in answers)


def test_answers_say_how_sure_they_are(fitted: Fitted) -> None:
    for answer in fitted.model.predict(parse_inputs(fitted.model, fitted.rows(5))):
        assert answer.confidence is None or 0 <= answer.confidence <= 1
        assert isinstance(answer.warnings, list)


def test_bad_rows_are_refused_with_the_field_named(fitted: Fitted) -> None:
    good = fitted.rows(1)[0]
    for name in field_names(fitted.model.input_type):
        with pytest.raises(InputError, match=re.escape(f"row 2, {name}")):
            parse_inputs(fitted.model, [good, {**good, name: {"no": object()}}])


def test_unknown_fields_are_refused_with_the_nearest_name(fitted: Fitted) -> None:
    good = fitted.rows(1)[0]
    name = field_names(fitted.model.input_type)[0]

    with pytest.raises(InputError, match=f"did you mean '{name}'"):
        parse_inputs(fitted.model, [{**good, f"{name}x": 1}])


def test_not_a_number_is_refused(fitted: Fitted) -> None:
    good = fitted.rows(1)[0]
    for name, value in good.items():
        if isinstance(value, float):
            for bad in (float("nan"), float("inf")):
                with pytest.raises(InputError, match=name):
                    parse_inputs(fitted.model, [{**good, name: bad}])


def test_any_script_is_read(fitted: Fitted) -> None:
    good = fitted.rows(1)[0]
    for name, value in good.items():
        if isinstance(value, str):
            row = {**good, name: "Ærøskøbing 東京 🚢 ‏שלום"}
            try:
                rows = parse_inputs(fitted.model, [row])
            except InputError as error:
                assert name in str(error)
            else:
                assert len(fitted.model.predict(rows)) == 1


def test_strange_input_is_warned_of(fitted: Fitted) -> None:
    good = fitted.rows(1)[0]
    for name, value in good.items():
        if isinstance(value, float):
            strange = {**good, name: 1e9}
        elif isinstance(value, str):
            strange = {**good, name: "word " * 1900}
        else:
            continue
        try:
            rows = parse_inputs(fitted.model, [strange])
        except InputError as error:
            assert name in str(error)
            continue
        if fitted.model.predict(rows)[0].warnings:
            return
    else:
        pytest.skip("its input is neither numbers nor text; its own tests see to the warnings")
    pytest.fail("nothing strange was noticed")


def test_model_folder_holds_no_pickle(fitted: Fitted) -> None:
    for path in (fitted.result.folder / "model").rglob("*"):
        if not path.is_file():
            continue
        assert path.suffix not in {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".bin"}, path
        assert not _is_pickle(path.read_bytes()), path
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    assert not _is_pickle(archive.read(name)), f"{path}!{name}"


def test_card_is_whole(fitted: Fitted) -> None:
    card = get_card(fitted.kind.card.slug)
    assert card.summary
    assert card.method
    assert card.limits
    assert card == fitted.kind.card


def _is_pickle(content: bytes) -> bool:
    """Protocol 2 and later begin with 0x80 and the protocol, and end with a full stop."""
    return len(content) > 2 and content[0] == 0x80 and content[1] <= 5 and content[-1:] == b"."


def _plain(outputs: list[Any]) -> list[dict[str, Any]]:
    """What was answered; what that took (`usage`) is no part of it, and never the same."""
    return [output.model_dump(mode="json", exclude={"usage"}) for output in outputs]


def _assert_close(one: Any, other: Any) -> None:
    """Equal, numbers to within a millionth: summing in another order changes the last bits."""
    if isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, abs=1e-6)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _assert_close(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _assert_close(a, b)
    else:
        assert one == other
