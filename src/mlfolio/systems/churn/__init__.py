"""Churn: who is about to leave, whom an offer to stay pays for, and what could be changed."""

from .card import CARD

__all__ = ["CARD"]
