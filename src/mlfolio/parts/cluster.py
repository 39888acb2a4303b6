"""A Ray cluster as the place where a run's tasks are done.

Ray moves functions and data between its processes with pickle: whoever can reach a cluster can run
code on it. Nothing that Ray writes is kept; models are stored as ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from mlfolio.core.errors import MissingExtraError, MlfolioError, UserError
from mlfolio.core.workers import Here, Workers

T = TypeVar("T")
R = TypeVar("R")
LOCAL, RAY = "local", "ray"
RETRIES: Final = 3  # of a task whose process or machine was lost
# A task has one core. What runs inside it takes no more: not LightGBM, not BLAS, not joblib.
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


class Cluster:
    """The Ray cluster that this process is connected to."""

    @property
    def machines(self) -> list[dict[str, Any]]:
        """What Ray says of each machine that is there now."""
        import ray

        return [node for node in ray.nodes() if node["Alive"]]

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Does the work on each item, one core each, on whichever machine has one.

        Raises:
            MlfolioError: The tasks of a lost machine could not be done elsewhere either.
            Exception: What the work itself raises.
        """
        import ray

        task = ray.remote(max_retries=RETRIES)(_do)
        shared = ray.put(work)  # once for all items: it holds their table
        waiting = [task.remote(shared, item) for item in items]
        for place in waiting:
            with telling():
                found: R = ray.get(place)
            yield found


def _do(work: Callable[[T], R], item: T) -> R:
    return work(item)


@contextmanager
def workers_on(place: str) -> Iterator[Workers]:
    """The workers of a run, ready for as long as it lasts.

    Args:
        place: `local` for this process; `ray` for the cluster that `RAY_ADDRESS` names, and where
            it names none for one on this machine alone; `ray://HOST:PORT` for the cluster with that
            head, which this machine has to be a part of.

    Raises:
        MissingExtraError: Ray is not installed.
        UserError: It is no such place.
        MlfolioError: There is no cluster at that address.
    """
    if place == LOCAL:
        yield Here()
        return
    kind, _, address = place.partition("://")
    if kind != RAY or ("://" in place and ":" not in address):
        raise UserError(
            f"a run cannot be on {place!r}",
            "on is local, ray, or ray://HOST:PORT with the address that `ray start` prints",
        )
    with _connected(address or os.environ.get("RAY_ADDRESS") or LOCAL) as cluster:
        yield cluster


@contextmanager
def _connected(address: str) -> Iterator[Cluster]:
    """Joins a cluster, or starts one for a while, and has scikit-learn's searches done there."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads these when it is imported
    if address == LOCAL:  # what is for macOS and Windows elsewhere: nothing but loopback
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
        from joblib import parallel_config
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise MissingExtraError("a run on ray", "ray", error.name or "") from None
    own: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    was_there = ray.is_initialized()
    if not was_there:
        try:
            ray.init(
                address, log_to_driver=False, logging_level=logging.ERROR,
                runtime_env={"env_vars": dict.fromkeys(LIMITS, "1")}, **own,
            )  # fmt: skip
        except Exception as error:  # of whichever class: Ray raises Exception itself, too
            raise _no_cluster(address, error) from error
    register_ray()
    try:
        with telling(), parallel_config(backend="ray"):
            yield Cluster()
    finally:
        if not was_there:
            ray.shutdown()


def _no_cluster(address: str, error: Exception) -> MlfolioError:
    why = str(error).strip().partition("\n")[0]
    if address == LOCAL:
        return MlfolioError(
            f"Ray did not start: {why}", "try again when less runs on this machine; or --on local"
        )
    return MlfolioError(
        f"there is no Ray cluster at {address}: {why}",
        f"on its head: ray start --head; on this machine: ray start --address={address}",
    )


@contextmanager
def telling() -> Iterator[None]:
    """Errors of tasks as if they had been raised here; Ray's own in words."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise MlfolioError(
            f"the Ray cluster did not do its work: {str(error).strip().splitlines()[0]}",
            "look at its machines with ray status; or run it here: --on local",
        ) from error
