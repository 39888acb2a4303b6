"""Sentiment: does a review speak well of a film, how sure is that, and which words say so."""

from .card import CARD

__all__ = ["CARD"]
