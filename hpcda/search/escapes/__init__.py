"""Escapes from minima, one per module; each module defines ``ESCAPE`` (see `hpcda.search.escape`).

They help one another: their weights say how often a search draws each where it knows nothing better.
"""

from hpcda.registry import Registry
from hpcda.search.escape import Escape
from hpcda.search.ways import WAYS

ESCAPES: Registry[Escape] = Registry("escape", "", "ESCAPE", __name__, Escape, apart=[WAYS])


def probing() -> Escape:
    """The escape that asks whether a level holds."""
    return next(escape for escape in ESCAPES.values() if escape.probes)


def settling() -> Escape:
    """The escape that tells how a level depends on Rf."""
    return next(escape for escape in ESCAPES.values() if escape.settles)


__all__ = ["ESCAPES", "Escape", "probing", "settling"]
