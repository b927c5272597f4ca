"""Boundary value problems of arrays and plain functions: ``hpcda.boundary_value(fun, t, y)``."""

from hpcda.boundary.solution import BoundarySolution, Solution
from hpcda.boundary.solve import boundary_value

__all__ = ["BoundarySolution", "Solution", "boundary_value"]
