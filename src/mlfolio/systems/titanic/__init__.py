"""Titanic: who survives, from a messy table; and any other table with two classes."""

from .card import CARD

__all__ = ["CARD"]
