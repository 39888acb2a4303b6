"""mlfolio: machine-learning systems that really work, on one small spine.

Importing it loads nothing heavy; the names below come when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlfolio.lifecycle import Predictor, Result, load, run

__version__ = "0.1.0"
__all__ = ["Predictor", "Result", "__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """Loads a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'mlfolio' has no attribute {name!r}")
    from mlfolio import lifecycle

    return getattr(lifecycle, name)
