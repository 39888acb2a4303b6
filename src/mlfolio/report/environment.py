"""What a run ran on: versions, machine, code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "mlfolio", "numpy", "pandas", "scikit-learn", "lightgbm", "torch", "transformers", "lancedb",
    "mlflow",
)  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def environment() -> dict[str, Any]:
    """Python, machine and the versions of the packages that can change a number."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": _threads(),
        "packages": versions,
        "commit": _commit(),
    }


def _cpu() -> str:
    """What the processor calls itself: another kind may round other sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # another system than Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _threads() -> dict[str, str]:
    """What is said of threads from outside: sums over other threads may round otherwise."""
    return {name: os.environ[name] for name in THREADS if name in os.environ}


def _commit() -> str | None:
    """The commit that the working folder stands on; None outside of a git checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
