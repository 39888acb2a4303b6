"""`mlfolio predict NAME`: one answer from fields, or a file of them."""

from __future__ import annotations

import base64
import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlfolio.cli.common import Json, SystemName, pairs, print_json

if TYPE_CHECKING:
    from mlfolio.core.model import Output
    from mlfolio.lifecycle import Predictor


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("predict")(predict)


def predict(
    name: SystemName,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD=VALUE]...", help="One input; @PATH is a file."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--input", help="FILE.csv, .json or .jsonl, or - for standard input."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write answers here, as .csv, .json or .jsonl.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer one input given as fields, or a file of inputs."""
    import mlfolio
    from mlfolio.core.errors import UserError

    if (fields is None) == (file is None):
        raise UserError("give fields or --input", f"mlfolio predict {name} --input rows.csv")
    given = pairs(fields or [])
    rows, form = ([given], "") if file is None else read_rows(file)
    rows = [{field: _content(value) for field, value in row.items()} for row in rows]
    predictor = mlfolio.load(name)
    if file is not None:
        rows = _known_fields(predictor, rows)
    answers = predictor.predict(rows)
    if file is None and output is None:
        show(predictor, rows[0], answers[0], as_json)
        return
    text = _written(answers, "json" if as_json else (output.suffix[1:] if output else form))
    if output is None:
        typer.echo(text, nl=False)
    else:
        temporary = output.with_name(f".{output.name}.part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(output)
        typer.echo(f"{len(answers):,} answers in {output}", err=True)


def show(predictor: Predictor, row: dict[str, Any], answer: Output, as_json: bool) -> None:
    """Prints one answer, with its reasons where the model can give them."""
    from mlfolio.core.inputs import parse_inputs
    from mlfolio.core.model import Explains

    reasons = []
    if isinstance(predictor.model, Explains):
        reasons = predictor.model.explain(parse_inputs(predictor.model, [row]))[0]
    if as_json:
        print_json({**answer.model_dump(), "reasons": [r.model_dump() for r in reasons]})
        return
    typer.secho(f"{answer.answer}{_sure(answer.confidence)}", bold=True)
    for key, value in answer.model_dump(exclude={"answer", "confidence", "warnings"}).items():
        typer.echo(f"{key.replace('_', ' ')}: {_readable(value)}")
    for warning in answer.warnings:
        typer.secho(f"warning: {warning}", fg="yellow")
    for reason in reasons[:6]:
        typer.echo(f"  {reason.effect:+.3f}  {reason.feature} = {reason.value}")


def read_rows(file: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a file and its form (`csv`, `json` or `jsonl`).

    Raises:
        FileError: It is not there, is empty, or cannot be read.
    """
    from mlfolio.core.errors import FileError

    if file == "-":
        return _parse(sys.stdin.read(), "standard input", "")
    path = Path(file)
    if not path.is_file():
        raise FileError(f"there is no file {file!r}", "check the path")
    if path.suffix == ".csv":
        from mlfolio.data.tables import read_table

        table = read_table(path).astype(object)
        return [
            {str(k): v for k, v in row.items() if v == v}  # NaN: a cell left empty
            for row in table.to_dict("records")
        ], "csv"
    try:
        return _parse(path.read_text("utf-8"), path.name, path.suffix[1:])
    except UnicodeDecodeError:
        raise FileError(f"{file} is not UTF-8 text", "use a .csv, .json or .jsonl file") from None


def _parse(text: str, name: str, form: str) -> tuple[list[dict[str, Any]], str]:
    """Rows from JSON, JSON lines or CSV text; without a hint the text itself tells which."""
    from mlfolio.core.errors import FileError

    start = text.lstrip()[:1]
    if not start:
        raise FileError(f"{name} is empty", "give at least one row")
    try:
        if form == "json" or (not form and start == "["):
            content = json.loads(text)
            return (content if isinstance(content, list) else [content]), "json"
        if form == "jsonl" or (not form and start == "{"):
            return [json.loads(line) for line in text.splitlines() if line.strip()], "jsonl"
    except json.JSONDecodeError as error:
        raise FileError(f"{name} is no JSON: {error}", "check that line") from None
    rows = csv.DictReader(io.StringIO(text))
    return [{k: v for k, v in row.items() if k and v} for row in rows], "csv"


def _content(value: Any) -> Any:
    """What a value stands for: `@PATH` is that file's content in base64, for pictures.

    Only the command line reads files; a served model never opens a path that a client names.
    """
    if isinstance(value, str) and value.startswith("@") and Path(value[1:]).is_file():
        return base64.b64encode(Path(value[1:]).read_bytes()).decode()
    return value


def _known_fields(predictor: Predictor, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out columns the model says it does not use (an id, the target)."""
    ignored = {name.lower() for name in getattr(predictor.model, "ignored", ())}
    return [{k: v for k, v in row.items() if str(k).lower() not in ignored} for row in rows]


def _written(answers: Sequence[Output], form: str) -> str:
    """Answers as text, in the form of the question."""
    plain = [answer.model_dump(mode="json") for answer in answers]
    if form == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    if form != "csv":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)
    buffer = io.StringIO()
    names = list(plain[0]) if plain else ["answer"]
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for row in plain:
        writer.writerow({k: _cell(v) for k, v in row.items()})
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _sure(confidence: float | None) -> str:
    """A confidence in words that claim no more than a model can know."""
    if confidence is None:
        return ""
    return "  (over 99.9 % sure)" if confidence > 0.999 else f"  ({confidence:.1%} sure)"


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_readable(v)}" for k, v in value.items() if v not in (None, ""))
    if isinstance(value, list):
        return "".join(f"\n  - {_readable(item)}" for item in value) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
