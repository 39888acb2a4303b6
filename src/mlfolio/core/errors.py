"""One tree of errors. Each tells the value, the rule, the fix and, for names, the nearest one.

The command line prints them without a traceback and exits with `exit_code`, so scripts can tell a
typing error (2) from data that are not there (3) and from a failure (1).
"""

from __future__ import annotations

import copyreg
import shlex
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple


class MlfolioError(Exception):
    """Something went wrong that the user should read about: what, and what to do.

    Args:
        message: What is wrong, with the offending value.
        fix: What to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, fix: str = "") -> None:
        self.message = message
        self.fix = fix
        super().__init__(f"{message}\n  fix: {fix}" if fix else message)

    def __reduce__(self) -> tuple[Any, ...]:
        """How an error comes from another process: as it is, without its maker's arguments."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class UserError(MlfolioError):
    """The request cannot be met as it was made: a wrong name, value, file or column."""

    exit_code = 2


class UnknownNameError(UserError):
    """A name that does not exist, with the nearest one that does.

    Args:
        what: The kind of thing that was named ("system", "knob", "column").
        name: The name as given.
        known: The names that exist.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = nearest(name, names)
        hint = f"did you mean {near!r}? " if near else ""
        super().__init__(
            f"there is no {what} {name!r}", f"{hint}{what}s: {', '.join(names) or 'none'}"
        )


class MissedError(MlfolioError):
    """A model is not as good as was asked for."""


class KnobError(UserError):
    """One or more knobs with a wrong name or value; all of them at once."""


class Problem(NamedTuple):
    """What is wrong with one field of one row.

    Attributes:
        row: Its number, from 0.
        field: The field's name.
        rule: What it should be.
        value: What it is, as text; empty where there is none.
    """

    row: int
    field: str
    rule: str
    value: str = ""

    def __str__(self) -> str:
        """One line for a terminal, where people count rows from 1."""
        value = f" = {self.value}" if self.value else ""
        return f"row {self.row + 1}, {self.field}{value}: {self.rule}"


class InputError(UserError):
    """Rows that the model refuses, with all their problems."""

    def __init__(self, problems: Sequence[Problem], fix: str = "") -> None:
        self.problems = list(problems)
        shown = [str(problem) for problem in self.problems[:20]]
        if len(self.problems) > 20:
            shown.append(f"... and {len(self.problems) - 20} more")
        super().__init__(
            "\n".join(["the input was refused:", *(f"  {line}" for line in shown)]), fix
        )

    def after(self, rows: int) -> InputError:
        """The same problems of rows that so many others come before."""
        moved = [problem._replace(row=problem.row + rows) for problem in self.problems]
        return InputError(moved, self.fix)


class FileError(UserError):
    """A file of the user's that cannot be read as what it should be."""


class MissingExtraError(UserError):
    """An optional part of the package is needed and not installed."""

    def __init__(self, what: str, extra: str, module: str = "") -> None:
        reason = f" (no module {module!r})" if module else ""
        super().__init__(
            f"{what} needs the extra {extra!r}, which is not installed{reason}",
            install_command(extra),
        )


def install_command(extra: str) -> str:
    """The shell command that installs an extra, from the clone where the package runs from one."""
    root = Path(__file__).parents[3]
    if not (root / "pyproject.toml").is_file():
        return f"pip install 'mlfolio[{extra}]'"
    pip = [sys.executable, "-m", "pip", "install", "-c", str(root / "constraints.txt")]
    return shlex.join([*pip, "-e", f"{root}[{extra}]"])


class FullDiskError(MlfolioError):
    """There is no room for what a run has to write.

    Args:
        folder: The run's.
        error: What said so.
    """

    def __init__(self, folder: Path, error: BaseException) -> None:
        said = " ".join(str(error).split())[:200]
        super().__init__(
            f"the run ended, for there is no room for it in {folder}: {said}",
            "make room (earlier runs are folders beside it), or name a place with more of it in "
            "MLFOLIO_RUNS, and run again; a champion of before goes on",
        )


class LeakError(UserError):
    """The data doctor found that the test data are known to the training data."""


class NotTrainedError(UserError):
    """A system was asked for an answer before it had a model.

    Args:
        system: Its name.
        place: Where its models were looked for; left out where that is nobody's business.
    """

    def __init__(self, system: str, place: str = "") -> None:
        elsewhere = "; or go where it was run, or name its runs' folder in MLFOLIO_RUNS"
        super().__init__(
            f"{system} has no trained model yet{f' in {place}' * bool(place)}",
            f"mlfolio run {system}{elsewhere * bool(place)}",
        )


class DataUnavailableError(MlfolioError):
    """Official data that are neither placed on this machine nor obtainable."""

    exit_code = 3


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely stands for, ignoring case; None if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None
