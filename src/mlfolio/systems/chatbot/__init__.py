"""Chatbot: what is asked, what is still missing, and what to answer."""

from .card import CARD

__all__ = ["CARD"]
