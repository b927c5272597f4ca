"""Escapes from minima, one a module.

They help one another: a search that draws transplant, neighbourhood, splice and langevin as 3 : 3 : 2 : 1,
each from its lowest distinct minima, finds more than any of them alone.
"""

from hpcda.search.escapes.escape import Escape
from hpcda.search.escapes.langevin import LANGEVIN
from hpcda.search.escapes.neighbourhood import NEIGHBOURHOOD
from hpcda.search.escapes.splice import SPLICE
from hpcda.search.escapes.transplant import TRANSPLANT

ESCAPES: dict[str, Escape] = {escape.name: escape for escape in (TRANSPLANT, NEIGHBOURHOOD, SPLICE, LANGEVIN)}

__all__ = ["ESCAPES", "Escape"]
