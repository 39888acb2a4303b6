"""Spam: is a message unwanted, how sure is that, and which words say so."""

from .card import CARD

__all__ = ["CARD"]
