"""The model's rates dx/dt at many points at once, each with its own state, parameters, stimuli and time."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.action.native import Equations
from hpcda.native.compile import library
from hpcda.native.unit import unit
from hpcda.problem import Array

LANES = 4
"""Points that are evaluated together; how many there are changes no bit."""


class Rates:
    """F(x, q, p, u, t) of a problem's model, compiled.

    Args:
        equations: The problem's equations.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, equations: Equations) -> None:
        problem = equations.problem
        self._library: Any = library(unit(LANES, "rates.c", generated=[equations.code]))
        self._constant = np.array(list(problem.fixed.values()), dtype=np.float64)
        self._dimension, self._block = problem.dimension, problem.layout.block

    def __call__(self, x: Array, q: Array, p: Array, series: Array, t: Array) -> Array:
        """The rates.

        Args:
            x: States, shape (D, n).
            q: Parameters of one time, shape (V, n).
            p: Shared parameters, shape (P,).
            series: Known series, shape (U, n).
            t: Times, shape (n,).

        Returns:
            Shape (D, n), in units of the states per unit of time.
        """
        count = x.shape[1]
        shared = np.broadcast_to(p[:, None], (len(p), count))
        variables = np.ascontiguousarray(np.vstack([x, q, shared]), dtype=np.float64)
        known = np.ascontiguousarray(series, dtype=np.float64)
        times = np.ascontiguousarray(t, dtype=np.float64)
        out = np.empty((self._dimension, count))
        arrays = (variables, known, times, out)
        if count and self._library.rates(
            self._dimension, len(variables), len(self._constant), len(known),
            self._constant.ctypes.data, count, *(array.ctypes.data for array in arrays),
        ):  # fmt: skip
            raise MemoryError("rates")
        return out
