"""Digits: a picture of one handwritten digit in, the digit out."""

from .card import CARD

__all__ = ["CARD"]
