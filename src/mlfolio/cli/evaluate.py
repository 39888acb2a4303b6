"""`mlfolio evaluate NAME`: a model on one's own questions, and two settings side by side."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from mlfolio.cli.common import Json, SystemName, pairs, print_json, print_table

if TYPE_CHECKING:
    from mlfolio.core.model import Measured, Measures
    from mlfolio.core.score import Score


class Compared(NamedTuple):
    """A metric of a model, and how it differs from the other's.

    Attributes:
        score: The model's, on all questions that the metric applies to; its strong baseline is the
            other's, likewise, with the interval of the gain.
        pairs: Questions that it applies to under both.
        gain: Mean of the differences on these.
        p: That there is none, counted for all metrics that are compared (Holm); None where the
            pairs are too few.
    """

    score: Score
    pairs: int = 0
    gain: float | None = None
    p: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the two differ: by p, and by the paired interval of the difference."""
        rival = self.score.strong
        if rival is None or self.gain is None or self.p is None:
            return "too few questions"
        if self.p >= 0.05 or not rival.differs:
            return "no difference to be told"
        return "better" if self.gain > 0 else "worse"


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("evaluate")(evaluate)


def evaluate(
    name: SystemName,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KNOB=VALUE]...", help="Knobs to change that need no new fit."),
    ] = None,
    questions: Annotated[
        Path, typer.Option("--questions", help="Lines of JSON: a question and its document.")
    ] = Path("questions.jsonl"),
    run: Annotated[str | None, typer.Option("--run", help="A run; the champion if none.")] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="A run, or knobs (weight=0.5,passages=3), to compare with."),
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="A language model: openai:gpt-5-mini, or a URL.")
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option("--least", metavar="METRIC=VALUE", help="Fail below it: for CI."),
    ] = None,
    make: Annotated[
        int | None,
        typer.Option("--make", min=1, max=10_000, help="Write so many questions to the file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on your own questions."""
    limits = {metric: _number(metric, value) for metric, value in pairs(least or []).items()}
    model = _model(name, run)
    if make is not None:
        _write_questions(model, questions, make)
        return
    one = _measured(name, model, pairs(settings or []), questions, judge)
    other = None
    if against is not None:
        rival, changes = _other(name, model, against)
        other = _measured(name, rival, changes, questions, judge)
    found = _compared(one, other)
    missed = _missed(one, found, limits)
    notes = [*one.failures, *one.notes]
    if other is not None:
        notes += [f"{against}: {note}" for note in (*other.failures, *other.notes)]
    if as_json:
        _print(one, found, notes, missed, other is not None)
    else:
        _show(one, found, notes, against)
    if missed:
        _end(missed, as_json)


def _model(name: str, run: str | None) -> Measures:
    """The champion, or the model of a run.

    Raises:
        UserError: It cannot be measured so.
    """
    import mlfolio
    from mlfolio.cli.report import find_runs
    from mlfolio.core.catalog import get_system
    from mlfolio.core.errors import UserError
    from mlfolio.core.model import Measures
    from mlfolio.track.loader import load_model

    if run is None:
        model: Any = mlfolio.load(name).model
    else:
        model = load_model(get_system(name), find_runs(name, [run], last=1)[0][0] / "model")
    if not isinstance(model, Measures):
        raise UserError(
            f"{name} is not measured on questions",
            f"mlfolio run {name} --data PATH measures it on rows of your own",
        )
    return model


def _other(name: str, model: Measures, against: str) -> tuple[Measures, dict[str, Any]]:
    """What is compared with: the same model asked otherwise, or that of another run."""
    if "=" in against:
        return model, pairs(against.split(","))
    return _model(name, against), {}


def _measured(
    name: str, model: Measures, settings: dict[str, Any], questions: Path, judge: str | None
) -> Measured:
    from mlfolio.core.catalog import get_system

    knobs = get_system(name).with_knobs(settings)
    changed = model.changed({knob: getattr(knobs, knob) for knob in settings})
    return changed.measure(questions, judge)


def _compared(one: Measured, other: Measured | None) -> list[Compared]:
    """The mean of each metric over the questions that it applies to, beside the other's."""
    from mlfolio.parts.stats import holm

    found = [_beside(metric, one, other) for metric in one.protocols]
    alone = {at: each.p for at, each in enumerate(found) if each.p is not None}
    for at, p in zip(alone, holm(list(alone.values())).tolist(), strict=True):
        found[at] = found[at]._replace(p=p)
    return found


def _beside(metric: str, one: Measured, other: Measured | None) -> Compared:
    """A metric beside the other's; its gain is that on the questions of both."""
    from mlfolio.core.score import Baseline
    from mlfolio.parts.stats import mean_ci95, mean_score, p_paired

    mine = one.marks[metric]
    score = mean_score(
        metric, {"this": mine.dropna().to_numpy()}, "this", protocol=one.protocols[metric]
    )
    if other is None or metric not in other.protocols:
        return Compared(score)
    theirs = other.marks[metric]
    gains = (mine - theirs).dropna().to_numpy()
    gain_ci95 = mean_ci95(gains)
    rival = Baseline(name="the other", value=float(theirs.mean()), gain_ci95=gain_ci95)
    return Compared(
        score.model_copy(update={"strong": rival}),
        len(gains),
        float(gains.mean()) if len(gains) else None,
        p_paired(gains, "two-sided") if gain_ci95 else None,
    )


def _missed(one: Measured, found: list[Compared], limits: dict[str, float]) -> list[str]:
    """What keeps a model from being good enough.

    Raises:
        UserError: A limit is of a metric that was not measured.
    """
    from mlfolio.core.errors import UserError

    unknown = [metric for metric in limits if metric not in one.protocols]
    if unknown:
        raise UserError(
            f"--least {unknown[0]}=...: not measured on these questions",
            f"one of {', '.join(one.protocols)}",
        )
    missed = [
        f"{score.name} {score.value:.4f} < {limits[score.name]}"
        for score, *_ in found if score.name in limits and score.value < limits[score.name]
    ]  # fmt: skip
    # Quotes do not tell how good the language model is.
    return missed + [failure.rstrip(".") for failure in one.failures] * bool(limits)


def _print(
    one: Measured, found: list[Compared], notes: list[str], missed: list[str], compared: bool
) -> None:
    """Prints JSON for programs."""
    scores = [each.score.summary() for each in found]
    if compared:
        for each, score in zip(found, scores, strict=True):
            score |= {
                "gain": each.gain, "gain_n": each.pairs, "p": each.p, "verdict": each.verdict,
            }  # fmt: skip
    tables = {title: table.to_dict("split") for title, table in one.tables.items()}
    print_json({"scores": scores, "notes": notes, "tables": tables, "missed": missed})


def _show(one: Measured, found: list[Compared], notes: list[str], against: str | None) -> None:
    """Prints tables for people."""
    import pandas as pd

    from mlfolio.report.words import interval, number

    rows = []
    for each in found:
        score, rival = each.score, each.score.strong
        row = [score.name, number(score.value), interval(score.ci95), f"{score.n:,}"]
        if against is not None:
            gain = interval(rival.gain_ci95) if rival else "–"
            p = "–" if each.p is None else f"{each.p:.3f}"
            row += [number(rival.value if rival else None), gain, p, each.verdict]
        rows.append(row)
    beside = [] if against is None else [against, "gain", "p", ""]
    print_table(["metric", "value", "95 % interval", "n", *beside], rows)
    for note in notes:
        typer.echo(note)
    for title, table in one.tables.items():
        cells = [
            ["–" if pd.isna(cell) else str(cell) for cell in row]
            for row in table.itertuples(name=None)
        ]
        print_table([str(table.index.name or ""), *map(str, table.columns)], cells, title)


def _end(missed: list[str], as_json: bool) -> None:
    """Fails because of what was missed; in JSON it has been said.

    Raises:
        MissedError: Something was.
    """
    from mlfolio.core.errors import MissedError

    error = MissedError(
        f"not good enough: {', '.join(missed)}", "see what changed, or lower --least"
    )
    if not as_json:
        raise error
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(error.exit_code)


def _write_questions(model: Measures, path: Path, n: int) -> None:
    """Writes a question set, whole or not at all; one that is there is not overwritten.

    Raises:
        UserError: The file is there, or cannot be written where it should be.
        MlfolioError: No question came.
    """
    from mlfolio.core.errors import FileError, MlfolioError, UserError
    from mlfolio.core.run import write_text

    if path.exists():
        raise UserError(f"{path} is there already", "name another file, or remove it")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise FileError(f"{folder} is no folder that can be written to", "make it, or name another")
    lines = [json.dumps(row, ensure_ascii=False) for row in model.make_questions(n)]
    if not lines:
        raise MlfolioError(
            f"none of {n:,} questions came, so nothing was written",
            "see that the language model of MLFOLIO_LLM answers; without one they are known items",
        )
    write_text(path, "".join(f"{line}\n" for line in lines))
    typer.echo(f"{len(lines):,} questions in {path}: read them, mend them, add such as people ask")


def _number(metric: str, value: Any) -> float:
    """The least value of a metric.

    Raises:
        UserError: It is no number, or none that a metric can be compared with.
    """
    from mlfolio.core.errors import UserError

    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"--least {metric}={value}: no number", f"--least {metric}=0.7")
    return number
