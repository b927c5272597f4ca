"""Escapes from minima, one a module."""

from hpcda.search.escapes.escape import Escape

ESCAPES: dict[str, Escape] = {}

__all__ = ["ESCAPES", "Escape"]
