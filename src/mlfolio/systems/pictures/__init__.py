"""Pictures: the user's own classes, told apart by a net that has seen other pictures before."""

from .card import CARD

__all__ = ["CARD"]
