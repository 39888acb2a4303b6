"""The card of a system: who it is and what it promises. Importing one loads nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Direction = Literal["higher", "lower"]
Kind = Literal["table", "image", "text", "documents", "series", "recommendation", "language model"]
Level = Literal["beginner", "intermediate", "advanced", "bonus"]


class Promise(BaseModel):
    """A metric that every evaluation of the system reports, and the value it should reach.

    The target holds for the official data only; on a sample or on the user's own data the metric
    is reported and the target left out.

    Attributes:
        metric: Its name.
        target: The value it should reach; None for a metric that is only reported.
        direction: Whether higher or lower is better.
        official: Whether it can be measured on the official data only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    target: float | None = None
    direction: Direction = "higher"
    official: bool = False


class Card(BaseModel):
    """Who a system is: what it does, what it needs, what it promises.

    The first promise is the primary one: it decides which model becomes champion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1, description="the project's number in the guide")
    slug: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="the name typed by users")
    title: str
    summary: str = Field(description="one sentence: what goes in and what comes out")
    kind: Kind
    task: str = Field("", description="its name on the model hub, where the kind does not tell it")
    level: Level
    dataset: str = Field(description="name of the official data set's record")
    promises: tuple[Promise, ...] = Field(min_length=1)
    extra: str | None = Field(None, description="the optional install it needs")
    learns: bool = Field(True, description="False where `fit` builds and nothing is learned")
    private: bool = Field(False, description="whether its inputs are too personal to be logged")
    method: str = Field("", description="how it works, in a sentence or two")
    intended_use: str = ""
    limits: tuple[str, ...] = ()

    @property
    def primary(self) -> Promise:
        """The promise that decides which model becomes champion."""
        return self.promises[0]
