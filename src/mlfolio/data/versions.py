"""A system's living data: batches of rows that came one after the other, and their versions.

`runs/data/<system>/` holds `batches/`, Parquet files that are never changed, and for each version a
manifest `<system>-N.version` that lists the batches it is made of. A manifest is written last, so
a version is there whole or not at all. It is read like any other table: `--data PATH`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from mlfolio.core.errors import FileError, MlfolioError
from mlfolio.core.run import runs_folder, write_json
from mlfolio.data.fingerprint import fingerprint, fingerprint_of_parts

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIX: Final = ".version"
BATCHES, SPLITS, PART = "batches", "splits", ".part"
GREATEST: Final = 1e100  # as in a labelled table: what is beyond it is no number to learn from
EXACT: Final = r"^[-+]?(\d{16,}|0\d+)$"  # an id: as a number it would be another one
# What pandas takes for a truth value, so that rows mean the same as when a run reads the file.
TRUTHS: Final = {word: word.capitalize() for name in ("true", "false")
                 for word in (name, name.upper(), name.capitalize())}  # fmt: skip
PREDICTION: Final = "prediction_id"  # tells answers of the log apart; nothing is learned from it


class Batch(BaseModel):
    """Rows that came together.

    Attributes:
        file: Its Parquet file in `batches/`.
        fingerprint: Of the rows in it.
        rows: How many there are.
        origin: Where they came from, in words; no password is in it.
        source: Fingerprint of all that came, also of what was set aside: it tells a batch that
            comes again.
        quarantined: Rows that were set aside as bad.
        made: When, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    fingerprint: str
    rows: int
    origin: str
    source: str
    quarantined: int = 0
    made: str


