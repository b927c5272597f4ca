"""Units of arrays of parameters that may be exchanged or reversed, and one form of all such paths."""

from hpcda.search.units.symmetries import Symmetries

__all__ = ["Symmetries"]
