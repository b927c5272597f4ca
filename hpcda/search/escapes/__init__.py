"""Escapes from minima, one a module."""

from hpcda.search.escapes.escape import Escape
from hpcda.search.escapes.langevin import LANGEVIN
from hpcda.search.escapes.neighbourhood import NEIGHBOURHOOD
from hpcda.search.escapes.splice import SPLICE

ESCAPES: dict[str, Escape] = {escape.name: escape for escape in (NEIGHBOURHOOD, LANGEVIN, SPLICE)}

__all__ = ["ESCAPES", "Escape"]
