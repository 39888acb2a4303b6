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

from mlfolio.cli.common import Json, OnOption, SystemName, pairs, print_json

if TYPE_CHECKING:
    from mlfolio.core.model import Input, Model, Output
    from mlfolio.lifecycle import Predictor

Rows = list[dict[str, Any]]
FORMS = ("csv", "json", "jsonl")
TABLES = ("csv", "parquet")


def add_to(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("predict")(predict)


def predict(
    name: SystemName,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD=VALUE]...", help="One input; @PATH is a picture's file."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="FILE.csv, .parquet, .json or .jsonl, or - for standard input; for spam a "
            "mailbox, for masks a film.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Write answers here, as .csv, .json or .jsonl, or of a .parquet file as "
            ".parquet; for masks a film with what was seen.",
        ),
    ] = None,
    on: OnOption = "local",
    as_json: Json = False,
) -> None:
    """Answer one input given as fields, or a file of inputs."""
    import mlfolio
    from mlfolio.core.errors import UserError
    from mlfolio.core.run import write_text

    if (said := _annotate(name, file, output, fields or [])) is not None:
        typer.echo(said, err=True)
        return
    if (fields is None) == (file is None):
        raise UserError("give fields or --input", f"mlfolio predict {name} --input rows.csv")
    if _is_bulk(file, output, on):
        _in_batches(name, Path(str(file)), Path(str(output)), on)
        return
    asked = _form_of(output, file, as_json)
    predictor = mlfolio.load(name)
    if file is None:
        rows, form = [_with_pictures(pairs(fields or []), predictor.model.input_type)], ""
        labels: Rows = [{}]
    else:
        rows, form = read_rows(file, predictor.model)
        rows, unused = _split(predictor, rows)
        labels = unused if form == "lines" else _labels(unused)
    answers = predictor.predict(rows)
    if file is None and output is None:
        show(predictor, rows[0], answers[0], as_json)
        return
    text = _as_text(answers, labels, asked or form)
    typer.echo(_origin(predictor), err=True)
    if output is None:
        typer.echo(text, nl=False)
    else:
        if _is_special(output):
            output.write_text(text, "utf-8")
        else:
            write_text(output, text)
        typer.echo(f"{len(answers):,} answers in {output}", err=True)


def _is_bulk(file: str | None, output: Path | None, on: str) -> bool:
    """Whether a file of any size is to be answered in batches.

    Raises:
        UserError: Only one of both files is a table in Parquet, or a cluster is to answer another.
    """
    from mlfolio.core.errors import UserError
    from mlfolio.parts.cluster import LOCAL

    suffixes = [Path(str(path or "")).suffix.lower() for path in (file, output)]
    if suffixes == [".parquet", ".parquet"]:
        return True
    if suffixes[1] == ".parquet":
        raise UserError(f"{file} is not Parquet, so its answers are not", "name them .csv")
    if on != LOCAL:
        raise UserError(
            f"--on {on} answers large files only",
            "--input ROWS.parquet --output ANSWERS.parquet",
        )
    return False


def _in_batches(name: str, source: Path, target: Path, on: str) -> None:
    """Answers a file of any size, here or on a cluster."""
    from tqdm import tqdm

    import mlfolio
    from mlfolio.bulk import answer_file
    from mlfolio.parts.cluster import workers_on

    _require_place(target, str(source))
    predictor = mlfolio.load(name)
    with workers_on(on) as workers, tqdm(unit=" rows", disable=None, leave=False) as bar:
        count = answer_file(predictor.model, source, target, workers, bar.update)
    typer.echo(_origin(predictor), err=True)
    typer.echo(f"{count:,} answers in {target}", err=True)


def _annotate(name: str, file: str | None, output: Path | None, options: list[str]) -> str | None:
    """Has a copy of a file marked, if that is what was asked for, and says what was done."""
    import mlfolio
    from mlfolio.core.catalog import get_system
    from mlfolio.core.model import Annotates

    if file in (None, "-") or output is None or output.suffix[1:].lower() in ("", *FORMS):
        return None
    if not issubclass(get_system(name).model, Annotates):
        return None
    _require_place(output, file)
    model: Any = mlfolio.load(name).model
    said: str | None = model.annotate(Path(str(file)), output, pairs(options))
    return None if said is None else f"{said}: {output}"


