"""Stocks: tomorrow's price as a band, and proof of how little of it can be known."""

from .card import CARD

__all__ = ["CARD"]
