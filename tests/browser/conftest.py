"""The trained models of the server's tests."""

from tests.serve.conftest import trained

__all__ = ["trained"]
