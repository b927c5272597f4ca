"""Boundary value problems of arrays and plain functions: ``hpcda.boundary_value(fun, t, y)``."""

from hpcda.boundary.boundary_value import boundary_value
from hpcda.boundary.solution import BoundarySolution, Solution

__all__ = ["BoundarySolution", "Solution", "boundary_value"]
