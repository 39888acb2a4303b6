"""Rows of a file or of a database, a chunk at a time, each cell as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlfolio.core.errors import FileError, UnknownNameError, UserError
from mlfolio.data.tables import check_names, csv_rows, plain_columns, sniff

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Executable

Cells = Sequence[Any]
CHUNK: Final = 20_000  # rows
SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")
# What pandas takes for an empty cell, so that rows mean the same as when a run reads the file.
MISSING: Final = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
     "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)  # fmt: skip
_COMMA: Final = re.compile(r"-?\d+,\d+")


class Rows(NamedTuple):
    """Rows to be read once.

    Attributes:
        origin: Where they come from, in words; no password is in it.
        columns: Their names.
        chunks: Lists of rows, in order. A row has text, numbers or None in its cells; of a CSV it
            may have too few or too many.
        missing: What stands in empty cells, but for None.
    """

    origin: str
    columns: tuple[str, ...]
    chunks: Iterator[list[Cells]]
    missing: frozenset[str] = MISSING


def files_at(path: Path) -> list[Path]:
    """The tables at a path: itself, or what lies in a folder, by name.

    Raises:
        FileError: There is nothing.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileError(f"there is no file or folder {str(path)!r}", "check the path")
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise FileError(f"there is no table in {path}", f"its name ends in {', '.join(SUFFIXES)}")
    return found


def read_file(path: Path) -> Rows:
    """The rows of a CSV (comma, semicolon, tab or bar; decimal commas too) or Parquet file.

    Raises:
        FileError: It cannot be read, now or while its chunks are.
    """
    try:
        if path.stat().st_size == 0:
            raise FileError(f"{path.name} is empty", "a CSV needs a line of column names and rows")
        return _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except OSError as error:
        raise FileError(
            f"{path} cannot be read: {error.strerror or error}", "check the path and who may read"
        ) from None


def _read_csv(path: Path) -> Rows:
    separator, decimal = sniff(path)

    def cells() -> Iterator[Cells]:
        with csv_rows(path, separator) as rows:
            for row in rows:
                if row:
                    yield row if decimal == "." else [_with_point(cell) for cell in row]

    lines = cells()
    columns = tuple(str(name).strip() for name in next(lines, ()))
    check_names(columns, path.name)
    return Rows(path.name, columns, in_chunks(lines))


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    def damaged(error: Exception) -> FileError:
        return FileError(f"{path.name} cannot be read as Parquet: {error}")

    def cells() -> Iterator[Cells]:
        try:
            with ParquetFile(path) as file:
                for batch in file.iter_batches(CHUNK):
                    table = plain_columns(pa.Table.from_batches([batch]), path.name)
                    yield from zip(*(_plain(c.to_pylist()) for c in table.columns), strict=True)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damaged(error) from None

    try:
        with ParquetFile(path) as file:
            names = plain_columns(file.schema_arrow.empty_table(), path.name).column_names
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(error) from None
    columns = tuple(str(name).strip() for name in names)
    check_names(columns, path.name)
    return Rows(path.name, columns, in_chunks(cells()), frozenset(("",)))


def read_database(url: str, *, query: str | None = None, table: str | None = None) -> Rows:
    """What a query or a table of a database holds.

    SQLite and PostgreSQL are asked to let nothing be changed; elsewhere all is rolled back.

    Args:
        url: SQLAlchemy URL.
        query: SQL.
        table: Name of a table or view, with its schema before a point where it needs one.

    Raises:
        UserError: Not one of the two is given, or the database cannot be used.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    if (query is None) == (table is None):
        raise UserError("a database needs a query or a table", "--table NAME or --query SQL")
    address = _address(url)

    def rows() -> Iterator[Cells]:
        engine = _engine(address)
        try:
            options = {"stream_results": True, "postgresql_readonly": True}
            with engine.connect().execution_options(**options) as connection:
                asked = text(query) if query is not None else _all_of(connection, str(table))
                result = connection.execute(asked)
                yield list(result.keys())
                for part in result.partitions(CHUNK):
                    for row in part:
                        yield _plain(row)
        except SQLAlchemyError as error:
            raise _unusable(address, error) from None
        finally:
            engine.dispose()

    lines = rows()
    columns = tuple(map(str, next(lines)))
    asked = f"table {table}" if table is not None else f"query {query}"
    check_names(columns, asked)
    return Rows(
        f"{_without_password(address)}, {asked}", columns, in_chunks(lines), frozenset(("",))
    )


def _address(url: str) -> URL:
    """The URL in parts, and of SQLite a database that is there: connecting would make it.

    Raises:
        UserError: It is none, or an @ in a password makes it another one.
        FileError: There is no such database.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        address = make_url(url)
    except (SQLAlchemyError, ValueError):
        kind = url.partition("://")[0]  # the rest may hold a password
        raise UserError(
            f"{kind}://... is no URL of a database",
            "for example postgresql://user:password@host/database or sqlite:///file.db",
        ) from None
    if address.host and "@" in f"{address.host}{address.database}":
        raise UserError(
            f"the URL of {address.get_backend_name()} has more than one @",
            "in a user name or a password write %40 for @, %2F for / and %3A for :",
        )
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        raise FileError(f"there is no database {address.database!r}", "check the path")
    return address


def _engine(address: URL) -> Any:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    if address.get_backend_name() == "sqlite":  # which has no transaction around DROP
        uri = Path(str(address.database)).resolve().as_uri()
        address = address.set(database=uri).update_query_dict({"mode": "ro", "uri": "true"})
    try:
        return create_engine(address)
    except (SQLAlchemyError, ImportError) as error:
        raise _unusable(address, error) from None


def _all_of(connection: Connection, name: str) -> Executable:
    """All rows of a table or view.

    Raises:
        UnknownNameError: There is none of this name.
    """
    from sqlalchemy import inspect, literal_column, select, table

    known = inspect(connection)
    schema, _, plain = name.rpartition(".")
    names = [*known.get_table_names(schema or None), *known.get_view_names(schema or None)]
    if plain not in names:
        raise UnknownNameError("table", name, names)
    return select(literal_column("*")).select_from(table(plain, schema=schema or None))


def _without_password(address: URL) -> str:
    """A database by kind, host and name."""
    return f"{address.get_backend_name()}://{address.host or ''}/{address.database or ''}"


def _unusable(address: URL, error: Exception) -> UserError:
    """What to say of a database that cannot be used; errors may quote what was sent to it."""
    original = getattr(error, "orig", None)
    said = str(original or "").strip().partition("\n")[0]
    secrets = [str(address.password or ""), *map(str, address.query.values())]
    user = re.search(rf"\b{re.escape(address.username)}\b", said) if address.username else None
    if user or any(secret and secret in said for secret in secrets):
        said = ""
    return UserError(
        f"{_without_password(address)} cannot be read: {said or type(error).__name__}",
        "check the URL, and the query or the name of the table",
    )


def _plain(cells: Iterable[Any]) -> list[Any]:
    """Cells as numbers, text and None.

    Raises:
        FileError: One is of another kind.
    """
    return [cell if cell is None or type(cell) in (str, int, float) else _as_plain(cell)
            for cell in cells]  # fmt: skip


def _as_plain(cell: Any) -> Any:
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, date | time):
        return cell.isoformat()
    raise FileError(
        f"a cell holds {type(cell).__name__}: {str(cell)[:60]}",
        "leave the column out, or make numbers or text of it",
    )


def in_chunks(rows: Iterable[Cells]) -> Iterator[list[Cells]]:
    """Rows in lists of at most `CHUNK`."""
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
