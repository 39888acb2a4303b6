"""Segments: customers in groups that are described in words, and how far to believe in them."""

from .card import CARD

__all__ = ["CARD"]