def show(predictor: Predictor, row: dict[str, Any], answer: Output, as_json: bool) -> None:
    """Prints one answer, with its reasons where the model can give them."""
    from mlfolio.core.inputs import parse_inputs
    from mlfolio.core.model import Explains
    from mlfolio.report.words import signed

    reasons = []
    if isinstance(predictor.model, Explains):
        reasons = predictor.model.explain(parse_inputs(predictor.model, [row]))[0]
    if as_json:
        origin = {
            "version": predictor.version,
            "source": predictor.source,
            "sample": predictor.source == "sample",
        }
        said = [reason.model_dump() for reason in reasons]
        print_json({**answer.model_dump(), "reasons": said, **origin})
        return
    typer.secho(f"{answer.answer}{_sure(answer.confidence)}", bold=True)
    for key, value in answer.model_dump(exclude={"answer", "confidence", "warnings"}).items():
        typer.echo(f"{key.replace('_', ' ')}: {_readable(value)}")
    for warning in answer.warnings:
        typer.secho(f"warning: {warning}", fg="yellow")
    for reason in reasons[:6]:
        typer.echo(f"  {signed(reason.effect)}  {reason.feature} = {reason.value}")
    if reasons:
        typer.echo(f"  (shares in {reasons[0].unit})")
    typer.echo(_origin(predictor))


def _origin(predictor: Predictor) -> str:
    """Who answered, and what it learned from."""
    on = {"sample": "the SAMPLE", "own": "own data", "official": "official data"}
    who = f"{predictor.system} version {predictor.version}"
    return f"answered by {who}, fitted on {on[predictor.source or 'official']}"


def _form_of(output: Path | None, file: str | None, as_json: bool) -> str:
    """The form that was asked for, empty where none was; a file that cannot be written is refused.

    Raises:
        UserError: There is no such folder, or the name says another form or none.
    """
    from mlfolio.core.errors import UserError

    if output is None:
        return "json" if as_json else ""
    _require_place(output, file)
    form = output.suffix[1:].lower()
    if not form and _is_special(output):
        return "json" if as_json else ""
    if form not in FORMS or (as_json and form != "json"):
        wanted = ".json" if as_json else ".csv, .json or .jsonl"
        raise UserError(f"{str(output)!r} does not end in {wanted}", "name it so")
    return form


def _require_place(output: Path, file: str | None) -> None:
    """A file can be written there, and is not the one that is read.

    Raises:
        UserError: It cannot, or it is.
    """
    from mlfolio.core.errors import UserError

    if output.is_dir() or not output.parent.is_dir():
        raise UserError(
            f"answers cannot be written to {str(output)!r}", "name a file in a folder that exists"
        )
    if file is not None and Path(file).exists() and output.exists() and output.samefile(file):
        raise UserError(f"{str(output)!r} is the file that the rows come from", "name another")


