"""Symmetries of parameter arrays: units that can be permuted or reversed, and a canonical form of paths."""

from hpcda.search.units.symmetries import Symmetries

__all__ = ["Symmetries"]
