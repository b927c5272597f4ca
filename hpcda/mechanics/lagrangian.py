r"""The discrete Lagrangian of a step, and the momenta at its two ends.

An interval of a discretization, from x_0 to x_m, has the model errors r(x_0, …, x_m) and the share

    L_d = Rf/2 Σ s r²

of the action. With the multipliers λ = Rf s r its momenta are

    p⁺ = -∂L_d/∂x_0 = -(∂r/∂x_0)ᵀ λ    at the left end, leaving it,
    p⁻ =  ∂L_d/∂x_m =  (∂r/∂x_m)ᵀ λ    at the right end, arriving there

(J. E. Marsden, M. West, Acta Numerica 10, 357 (2001), part 1). For the midpoint rule these are
(I + h/2 DF)ᵀ λ and (I - h/2 DF)ᵀ λ, for a map Dfᵀ λ and λ. Written in λ they hold at Rf = ∞ as well, where
r = 0 and λ is a Lagrange multiplier: r = λ / (Rf s) then holds for every Rf.

Points inside an interval (Hermite-Simpson's midpoint) have no momentum of their own: what L_d says of them is
a force ∂L_d/∂x_j, which vanishes, or balances that of a datum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.interval import interval_constants, interval_kernel
from hpcda.action.native import Equations
from hpcda.action.weights import step_weights
from hpcda.native.compile import library
from hpcda.native.unit import unit
from hpcda.problem import Array

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StepMomenta:
    """Momenta of n intervals, in units of the action per unit of the state.

    Attributes:
        left: p⁺ at the first point of each, shape (n, D).
        inner: ∂L_d/∂x at the points inside, shape (n, m - 1, D).
        right: p⁻ at the last point of each, shape (n, D).
    """

    left: Array
    inner: Array
    right: Array


def lagrangian_unit(equations: Equations) -> str:
    """The translation unit of a problem's equations and lagrangian.c."""
    kernel = interval_kernel(equations)
    files = [f'#include "{name}"' for name in ("kernel.h", *kernel.files)]
    return unit(1, "lagrangian.c", generated=[*files, kernel.code("kernel0")])


