"""`mlfolio evaluate NAME`: a model on one's own questions, and two settings side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlfolio.cli.common import Json, SystemName, pairs, print_json, print_table

if TYPE_CHECKING:
    from mlfolio.core.model import Measured, Measures
    from mlfolio.core.score import Score


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
    from mlfolio.core.errors import MissedError, UserError

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
    unknown = [metric for metric in limits if metric not in one.protocols]
    if unknown:
        raise UserError(
            f"--least {unknown[0]}=...: not measured on these questions",
            f"one of {', '.join(one.protocols)}",
        )
    scores = _scores(one, other)
    _show(one, scores, against, as_json)
    missed = [s for s in scores if s.name in limits and s.value < limits[s.name]]
    if missed:
        said = ", ".join(f"{s.name} {s.value:.4f} < {limits[s.name]}" for s in missed)
        raise MissedError(f"not good enough: {said}", "see what changed, or lower --least")


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


def _scores(one: Measured, other: Measured | None) -> list[Score]:
    """The mean of each metric over the questions that it applies to, beside the other's."""
    import pandas as pd

    from mlfolio.parts.stats import mean_score

    found = []
    for metric, protocol in one.protocols.items():
        values = {"this": one.marks[metric]}
        if other is not None and metric in other.protocols:
            values["the other"] = other.marks[metric]
        told = ~pd.DataFrame(values).isna().any(axis=1)
        if told.any():
            kept = {who: each[told].to_numpy() for who, each in values.items()}
            rival = "the other" if "the other" in values else None
            found.append(mean_score(metric, kept, "this", strong=rival, protocol=protocol))
    return found


def _show(one: Measured, scores: list[Score], against: str | None, as_json: bool) -> None:
    from mlfolio.report.words import interval, number

    if as_json:
        print_json(
            {
                "scores": [score.summary() for score in scores],
                "notes": one.notes,
                "tables": {title: table.to_dict("split") for title, table in one.tables.items()},
            }
        )
        return
    rows = []
    for score in scores:
        row = [score.name, number(score.value), interval(score.ci95), f"{score.n:,}"]
        if against is not None:
            rival = score.strong
            gain = interval(rival.gain_ci95) if rival else "–"
            row += [number(rival.value if rival else None), gain, _verdict(score)]
        rows.append(row)
    beside = [] if against is None else [against, "gain", ""]
    print_table(["metric", "value", "95 % interval", "n", *beside], rows)
    for note in one.notes:
        typer.echo(note)
    for title, table in one.tables.items():
        cells = [list(map(str, row)) for row in table.itertuples(name=None)]
        print_table([str(table.index.name or ""), *map(str, table.columns)], cells, title)


def _verdict(score: Score) -> str:
    """Whether two settings differ, by the paired interval of their difference."""
    if score.strong is None or score.strong.differs is None:
        return "too few questions"
    if not score.strong.differs:
        return "no difference to be told"
    return "better" if score.better_than(score.strong.value) else "worse"


def _write_questions(model: Measures, path: Path, n: int) -> None:
    """Writes a question set, whole or not at all; one that is there is not overwritten.

    Raises:
        UserError: The file is there.
    """
    from mlfolio.core.errors import UserError

    if path.exists():
        raise UserError(f"{path} is there already", "name another file, or remove it")
    lines = [json.dumps(row, ensure_ascii=False) for row in model.make_questions(n)]
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    part.replace(path)
    typer.echo(f"{len(lines):,} questions in {path}: read them, mend them, add such as people ask")


def _number(metric: str, value: Any) -> float:
    """The least value of a metric.

    Raises:
        UserError: It is no number.
    """
    from mlfolio.core.errors import UserError

    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"--least {metric}={value}: no number", f"--least {metric}=0.7") from None