def _is_special(path: Path) -> bool:
    """Whether a path is no plain file of its own: a device, a pipe, or a link to something."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def read_rows(file: str, model: Model) -> tuple[Rows, str]:
    """The rows of a file and the form of answers that suits it.

    Returns:
        The rows, and `csv`, `json` or `jsonl`, as suits the file, or `lines` for one of a kind
        that only the model reads.

    Raises:
        FileError: It is not there, is empty, or cannot be read.
    """
    from mlfolio.core.errors import FileError
    from mlfolio.core.model import Reads

    if file == "-":
        return _parse(sys.stdin.read(), "standard input", "")
    path, fix = Path(file), "use a .csv, .parquet, .json or .jsonl file"
    form = path.suffix[1:].lower()
    if isinstance(model, Reads) and path.exists() and form not in FORMS:
        found = model.read(path)
        if found is not None:
            return list(found), "lines"
    if not path.is_file():
        raise FileError(f"there is no file {file!r}", "check the path")
    if form not in ("", *TABLES, *FORMS):
        raise FileError(f"rows cannot be read from {file!r}", fix)
    if form in TABLES:
        from mlfolio.bulk import records
        from mlfolio.data.tables import read_any_table

        table, said = read_any_table(path)
        if said:
            typer.echo(f"note: {said}", err=True)
        return records(table), "csv"
    try:
        return _parse(path.read_text("utf-8"), path.name, form)
    except UnicodeDecodeError:
        raise FileError(f"{file} is not UTF-8 text", fix) from None


def _parse(text: str, name: str, form: str) -> tuple[Rows, str]:
    """Rows from JSON, JSON lines or CSV text; without a hint the text itself tells which."""
    from mlfolio.core.errors import FileError

    start = text.lstrip()[:1]
    if not start:
        raise FileError(f"{name} is empty", "give at least one row")
    try:
        if form == "json" or (not form and start == "["):
            form, content = "json", json.loads(text)
            rows = content if isinstance(content, list) else [content]
        elif form == "jsonl" or (not form and start == "{"):
            form, lines = "jsonl", text.splitlines()
            rows = [json.loads(line) for line in lines if line.strip()]
        else:
            cells = csv.DictReader(io.StringIO(text))
            return [{k: v for k, v in row.items() if k and v} for row in cells], "csv"
    except json.JSONDecodeError as error:
        raise FileError(f"{name} is no JSON: {error}", "check that line") from None
    except RecursionError:
        raise FileError(f"{name} is nested too deeply", "a row is a flat object") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise FileError(
                f"row {number} of {name} is no object: {str(row)[:80]}",
                'a row is an object, {"field": value}',
            )
    return rows, form


def _with_pictures(row: dict[str, Any], kind: type[Input]) -> dict[str, Any]:
    """The row with `@PATH` replaced by that file's content in base64, in fields for pictures.

    Only the command line reads files; a served model never opens a path that a client names.

    Raises:
        FileError: There is no such file.
    """
    from mlfolio.core.errors import FileError
    from mlfolio.core.inputs import file_fields

    pictures = {name.lower() for name in file_fields(kind)}
    row = dict(row)
    for name, value in row.items():
        if name.lower() in pictures and str(value).startswith("@"):
            path = value[1:]
            try:
                row[name] = base64.b64encode(Path(path).read_bytes()).decode()
            except OSError as error:
                raise FileError(
                    f"there is no file {path!r} that can be read: {error.strerror}",
                    f"check the path in {name}=@PATH",
                ) from None
    return row


def _split(predictor: Predictor, rows: Rows) -> tuple[Rows, Rows]:
    """Parts rows into what the model is asked and what it says it does not use (id, target)."""
    from mlfolio.bulk import unused_columns

    names = list(dict.fromkeys(name for row in rows for name in row))
    unused = set(unused_columns(predictor.model, names))
    asked = [{k: v for k, v in row.items() if k not in unused} for row in rows]
    return asked, [{k: v for k, v in row.items() if k in unused} for row in rows]


def _labels(unused: Rows) -> Rows:
    """What tells the rows apart: unused columns without a value twice, or numbers from 1."""
    names = dict.fromkeys(name for row in unused for name in row)
    ids = [name for name in names if len({str(row.get(name)) for row in unused}) == len(unused)]
    if not ids:
        return [{"row": number} for number in range(1, len(unused) + 1)]
    return [{name: row.get(name) for name in ids} for row in unused]


def _as_text(answers: Sequence[Output], labels: Rows, form: str) -> str:
    """Answers in the form that was asked for, else in that of the rows."""
    if form == "csv":
        return _as_csv(answers, labels)
    return _as_lines(answers, labels) if form == "lines" else _as_json(answers, form)


def _as_json(answers: Sequence[Output], form: str) -> str:
    """Answers as one JSON list, or as JSON lines."""
    plain = [answer.model_dump(mode="json") for answer in answers]
    if form == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)


def _as_csv(answers: Sequence[Output], labels: Rows) -> str:
    """Answers as CSV, the rows' labels first, one column for each class's probability."""
    from mlfolio.bulk import cell, flat

    rows = []
    for label, answer in zip(labels, answers, strict=True):
        label = {name: cell(_harmless(value)) for name, value in label.items()}
        rows.append(label | flat(answer))
    buffer = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _as_lines(answers: Sequence[Output], labels: Rows) -> str:
    """Answers a line each, for people and for grep: answer, how sure, what tells the row apart."""
    lines = [
        "\t".join([str(answer.answer), _percent(answer.confidence), *map(str, label.values())])
        for label, answer in zip(labels, answers, strict=True)
    ]
    return "".join(f"{line}\n" for line in lines)


def _harmless(value: Any) -> Any:
    """A label that no spreadsheet takes for a formula: strangers write the subjects of mails."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "@")) else value


def _percent(confidence: float | None) -> str:
    return "" if confidence is None else f"{confidence:.1%}"


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
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if 0 < abs(value) < 0.1 else f"{value:.3f}"  # a coin of 0.00001234
