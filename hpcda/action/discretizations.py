"""All discretizations by name."""

from hpcda.action import hermite_simpson, implicit_midpoint, map, rk4, trapezoid
from hpcda.action.scheme import Scheme

SCHEMES: dict[str, Scheme] = {
    module.SCHEME.name: module.SCHEME for module in (trapezoid, hermite_simpson, implicit_midpoint, rk4, map)
}
