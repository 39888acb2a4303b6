"""What a server is told: where it listens, what it serves, what it allows, what it keeps."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlfolio.core.run import runs_folder
from mlfolio.track.log import database_url

ENVIRONMENT = "MLFOLIO_SERVE"  # how the settings reach the worker processes
MAX_EXPLAINED = 20  # inputs of one request: an explanation asks the model thousands of times


class Settings(BaseModel):
    """The settings of a server; every one has a default that is safe on one's own machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    systems: tuple[str, ...] = Field((), description="names to serve; all that have a champion")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    pages: bool = Field(True, description="whether the web app is served too")

    max_body_mb: float = Field(64, gt=0, description="of one request")
    max_rows: int = Field(1000, ge=1, description="inputs of one request")
    queue_rows: int = Field(2000, ge=1, description="inputs that may wait for one model")
    timeout_s: float = Field(30, gt=0, description="until a request is given up")
    rate: float | None = Field(
        None, ge=0, description="requests a second of one client; 0 is no limit, which is the "
        "default on this machine; beyond it is 50",
    )  # fmt: skip

    database: str = Field("", description="SQLAlchemy URL; SQLite in the runs' folder if empty")
    keep_days: float = Field(90, gt=0, description="how long predictions are kept")
    store_inputs: tuple[str, ...] = Field((), description="private systems whose inputs are kept")
    forget_inputs: tuple[str, ...] = Field((), description="systems whose inputs are not kept")

    policy: Path | None = Field(None, description="the rules by which systems are watched")
    watch_minutes: float = Field(60, ge=0.1, description="from one look at the systems to the next")

    @model_validator(mode="after")
    def _pages_in_one_process(self) -> Self:
        if self.pages and self.workers > 1:  # a visitor's session lives in one of them
            raise ValueError("the web app needs a single worker: --no-pages, or --workers 1")
        return self

    @property
    def requests_a_second(self) -> float:
        """Of one client, of one worker; 0 is no limit."""
        if self.rate is None:
            return 0 if self.is_local else 50
        return self.rate / self.workers

    @property
    def database_url(self) -> str:
        """Where predictions are logged."""
        return self.database or database_url()

    @property
    def keys_file(self) -> Path:
        """Where the hashes of API keys lie: `$MLFOLIO_KEYS`, or `keys.json` beside the runs."""
        return Path(os.environ.get("MLFOLIO_KEYS") or runs_folder() / "keys.json").expanduser()

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def from_environment(cls) -> Self:
        """What the process that started this one wants."""
        return cls.model_validate_json(os.environ.get(ENVIRONMENT, "{}"))