class DiscreteLagrangian:
    """Model errors of the intervals of one window, their derivatives by the states, and the momenta.

    Points of n intervals are arrays of shape (n, m + 1, D + V): states, then the parameters of one time.
    Times and known series are those of the window's intervals that `intervals` names, shape (n,); of a model
    that depends on neither any will do. `constants` are the estimated parameters that hold at all times,
    shape (P,), in the order of `Problem.seen`.

    Args:
        equations: The problem's equations, `Equations(problem)`; an `Action` has them as `equations`.
        window: Number of the window.

    Attributes:
        span: m, steps of the path in an interval.
        states: D.
        block: D + V, unknowns of one point.
        rows: K · D, model errors of an interval.
        weight: s of every model error, over h where the model error is per time, shape (intervals, K · D).

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, equations: Equations, window: int = 0) -> None:
        problem, structure = equations.problem, equations.structure
        self.span, self.states, self.block = structure.scheme.span, problem.dimension, structure.block
        self._kernel = interval_kernel(equations)
        self.rows = self._kernel.rows
        own = step_weights(problem, problem.windows[window])
        self.weight: Array = np.tile(own, (1, structure.scheme.errors))
        self._seen = len(problem.seen)
        self._constants = np.ascontiguousarray(interval_constants(problem, window, self.span))
        self._library: Any = library(lagrangian_unit(equations))
        self._jacobian = np.array(self._kernel.jacobian, dtype=np.int64).reshape(-1, 2)
        self._hessian = np.array(self._kernel.hessian, dtype=np.int64).reshape(-1, 2)
        self._place = self._places()

    def _places(self) -> Index:
        """Of every unknown of an interval its number among the states of its points, else -1."""
        found = np.full(self._kernel.unknowns, -1)
        for point in range(self.span + 1):
            states = np.arange(self.states)
            found[point * self.block + states] = point * self.states + states
        return found

    def errors(
        self, points: Array, constants: npt.ArrayLike = (), intervals: Sequence[int] | Index = (0,)
    ) -> Array:
        """r, shape (n, K · D)."""
        return self._evaluated(points, constants, intervals, "errors")

    def slopes(
        self, points: Array, constants: npt.ArrayLike = (), intervals: Sequence[int] | Index = (0,)
    ) -> Array:
        """∂r/∂x by the states of all points, shape (n, K · D, m + 1, D)."""
        values = self._evaluated(points, constants, intervals, "jacobian")
        found = np.zeros((len(values), self.rows, (self.span + 1) * self.states))
        rows, places = self._jacobian[:, 0], self._place[self._jacobian[:, 1]]
        own = places >= 0
        found[:, rows[own], places[own]] = values[:, own]
        return found.reshape(len(values), self.rows, self.span + 1, self.states)

    def bends(
        self,
        points: Array,
        multipliers: Array,
        constants: npt.ArrayLike = (),
        intervals: Sequence[int] | Index = (0,),
    ) -> Array:
        """Σ λ ∂²r/∂x∂x by the states of all points, shape (n, (m + 1) D, (m + 1) D).

        Args:
            points: See the class.
            multipliers: λ, shape (n, K · D).
            constants: See the class.
            intervals: See the class.
        """
        values = self._evaluated(points, constants, intervals, "hessian", multipliers)
        size = (self.span + 1) * self.states
        found = np.zeros((len(values), size, size))
        a, b = self._place[self._hessian].T
        own = (a >= 0) & (b >= 0)
        found[:, a[own], b[own]] = values[:, own]
        found[:, b[own], a[own]] = values[:, own]
        return found

    @property
    def pattern(self) -> tuple[Index, Index]:
        """Where the values of `derivatives` stand.

        Unknowns of an interval are those of its points, point after point, then the constants.

        Returns:
            (row, unknown) of every ∂r/∂u that is not zero by its form; (unknown, unknown) of every entry of
            Σ λ ∂²r/∂u∂u, each pair once.
        """
        return self._jacobian, self._hessian

    def derivatives(
        self,
        points: Array,
        multipliers: Array,
        constants: npt.ArrayLike,
        intervals: Sequence[int] | Index,
        second: bool = True,
    ) -> tuple[Array, Array, Array]:
        """r, ∂r/∂u and Σ λ ∂²r/∂u∂u by all unknowns of the intervals, constants with them.

        Args:
            points: See the class.
            multipliers: λ, shape (n, K · D).
            constants: See the class.
            intervals: See the class.
            second: Whether second derivatives are computed.

        Returns:
            Shapes (n, K · D), and (n, entries) in the order of `pattern`; second derivatives, where they are
            not asked for, of shape (n, 0).
        """
        wanted = ("errors", "jacobian", "hessian") if second else ("errors", "jacobian")
        found = self._computed(points, constants, intervals, wanted, multipliers)
        return found["errors"], found["jacobian"], found.get("hessian", np.empty((len(points), 0)))

    def multipliers(self, errors: Array, rf: float, intervals: Sequence[int] | Index = (0,)) -> Array:
        """λ = Rf s r of model errors r at a finite Rf, same shape."""
        return np.asarray(rf * self.weight[np.asarray(intervals)] * errors)

    def momenta(
        self,
        points: Array,
        multipliers: Array,
        constants: npt.ArrayLike = (),
        intervals: Sequence[int] | Index = (0,),
    ) -> StepMomenta:
        """p⁺ at the left ends and p⁻ at the right ends, from the multipliers λ, shape (n, K · D)."""
        slopes = self.slopes(points, constants, intervals)
        forces = np.einsum("nr,nrjd->njd", np.asarray(multipliers, dtype=np.float64), slopes)
        return StepMomenta(-forces[:, 0], forces[:, 1:-1], forces[:, -1])

    def _evaluated(
        self,
        points: Array,
        constants: npt.ArrayLike,
        intervals: Sequence[int] | Index,
        what: str,
        multipliers: Array | None = None,
    ) -> Array:
        return self._computed(points, constants, intervals, (what,), multipliers)[what]

    def _computed(
        self,
        points: Array,
        constants: npt.ArrayLike,
        intervals: Sequence[int] | Index,
        what: Sequence[str],
        multipliers: Array | None = None,
    ) -> dict[str, Array]:
        kernel, count = self._kernel, len(points)
        shape = (count, self.span + 1, self.block)
        known = np.asarray(constants, dtype=np.float64)
        if np.shape(points) != shape or known.shape != (self._seen,):
            raise ValueError(
                f"points of shape {np.shape(points)} and constants of shape {known.shape}: expected "
                f"(n, {self.span + 1}, {self.block}) and ({self._seen},)"
            )
        unknowns = np.ascontiguousarray(
            np.hstack([np.reshape(points, (count, -1)), np.broadcast_to(known, (count, self._seen))]),
            dtype=np.float64,
        )
        numbers = np.broadcast_to(np.asarray(intervals, dtype=np.int64), (count,))
        fixed = np.ascontiguousarray(self._constants[numbers])
        weights = None
        if multipliers is not None:
            weights = np.ascontiguousarray(np.reshape(multipliers, (count, self.rows)), dtype=np.float64)
        widths = {"errors": self.rows, "jacobian": len(self._jacobian), "hessian": len(self._hessian)}
        out = {name: np.zeros((count, widths[name])) for name in what}
        places = [out[name].ctypes.data if name in out else None for name in widths]
        if self._library.intervals(
            count, kernel.unknowns, kernel.constants, kernel.rows, widths["jacobian"], widths["hessian"],
            kernel.room, unknowns.ctypes.data, fixed.ctypes.data,
            None if weights is None else weights.ctypes.data, *places,
        ):  # fmt: skip
            raise MemoryError("intervals")
        return out
