"""Movies: films for people, from what they liked, with the reason why."""

from .card import CARD

__all__ = ["CARD"]
