"""Answers to large files, Parquet to Parquet: a few batches of rows are in memory, never all.

They are given here, one batch after the other, or on a Ray cluster, by Ray Data. The answers and
their order are the same.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile, ParquetWriter

from mlfolio.core.errors import FileError, InputError, Problem
from mlfolio.core.inputs import field_names, parse_inputs
from mlfolio.core.model import Model, Output
from mlfolio.core.workers import Workers
from mlfolio.data.tables import plain_frame
from mlfolio.parts.cluster import Cluster, telling

BATCH: Final = 5_000  # rows
REFUSED: Final = "refused by mlfolio"  # the column in which a machine says what is wrong

Rows = list[dict[str, Any]]


class Part(NamedTuple):
    """A batch's place in a Parquet file.

    Attributes:
        group: The row group that it is in.
        start: Its first row in that group.
        first: Its first row in the file.
    """

    group: int
    start: int
    first: int


def answer_file(
    model: Model,
    source: Path,
    target: Path,
    workers: Workers | None = None,
    say: Callable[[int], object] = lambda rows: None,
) -> int:
    """Answers each row of a Parquet file in another one, which appears whole or not at all.

    The answers have the columns that tell the rows apart (unused ones without a value twice, else
    the rows' numbers from 1) and the fields of the model's output, as in CSV.

    Args:
        model: Who answers.
        source: The rows. The machines of a cluster read it themselves: it has to be on each. One
            of its row groups is in memory at a time, on a cluster one on each core.
        target: Where the answers go.
        workers: Who does it; None for this process.
        say: Is told how many more rows are answered.

    Returns:
        The number of rows.

    Raises:
        FileError: The file cannot be read, or has no rows.
        InputError: The model refuses rows: the problems of the first batch with any.
        MlfolioError: The cluster could not do it.
    """
    answering = Answering(model, source, _labels(model, source))
    parts = _parts(source)
    work = _on_cluster if isinstance(workers, Cluster) else _here
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    done = 0
    try:
        with ParquetWriter(temporary, answering.schema) as writer:
            for answers in work(answering, parts):
                writer.write_table(answers)
                done += len(answers)
                say(len(answers))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return done


class Answering:
    """A model that answers batches of a file's rows.

    Attributes:
        model: Who answers.
        source: The file.
        labels: Its columns that are kept beside the answers; without any, rows are numbered.
        schema: The columns of the answers.
    """

    def __init__(self, model: Model, source: Path, labels: Sequence[str]) -> None:
        columns = _opened(source).schema_arrow
        (example,) = model.predict(model.examples()[:1])
        answer = {name: _kind(name, value) for name, value in flat(example).items()}
        self.model = model
        self.source = source
        self.labels = [name for name in labels if name not in answer]
        kept = [columns.field(name) for name in self.labels] or [("row", pa.int64())]
        self.schema = pa.schema([*kept, *answer.items()])
        self._group = -1, columns.empty_table()

    def __call__(self, part: Part) -> pa.Table:
        """The answers to a batch.

        Raises:
            InputError: The model refuses rows; they are numbered as in the file.
        """
        rows = self._read(part)
        asked = rows.drop_columns(unused_columns(self.model, rows.column_names))
        questions = records(plain_frame(asked, self.source.name))
        inputs = parse_inputs(self.model, questions, part.first)
        labels = rows.select(self.labels).to_pylist()
        if not self.labels:
            labels = [{"row": part.first + number} for number in range(1, len(rows) + 1)]
        answers = zip(labels, self.model.predict(inputs), strict=True)
        return pa.Table.from_pylist(
            [label | flat(output) for label, output in answers], self.schema
        )

    def _read(self, part: Part) -> pa.Table:
        """The rows of a batch; its row group is kept for the next one."""
        if self._group[0] != part.group:
            self._group = part.group, _opened(self.source).read_row_group(part.group)
        return self._group[1].slice(part.start, BATCH)


def flat(output: Output) -> dict[str, Any]:
    """An answer as cells of a table, one for each class's probability."""
    row = output.model_dump(mode="json")
    chances = row.pop("probabilities", {})
    row |= {f"probability of {name}": chance for name, chance in chances.items()}
    return {name: cell(value) for name, value in row.items()}


def cell(value: Any) -> Any:
    """A value as the cell of a table: lists of words joined, other lists and objects as JSON."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def records(table: Any) -> Rows:
    """The rows of a frame, shape (n, columns), without the cells that are empty."""
    return [
        {str(name): value for name, value in row.items() if not (value is None or value != value)}
        for row in table.astype(object).to_dict("records")
    ]


def unused_columns(model: Model, names: Sequence[str]) -> list[str]:
    """The columns that a model says it does not use: ids, its target."""
    fields = set(field_names(model.input_type))
    ignored = {name.lower() for name in getattr(model, "ignored", ())}
    return [name for name in names if name not in fields and str(name).lower() in ignored]


def _here(answering: Answering, parts: Sequence[Part]) -> Iterator[pa.Table]:
    return map(answering, parts)


def _on_cluster(answering: Answering, parts: Sequence[Part]) -> Iterator[pa.Table]:
    """The same by Ray Data: each core of the cluster has the model and takes a batch at a time."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_items

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = context.print_on_execution_start = False
    model, source = answering.model, answering.source.resolve()
    stored = ray.put((type(model), _files(model), source, answering.labels))
    cores = int(ray.cluster_resources()["CPU"])
    items = [part._asdict() for part in parts]
    with telling():
        answers = from_items(items, override_num_blocks=len(items)).map_batches(
            _Copy, fn_constructor_args=(stored,), batch_size=None, batch_format="pyarrow",
            compute=ActorPoolStrategy(size=min(cores, len(items))), num_cpus=1,
        )  # fmt: skip
        for block in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
            for said in block.column(REFUSED).drop_null().to_pylist():
                raise InputError([Problem(*problem) for problem in json.loads(said)])
            yield block.drop_columns(REFUSED).cast(answering.schema)


class _Copy:
    """A model on one of the cluster's cores, read from its files."""

    def __init__(self, stored: Any) -> None:
        import ray

        kind, files, source, labels = ray.get(stored)
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._answering = Answering(kind.load(Path(folder)), source, labels)

    def __call__(self, parts: pa.Table) -> pa.Table:
        """The answers to one batch, or one empty row that says what is wrong with it."""
        schema = self._answering.schema.append(pa.field(REFUSED, pa.string()))
        (part,) = parts.to_pylist()
        try:
            answers = self._answering(Part(**part))
        except InputError as error:
            said = {REFUSED: json.dumps(error.problems)}
            return pa.Table.from_pylist([said], schema)
        return answers.append_column(schema.field(REFUSED), pa.nulls(len(answers), pa.string()))


def _files(model: Model) -> dict[str, bytes]:
    """What a model is stored as, by name."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _parts(source: Path) -> list[Part]:
    """All batches of a file, none of them in two row groups.

    Raises:
        FileError: It has no rows.
    """
    facts = _opened(source).metadata
    if not facts.num_rows:
        raise FileError(f"{source} has column names and no rows", "add rows")
    parts, first = [], 0
    for group in range(facts.num_row_groups):
        n = facts.row_group(group).num_rows
        parts += [Part(group, start, first + start) for start in range(0, n, BATCH)]
        first += n
    return parts


def _labels(model: Model, source: Path) -> list[str]:
    """The unused columns that no value is twice in; they are read one after the other."""
    file = _opened(source)
    n, unused = file.metadata.num_rows, unused_columns(model, file.schema_arrow.names)
    return [
        name for name in unused
        if pc.count_distinct(file.read([name]).column(0), mode="all").as_py() == n
    ]  # fmt: skip


def _opened(source: Path) -> ParquetFile:
    try:
        return ParquetFile(source)
    except (OSError, pa.ArrowException) as error:
        raise FileError(f"{source} cannot be read as Parquet: {error}", "check the path") from None


def _kind(name: str, value: Any) -> pa.DataType:
    """The type of a column by one of its cells; an empty one is a confidence, or text."""
    if value is None:
        return pa.float64() if name == "confidence" else pa.string()
    return pa.scalar(value).type
