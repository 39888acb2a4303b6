"""House prices: what a house sells for, with an interval; and any other table with a number."""

from .card import CARD

__all__ = ["CARD"]
