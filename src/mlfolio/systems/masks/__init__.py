"""Masks: faces in a picture, a film or a camera, and whether each wears a mask."""

from .card import CARD

__all__ = ["CARD"]
