"""Batches of rows: looked at one by one, the good ones kept, the bad ones set aside with reasons.

A batch that is kept makes a new version of the system's data (`data.versions`), on which
`mlfolio run NAME --data VERSION` trains. Nothing is dropped silently: what is not kept lies in
`runs/data/<system>/quarantine` or `unlabelled`, as lines of JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import numpy as np
from pydantic import ValidationError

from mlfolio.core.catalog import get_system
from mlfolio.core.errors import FileError, Problem, UnknownNameError, UserError, nearest
from mlfolio.core.run import to_json, write_json
from mlfolio.data.chunks import Cells, Rows, files_at, in_chunks, read_database, read_file
from mlfolio.data.versions import PREDICTION, TRUTHS, DataStore, DataVersion, Staging
from mlfolio.lifecycle import load
from mlfolio.monitor import rules as the_rules
from mlfolio.monitor.copies import Copies
from mlfolio.monitor.rules import Founded, Rules, as_text
from mlfolio.track import log, registry

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_BAD: Final = 0.5
FOUNDED: Final = "founded.json"
FEW: Final = 10  # reasons that an error tells
ALL: Final = 2**62  # answers


@dataclass
class Ingested:
    """What became of a batch, or of several.

    Attributes:
        system: Whose data.
        origin: Where the rows came from.
        by: Whose rules they were held against.
        accepted: Rows that are kept.
        quarantined: Rows that were set aside as bad.
        unlabelled: Rows without what is to be predicted, which were set aside too.
        known: Rows that an earlier batch has; nothing was done with them.
        reasons: How often each reason for quarantine was given.
        strange: In how many accepted rows each column had a value that training never saw.
        new_columns: Columns that the rules do not know; they are kept.
        version: The newest version of the data now.
        files: Where the rows lie that were set aside.
        again: Whether the very same batch came before, so that nothing was done.
        founded: Whether it was the first one, whose rows made the rules.
    """

    system: str
    origin: str
    by: str = ""
    accepted: int = 0
    quarantined: int = 0
    unlabelled: int = 0
    known: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    new_columns: tuple[str, ...] = ()
    version: DataVersion | None = None
    files: tuple[Path, ...] = ()
    again: bool = False
    founded: bool = False


class Wishes(NamedTuple):
    """How a batch is to be taken.

    Attributes:
        target: The column to predict; None for the champion's.
        id: The column that tells rows apart; None for one whose name says so.
        most_bad: Share of bad rows, in [0, 1], beyond which the whole batch is refused.
        copies: Whether a row, or an id, may be in a batch twice.
        dry: Whether to look only.
    """

    target: str | None = None
    id: str | None = None
    most_bad: float = MOST_BAD
    copies: bool = False
    dry: bool = False


def ingest(
    system: str,
    where: str | Path | None = None,
    *,
    query: str | None = None,
    table: str | None = None,
    feedback: bool = False,
    target: str | None = None,
    id: str | None = None,
    most_bad: float = MOST_BAD,
    copies: bool = False,
    dry: bool = False,
    tell: Callable[[Ingested], None] = lambda result: None,
) -> list[Ingested]:
    """Takes new rows into a system's data, each file as a batch of its own.

    Args:
        system: Its name.
        where: A CSV or Parquet file, a folder of them, or the SQLAlchemy URL of a database.
        query: SQL, for a database.
        table: A table or view, for a database.
        feedback: Take the questions of the prediction log whose answer somebody corrected or
            confirmed, in the place of `where`.
        target: The column to predict; that of the champion's run if None.
        id: The column that tells rows apart; if None one that nothing is learned from and whose
            name says so, where there is one.
        most_bad: Share of bad rows among those with a label, in [0, 1], beyond which a batch is
            refused whole.
        copies: Whether a row, or an id, may be in a batch twice. Rows of earlier batches are not
            taken again.
        dry: Look and tell only; nothing is kept.
        tell: Is told what became of each batch as soon as that is known.

    Returns:
        What became of each batch, in order.

    Raises:
        UserError: There is nothing to read, or a batch was refused; those before it are kept.
    """
    kind = get_system(system)
    champion = registry.champion(system)
    usual = champion.knobs.get("target") if champion else None
    default = kind.model_fields.get("target")
    chosen = target or usual or (default.default if default else None) or None
    wishes = Wishes(chosen, id, most_bad, copies, dry)
    rules = the_rules.champion_rules(load(system), chosen) if champion else None
    sources = _sources(system, where, query, table, feedback, chosen)
    results = []
    for rows in sources:
        results.append(_take(system, rows, rules, wishes))
        tell(results[-1])
    return results


def _sources(
    system: str, where: str | Path | None, query: str | None, table: str | None, feedback: bool,
    target: str | None,
) -> Iterator[Rows]:  # fmt: skip
    """The batches, each read when its turn comes."""
    if feedback == (where is not None):
        raise UserError(
            "one source of rows is needed", "name a file, a folder or a URL; or --feedback"
        )
    if feedback:
        yield _judged(system, target)
    elif "://" in str(where):
        yield read_database(str(where), query=query, table=table)
    elif query is not None or table is not None:
        raise UserError(f"{where} is a file, which has no tables", "leave --query and --table out")
    else:
        yield from map(read_file, files_at(Path(str(where)).expanduser()))


def _judged(system: str, target: str | None) -> Rows:
    """What was asked and is now known, as rows with the ids of the answers; nothing of tenants."""
    if target is None:
        raise UserError(f"what column do the true answers of {system} go into?", "--target COLUMN")
    versions = {told.version for told in log.feedback(system) if told.version is not None}
    answers = [
        answer
        for version in versions
        for answer in log.answers(system, version, 0, ALL, judged=True, newest=False)
        if answer["truth"] is not None and answer["input"] is not None
    ]
    if not answers:
        raise UserError(
            f"nobody has told a true answer of {system} whose question was kept",
            'POST /v1/systems/NAME/feedback {"id": ..., "answer": ...} tells one',
        )
    answers.sort(key=lambda answer: (answer["told"], answer["id"]))
    asked = [json.loads(answer["input"]) for answer in answers]
    names = dict.fromkeys(name for question in asked for name in question if name != target)
    rows = (
        [answer["id"], *map(question.get, names), _truth(json.loads(answer["truth"]))]
        for answer, question in zip(answers, asked, strict=True)
    )
    columns = (PREDICTION, *names, target)
    return Rows("feedback in the prediction log", columns, in_chunks(rows), frozenset(("",)))


def _truth(answer: Any) -> Any:
    return str(answer) if isinstance(answer, bool) else answer


def _take(system: str, rows: Rows, rules: Rules | None, wishes: Wishes) -> Ingested:
    """Looks at a batch and keeps what is good of it."""
    store = DataStore(system)
    place: AbstractContextManager[Any] = TemporaryDirectory() if wishes.dry else store.writing()
    with place as part:
        before = store.latest()
        founded = None
        if rules is None:
            founded, rows = _founded(store, rows, wishes)
            output = getattr(get_system(system).model, "output_type", None)
            output = output if isinstance(output, type) else None
            rules = the_rules.founded_rules(founded, output)
        looked = _Look(Path(part), rows, rules, wishes, before)
        result = Ingested(system, rows.origin, rules.by, version=before)
        try:
            looked.go_through(result)
        finally:
            looked.close()
        source = looked.source.hexdigest()
        if before and any(batch.source == source for batch in before.batches):
            return Ingested(system, rows.origin, rules.by, version=before, again=True)
        result.founded = before is None and founded is not None
        if not wishes.dry:
            result.files = _set_aside(store, looked, source)
        _refuse_bad(result, wishes)
        if result.accepted and not wishes.dry:
            if founded is not None:
                write_json(store.folder / FOUNDED, founded)
            result.version = store.add(
                looked.staged, origin=rows.origin, source=source, quarantined=result.quarantined
            )
        return result


def _founded(store: DataStore, rows: Rows, wishes: Wishes) -> tuple[Founded, Rows]:
    """What the first batch said; of the very first what its first rows say."""
    import pandas as pd

    path = store.folder / FOUNDED
    if path.exists() and store.latest():  # without one, its batch was never kept
        return _read_founded(path), rows
    first = next(rows.chunks, [])
    whole = [
        [None if _is_missing(cell, rows.missing) else as_text(cell) for cell in cells]
        for cells in first
        if len(cells) == len(rows.columns)
    ]
    _require_columns(rows, [wishes.target] if wishes.target else [], "the system")
    if not whole:
        raise FileError(f"{rows.origin} has no rows", "bring some")
    frame = pd.DataFrame(whole, columns=list(rows.columns), dtype=object)
    back = rows._replace(chunks=chain([first], rows.chunks))
    return the_rules.found(frame, wishes.target), back


def _read_founded(path: Path) -> Founded:
    """What the first batch said.

    Raises:
        FileError: The file is damaged.
    """
    try:
        return Founded.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise FileError(
            f"{path} is damaged: {str(error).splitlines()[0]}",
            "bring it back from a copy; or delete it, and the next batch says what a row must be",
        ) from None


class _Look:
    """One passage through a batch: good rows are staged, the others written down with reasons."""

    def __init__(
        self, part: Path, rows: Rows, rules: Rules, wishes: Wishes, before: DataVersion | None
    ) -> None:
        _require_columns(rows, [*rules.fields, *([rules.target] if rules.target else [])], rules.by)
        if wishes.id is not None and wishes.id not in rows.columns:
            raise UnknownNameError("column", wishes.id, rows.columns)
        used = {*rules.fields, rules.target}
        self.rows, self.rules, self.wishes = rows, rules, wishes
        self.id = wishes.id or the_rules.find_id(rows.columns, {str(name) for name in used})
        self.source = hashlib.sha256("\x1f".join(rows.columns).encode())
        self.staged = Staging(part, rows.columns, rules.numbers)
        self.bad = (part / "quarantine.jsonl").open("w", encoding="utf-8")
        self.unlabelled = (part / "unlabelled.jsonl").open("w", encoding="utf-8")
        self.copies = Copies(rows.columns, rules, self.id, within=not wishes.copies)
        for number, frame in before.parts() if before else ():
            self.copies.remember(frame, number)

    def close(self) -> None:
        """Ends all files."""
        self.staged.close()
        self.bad.close()
        self.unlabelled.close()

    def go_through(self, result: Ingested) -> None:
        """Looks at every row and counts what became of it."""
        names = {*self.rules.fields, *self.rules.further, self.rules.target, self.id}
        result.new_columns = tuple(c for c in self.rows.columns if c not in names)
        done = 0
        for chunk in self.rows.chunks:
            self.source.update("\n".join(map(repr, map(tuple, chunk))).encode())
            self._chunk(chunk, done, result)
            done += len(chunk)
        if not done:
            raise FileError(f"{self.rows.origin} has no rows", "bring some")

    def _chunk(self, chunk: list[Cells], first: int, result: Ingested) -> None:
        import pandas as pd

        good: list[list[Any]] = []
        places: list[int] = []
        for place, cells in enumerate(chunk):
            values = self._row(first + place, cells, result)
            if values is not None:
                good.append(values)
                places.append(place)
        frame = pd.DataFrame(good, columns=list(self.rows.columns), dtype=object)
        frame = frame.astype(dict.fromkeys(self.rules.numbers, float))
        kept = self._without_copies(frame, [(first + p, chunk[p]) for p in places], result)
        if len(kept):
            self.staged.add(kept)
            result.accepted += len(kept)
            result.strange.update(self.rules.strange(kept))

    def _row(self, number: int, cells: Cells, result: Ingested) -> list[Any] | None:
        """A row as it is kept; None if it is not, and then it is written down."""
        columns, rules = self.rows.columns, self.rules
        if len(cells) != len(columns):
            rule = f"has {len(cells)} cells, but there are {len(columns)} column names"
            self._quarantine(number, cells, [Problem(number, "(row)", rule)], result)
            return None
        row = {c: v for c, v in zip(columns, cells, strict=True)
               if not _is_missing(v, self.rows.missing)}  # fmt: skip
        row |= {c: TRUTHS.get(str(row[c]), row[c]) for c in rules.truths if c in row}
        numbers, problems = rules.row_problems(number, row)
        if rules.target is not None:
            label = cells[columns.index(rules.target)]
            if label in (None, "") or label != label:
                result.unlabelled += 1
                self._write(self.unlabelled, number, cells, [f"no {rules.target}"])
                return None
            row[rules.target] = rules.label(label)  # "None" may be a class
            problem = rules.label_problem(number, label)
            problems += [problem] if problem else []
        if problems:
            self._quarantine(number, cells, problems, result)
            return None
        return [
            numbers[c] if c in numbers else as_text(row[c]) if c in row else None for c in columns
        ]

    def _without_copies(
        self, frame: DataFrame, origins: Sequence[tuple[int, Cells]], result: Ingested
    ) -> DataFrame:
        """The rows that were not there before, in this batch or in an earlier one."""
        known, problems = self.copies.look(frame, np.array([n for n, _ in origins], np.int64))
        result.known += int(known.sum())
        for place, problem in sorted(problems.items()):
            self._quarantine(*origins[place], [problem], result)
        keep = ~known
        keep[list(problems)] = False
        return frame[keep]

    def _quarantine(
        self, number: int, cells: Cells, problems: Sequence[Problem], result: Ingested
    ) -> None:
        result.quarantined += 1
        result.reasons.update({f"{problem.field}: {problem.rule}" for problem in problems})
        self._write(self.bad, number, cells, [str(problem) for problem in problems])

    def _write(self, file: TextIO, number: int, cells: Cells, reasons: Sequence[str]) -> None:
        values = dict(zip(self.rows.columns, cells, strict=False))
        beyond = list(cells[len(self.rows.columns) :])
        line = {"row": number + 1, "reasons": [r.partition(", ")[2] or r for r in reasons],
                "values": values, **({"further": beyond} if beyond else {})}  # fmt: skip
        file.write(to_json(line) + "\n")


def _require_columns(rows: Rows, needed: Sequence[str], by: str) -> None:
    """Checks that a batch has the columns that its rows need.

    Raises:
        FileError: Some are missing.
    """
    missing = [column for column in needed if column not in rows.columns]
    if not missing:
        return
    near = {column: nearest(column, rows.columns) for column in missing}
    shown = [repr(c) + (f" (did you mean {near[c]!r}?)" if near[c] else "") for c in missing[:FEW]]
    raise FileError(
        f"{rows.origin} lacks {len(missing)} of the columns that {by} needs: {', '.join(shown)}",
        f"its columns are: {', '.join(rows.columns)}; a column to predict is named by --target",
    )


def _is_missing(cell: Any, missing: frozenset[str]) -> bool:
    return cell is None or cell in missing or cell != cell


def _set_aside(store: DataStore, looked: _Look, source: str) -> tuple[Path, ...]:
    """Puts the rows that are not kept where people look for them; nothing where there are none."""
    found = []
    for file in (looked.bad, looked.unlabelled):
        part = Path(file.name)
        if part.stat().st_size:
            folder = store.folder / part.stem
            folder.mkdir(exist_ok=True)
            found.append(part.replace(folder / f"{source[:16]}.jsonl"))
    return tuple(found)


def _refuse_bad(result: Ingested, wishes: Wishes) -> None:
    """Refuses a batch of which too much is bad.

    Raises:
        UserError: It is.
    """
    looked_at = result.accepted + result.known + result.quarantined
    if result.quarantined <= wishes.most_bad * looked_at:
        return
    reasons = [f"  {n:,} x {reason}" for reason, n in result.reasons.most_common(FEW)]
    aside = f"; they are in {result.files[0]}" if result.files else ""
    raise UserError(
        "\n".join([
            f"{result.origin} is refused: {result.quarantined:,} of {looked_at:,} rows are bad "
            f"by the rules of {result.by}{aside}", *reasons,
        ]),
        f"mend it, or allow more than {wishes.most_bad:.0%} with --most-bad",
    )  # fmt: skip
