"""A score is a number that can be compared: with its interval, its protocol and its baselines."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mlfolio.core.card import Direction


class Baseline(BaseModel):
    """What the same metric is without the model, on the same data and protocol.

    Attributes:
        name: What was used instead of the model.
        value: Its score.
        gain_ci95: 95 % interval of (model - baseline), paired on the same test items; None where
            no paired interval was computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    value: float
    gain_ci95: tuple[float, float] | None = None

    @property
    def differs(self) -> bool | None:
        """Whether the difference to the model is significant (the interval leaves zero out)."""
        if self.gain_ci95 is None:
            return None
        low, high = self.gain_ci95
        return low > 0 or high < 0


class Score(BaseModel):
    """One measured number and what is needed to judge it.

    Attributes:
        name: The metric ("accuracy", "nDCG@10").
        value: What was measured.
        direction: Whether higher or lower is better.
        n: On how many test items.
        ci95: 95 % confidence interval, (low, high).
        protocol: How it was measured, in words that let somebody else do it again.
        trivial: The trivial baseline (majority class, random ranking).
        strong: The strong cheap baseline that a model has to beat to be worth its cost.
        target: What the card promises; None on a sample and on the user's own data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    value: float
    n: int = Field(ge=1)
    protocol: str
    direction: Direction = "higher"
    ci95: tuple[float, float] | None = None
    trivial: Baseline | None = None
    strong: Baseline | None = None
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return (
            self.value >= self.target if self.direction == "higher" else self.value <= self.target
        )

    def better_than(self, other: float) -> bool:
        """Whether this value is strictly better than `other`."""
        return self.value > other if self.direction == "higher" else self.value < other

    def summary(self) -> dict[str, object]:
        """The flat form that `--json` and results.json carry."""
        return {
            "name": self.name,
            "value": self.value,
            "direction": self.direction,
            "ci95": self.ci95,
            "n": self.n,
            "protocol": self.protocol,
            "baseline": self.trivial.value if self.trivial else None,
            "baseline_name": self.trivial.name if self.trivial else None,
            "strong_baseline": self.strong.value if self.strong else None,
            "strong_baseline_name": self.strong.name if self.strong else None,
            "gain_ci95": self.strong.gain_ci95 if self.strong else None,
            "target": self.target,
            "met": self.met,
        }


class Evaluation(BaseModel):
    """What `evaluate` returns: the scores, the primary one first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[Score, ...] = Field(min_length=1)

    def __getitem__(self, name: str) -> Score:
        """The score called `name`; KeyError if there is none."""
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(name)
