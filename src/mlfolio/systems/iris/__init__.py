"""Iris: three species of flowers told apart by four measurements."""

from .card import CARD

__all__ = ["CARD"]
