"""A compiled function evaluated for many instances at once, one per vector lane (native/instances.c)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.linalg.tree import aligned
from hpcda.models.traced import Traced
from hpcda.native.compile import library, vector_lanes
from hpcda.native.declared import enumeration
from hpcda.native.kernels import source, with_slopes
from hpcda.native.unit import unit
from hpcda.problem import Array

_WANTED = enumeration("instances.c", "Wanted")


class Instances:
    """A traced function f(v, c) of many instances; arrays have an instance a column.

    Args:
        traced: The function.
        variables: Length of v.
        constants: Length of c.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, traced: Traced, variables: int, constants: int = 0) -> None:
        self.traced, self.variables, self.constants = traced, variables, constants
        self._lanes = vector_lanes()
        self._library: Any = library(
            unit(
                self._lanes, "instances.c", generated=[source(traced, "given"), with_slopes(traced, "given")]
            )
        )

    @property
    def identity(self) -> bool:
        """Whether f is its only variable."""
        traced = self.traced
        return [traced.graph.keys[node] for node in traced.values] == [("input", "v", 0)]

    def values(self, v: Array, c: Array | None = None) -> Array:
        """F, shape (rows, instances), of v, shape (variables, instances), and c, (constants, instances)."""
        return self._call("VALUES", self.traced.rows, v, c, None)

    def slopes(self, v: Array, c: Array | None = None) -> Array:
        """Entries of ∂f/∂v in the order of `Traced.jacobian`, shape (entries, instances)."""
        return self._call("SLOPES", len(self.traced.jacobian), v, c, None)

    def with_slopes(self, v: Array, c: Array | None = None) -> tuple[Array, Array]:
        """Values and slopes at once."""
        rows = self.traced.rows
        found = self._call("WITH_SLOPES", rows + len(self.traced.jacobian), v, c, None)
        return found[:rows], found[rows:]

    def curvature(self, v: Array, weights: Array, c: Array | None = None) -> Array:
        """Entries of ∂²(μ·f)/∂v² in the order of `Traced.hessian`, μ the weights, shape (rows, instances)."""
        return self._call("CURVATURE", len(self.traced.hessian), v, c, weights)

    def _call(self, wanted: str, outputs: int, v: Array, c: Array | None, weights: Array | None) -> Array:
        count = v.shape[1]
        given = [
            np.ascontiguousarray(np.zeros((0, count)) if one is None else one, dtype=np.float64)
            for one in (v, c, weights)
        ]
        lengths = [len(one) for one in given]
        if lengths[:2] != [self.variables, self.constants]:
            expected = [self.variables, self.constants]
            raise ValueError(f"variables and constants: {lengths[:2]} given, {expected} expected")
        found, room = np.empty((outputs, count)), aligned(sum(lengths) + outputs + 1, self._lanes)
        self._library.instances(
            _WANTED[wanted], count, *lengths, outputs, *(one.ctypes.data for one in given), found.ctypes.data,
            room.ctypes.data,
        )  # fmt: skip
        return found
