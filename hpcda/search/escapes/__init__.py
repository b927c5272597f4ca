"""Escapes from minima, one a module.

They help one another: `MIX` says how often a search draws each where it knows nothing better. `AGAIN` leads
nowhere new: it is there to tell what the ladder did not.
"""

from hpcda.search.escapes.again import AGAIN
from hpcda.search.escapes.escape import Escape
from hpcda.search.escapes.langevin import LANGEVIN
from hpcda.search.escapes.neighbourhood import NEIGHBOURHOOD
from hpcda.search.escapes.opening import OPENING
from hpcda.search.escapes.splice import SPLICE
from hpcda.search.escapes.transplant import TRANSPLANT

ESCAPES: dict[str, Escape] = {
    escape.name: escape for escape in (TRANSPLANT, NEIGHBOURHOOD, SPLICE, LANGEVIN, OPENING, AGAIN)
}

MIX = {"transplant": 3.0, "neighbourhood": 3.0, "splice": 2.0, "langevin": 1.0, "opening": 3.0}
"""Weights of a mixed draw."""

__all__ = ["AGAIN", "ESCAPES", "MIX", "OPENING", "Escape"]