class DataVersion(BaseModel):
    """The data of a system as they were once; later batches make later versions.

    Attributes:
        system: Whose data.
        number: From 1.
        fingerprint: Of the batches' fingerprints, in order.
        rows: How many there are in all.
        batches: What it is made of, the oldest first.
        made: When, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    system: str
    number: int
    fingerprint: str
    rows: int
    batches: tuple[Batch, ...]
    made: str

    @property
    def path(self) -> Path:
        """Its manifest, which `--data` and `Source.own` take."""
        return DataStore(self.system).manifest(self.number)

    def parts(self) -> Iterator[tuple[int, DataFrame]]:
        """Its rows, some thousands at a time, each time with their batch's number, from 1.

        Raises:
            FileError: A batch is gone, or is not what it was.
        """
        for number, batch in enumerate(self.batches, 1):
            for table in _read_batch(self.path.parent / BATCHES / batch.file, batch):
                yield number, table.to_pandas()


class Staging:
    """Rows that come in chunks; what type a column has is known when all are there."""

    def __init__(self, folder: Path, columns: Collection[str], numbers: Collection[str]) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "staged.parquet"
        self.rows = 0
        kinds = [(c, pa.float64() if c in numbers else pa.string()) for c in columns]
        self._schema = pa.schema(kinds)
        self._writer = ParquetWriter(self.path, self._schema)

    def add(self, frame: DataFrame) -> None:
        """Takes rows: floats in the columns of numbers, text or None in the others."""
        import pyarrow as pa

        table = pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False)
        self._writer.write_table(table)
        self.rows += len(frame)

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def finish(self, target: Path) -> str:
        """Writes the batch with its columns' types, which are those that a CSV would have.

        Returns:
            Its fingerprint.
        """
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile, ParquetWriter

        self.close()
        typed = self.path.with_name("typed.parquet")
        with ParquetFile(self.path) as staged:
            kinds = {name: _type_of(staged, name) for name in self._schema.names}
            truths = [name for name, kind in kinds.items() if kind == pa.bool_()]
            schema = pa.schema(list({**kinds, **dict.fromkeys(truths, pa.string())}.items()))

            def groups() -> Iterator[DataFrame]:
                for number in range(staged.num_row_groups):
                    table = _with_truths(staged.read_row_group(number), truths).cast(schema)
                    writer.write_table(table)
                    yield table.to_pandas()

            with ParquetWriter(typed, schema) as writer:
                found = fingerprint_of_parts(groups())
        target.parent.mkdir(exist_ok=True)
        typed.replace(target)
        return found


class DataStore:
    """Where a system's batches and versions lie.

    Attributes:
        system: Its name.
        folder: `runs/data/<system>`.
    """

    def __init__(self, system: str) -> None:
        self.system = system
        self.folder = runs_folder() / "data" / system

    def manifest(self, number: int) -> Path:
        """Where a version's manifest lies."""
        return self.folder / f"{self.system}-{number}{SUFFIX}"

    def versions(self) -> list[DataVersion]:
        """All versions, the oldest first.

        Raises:
            FileError: A manifest is damaged.
        """
        found = [read_manifest(path) for path in self.folder.glob(f"*{SUFFIX}")]
        return sorted(found, key=lambda version: version.number)

    def latest(self) -> DataVersion | None:
        """The newest version; None if there is none. Only its own manifest is read.

        Raises:
            FileError: It is damaged.
        """
        numbers = {
            int(found[1]): path
            for path in self.folder.glob(f"*{SUFFIX}")
            if (found := re.search(r"-(\d+)$", path.stem))
        }
        return read_manifest(numbers[max(numbers)]) if numbers else None

    def where(self, path: Path) -> Path:
        """Where data of a run lie now: they lie beside the runs, also after both moved.

        Args:
            path: Where they lay: a version, or a file that a training was split into
                (`splits/<name>/<file>`).

        Returns:
            The path itself where something is there, or where it is neither of the two.
        """
        if path.exists():
            return path
        if path.suffix == SUFFIX:
            return self.folder / path.name
        if path.parent.parent.name == SPLITS:
            return self.folder / SPLITS / path.parent.name / path.name
        return path

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A folder for what is not whole yet, while nobody else writes; it is gone afterwards.

        Raises:
            MlfolioError: The disk is full, or may not be written.
        """
        part = self.folder / PART
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                shutil.rmtree(part, ignore_errors=True)  # of a writer that was killed
                part.mkdir()
                try:
                    yield part
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        except OSError as error:
            raise MlfolioError(
                f"the batch could not be kept in {self.folder}: {error.strerror or error}",
                "make room or get the right to write there, and bring the batch again; "
                "the versions of before are as they were",
            ) from error

    def add(self, staged: Staging, *, origin: str, source: str, quarantined: int) -> DataVersion:
        """Makes a batch of staged rows, and a version that has it too; to be called in `writing`.

        Args:
            staged: The rows, at least one.
            origin: Where they came from, in words.
            source: Fingerprint of all that came.
            quarantined: How many rows were set aside.
        """
        before = self.latest()
        number = before.number + 1 if before else 1
        file = f"{number:04d}.parquet"
        made = datetime.now(UTC).isoformat(timespec="seconds")
        batch = Batch(
            file=file, fingerprint=staged.finish(self.folder / BATCHES / file), rows=staged.rows,
            origin=origin, source=source, quarantined=quarantined, made=made,
        )  # fmt: skip
        batches = (*(before.batches if before else ()), batch)
        version = DataVersion(
            system=self.system, number=number, rows=sum(each.rows for each in batches),
            fingerprint=fingerprint(*(each.fingerprint for each in batches)), batches=batches,
            made=made,
        )  # fmt: skip
        write_json(version.path, version)
        return version


def read_manifest(path: Path) -> DataVersion:
    """What a version says of itself.

    Raises:
        FileError: It is damaged.
    """
    try:
        return DataVersion.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise FileError(
            f"{path} is no version of data: {str(error).splitlines()[0]}",
            "name another one; mlfolio ingest makes them",
        ) from None


def read_version(path: Path) -> DataFrame:
    """The rows of a version, the oldest batch first, in the types that a CSV of them would have.

    Ids that a number would change stay text (0042), and those of the log's answers are left out.

    Raises:
        FileError: A batch is gone, or is not what it was.
    """
    import pyarrow as pa

    tables = [
        pa.concat_tables(_read_batch(path.parent / BATCHES / batch.file, batch))
        for batch in read_manifest(path).batches
    ]
    # A column that is text in one batch is text in all of them.
    texts = {f.name for table in tables for f in table.schema if pa.types.is_string(f.type)}
    cast = [
        table.cast(pa.schema([(f.name, pa.string() if f.name in texts else f.type)
                              for f in table.schema]))
        for table in tables
    ]  # fmt: skip
    whole = pa.concat_tables(cast, promote_options="permissive")
    if PREDICTION in whole.column_names:
        whole = whole.drop_columns([PREDICTION])
    frame: DataFrame = whole.to_pandas()
    return frame


def _read_batch(path: Path, batch: Batch) -> Iterator[Any]:
    """A batch as Arrow tables of some thousand rows, once its fingerprint was seen to be right."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    fix = "bring the file back from a copy; versions before this batch can still be read"
    try:
        with ParquetFile(path) as file:
            groups = range(file.num_row_groups)
            found = fingerprint_of_parts(file.read_row_group(n).to_pandas() for n in groups)
            if found == batch.fingerprint:
                yield from map(file.read_row_group, groups)
                return
    except (OSError, pa.ArrowException) as error:
        raise FileError(f"{path} cannot be read: {error}", fix) from None
    raise FileError(f"{path} is not what it was: its fingerprint is another one", fix)


def _type_of(staged: Any, name: str) -> Any:
    """The type that a CSV with these cells would give a column: numbers, truth values or text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = staged.read(columns=[name]).column(0)
    if values.null_count == len(values):
        return pa.float64()
    if pa.types.is_string(values.type):
        if pc.any(pc.match_substring_regex(values, EXACT)).as_py():
            return pa.string()
        if pc.all(pc.is_in(values.drop_null(), value_set=pa.array(TRUTHS))).as_py():
            return pa.bool_()
    for kind in (pa.int64(), pa.float64()):
        if kind == pa.int64() and values.null_count:
            continue
        try:
            numbers = values.cast(kind)
        except pa.ArrowInvalid:
            continue
        if pc.max(pc.abs(numbers.cast(pa.float64(), safe=False))).as_py() <= GREATEST:
            return kind
    return values.type


def _with_truths(table: Any, columns: Sequence[str]) -> Any:
    """An Arrow table with the truth values in some columns written True and False."""
    import pyarrow.compute as pc

    for name in columns:
        at = table.column_names.index(name)
        table = table.set_column(at, name, pc.utf8_capitalize(table.column(at)))
    return table
