"""Documents: questions answered from the user's own files, with file, page and heading."""

from .card import CARD

__all__ = ["CARD"]
