"""Two-point boundary value problems of plain Python right-hand sides: solutions, momenta, uncertainty.

A right-hand side, conditions at the ends and data in between make an action; its stationary paths are the
solutions. At Rf = ∞ this is collocation of dy/dx = f (trapezoid, midpoint, Hermite-Simpson); at a finite Rf
the model may be wrong at that precision. Newton's method acts on the whole path with multipliers
(`hpcda.boundary.newton`): its matrix never contains products of tangents, unlike that of shooting
(`hpcda.mechanics.shooting`).
"""

from hpcda.boundary.solution import BoundarySolution, BoundaryValue
from hpcda.boundary.solve import boundary_value

__all__ = ["BoundarySolution", "BoundaryValue", "boundary_value"]
