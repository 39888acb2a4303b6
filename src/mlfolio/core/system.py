"""A system: typed knobs and three verbs. The base class validates knobs and does nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mlfolio.core.card import Card
from mlfolio.core.errors import KnobError, nearest
from mlfolio.core.model import Model
from mlfolio.core.run import Run
from mlfolio.core.score import Evaluation
from mlfolio.core.source import Source


class Finding(BaseModel):
    """One thing the data doctor noticed.

    Attributes:
        level: `leak` stops the run unless forced; `warning` may hurt; `note` is good to know.
        check: Which check found it.
        message: What was found, with numbers and names.
        fix: What to do about it.
    """

    model_config = ConfigDict(frozen=True)

    level: Literal["leak", "warning", "note"]
    check: str
    message: str
    fix: str = ""


class DataInfo(BaseModel):
    """What identifies a run's data.

    Attributes:
        source: Which of the three sources.
        dataset: Name of the data set, or of the user's file.
        licence: As its publisher states it.
        fingerprint: sha256 over everything that was loaded, the split included.
        test_fingerprint: sha256 over the part that scores are measured on: two runs whose values
            agree can be compared.
        rows: Number of items in each part.
    """

    model_config = ConfigDict(frozen=True)

    source: Source
    dataset: str
    licence: str
    fingerprint: str
    test_fingerprint: str
    rows: dict[str, int]


class Data(Protocol):
    """What `load` returns, beyond what the system itself knows of it."""

    @property
    def info(self) -> DataInfo:
        """What identifies these data."""
        ...

    def check(self) -> list[Finding]:
        """What the data doctor has to say, before any fit."""
        ...

    def without_test(self) -> Self:
        """The same data with the test part emptied; a fit that reads it fails (tests use this)."""
        ...


class System(BaseModel, ABC):
    """A machine-learning system. Its fields are its knobs; its three verbs are its life.

    Subclasses declare `card` (who it is), `model` (what `fit` returns, needed to load a stored
    one) and their knobs as pydantic fields with bounds and a description. `load`, `fit` and
    `evaluate` narrow `Data` and `Model` to the system's own types.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    card: ClassVar[Card]
    model: ClassVar[type[Model]]

    @abstractmethod
    def load(self, source: Source) -> Any:
        """Reads the data and splits off the test part.

        Raises:
            DataUnavailableError: Official data that are not here and not obtainable.
            FileError: The user's own data are not what the system needs.
        """

    @abstractmethod
    def fit(self, data: Any, run: Run) -> Any:
        """Makes a model from the training part alone."""

    @abstractmethod
    def evaluate(self, model: Any, data: Any, run: Run) -> Evaluation:
        """Measures the model beside its baselines on the test part, which is touched here once."""

    @classmethod
    def with_knobs(cls, knobs: Mapping[str, Any]) -> Self:
        """The system with some knobs changed; values may be strings, as typed in a shell.

        Raises:
            KnobError: Unknown names and bad values, all of them at once.
        """
        try:
            return cls.model_validate(dict(knobs))
        except ValidationError as error:
            problems = [_knob_problem(cls, details) for details in error.errors()]
            raise KnobError(
                "\n".join([f"{cls.card.slug} cannot be run with these knobs:", *problems]),
                f"mlfolio info {cls.card.slug} lists the knobs with their bounds",
            ) from None


def _knob_problem(system: type[System], details: Any) -> str:
    """One line for one problem that pydantic found."""
    name = ".".join(str(part) for part in details["loc"]) or "(all)"
    if details["type"] == "extra_forbidden":
        near = nearest(name, system.model_fields)
        hint = f"; did you mean {near!r}?" if near else ""
        return f"  {name}: no such knob{hint} (knobs: {', '.join(system.model_fields) or 'none'})"
    return f"  {name} = {details['input']!r}: {details['msg']}"
