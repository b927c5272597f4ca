"""Escapes from minima, one a module."""

from hpcda.search.escapes.escape import Escape
from hpcda.search.escapes.langevin import LANGEVIN
from hpcda.search.escapes.neighbourhood import NEIGHBOURHOOD
from hpcda.search.escapes.splice import SPLICE
from hpcda.search.escapes.transplant import TRANSPLANT

ESCAPES: dict[str, Escape] = {escape.name: escape for escape in (TRANSPLANT, NEIGHBOURHOOD, SPLICE, LANGEVIN)}

__all__ = ["ESCAPES", "Escape"]
