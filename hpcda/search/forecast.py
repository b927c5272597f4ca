"""Integrates many ensemble members at once from one path point to the next.

Members stand in the columns of arrays whose rows are the D states, the V parameters of one time and the P
shared ones, so that neighboring members fill the lanes of the vector registers. Flows take classical
Runge-Kutta steps of fourth order (Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I,
Springer 1993, section II.1), known series are interpolated linearly within a step; maps are applied as they
are.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hpcda.action.native import Equations
from hpcda.native.compile import library, vector_lanes
from hpcda.native.declared import structures
from hpcda.native.unit import unit
from hpcda.problem import Array, Problem, Window

SOURCE = "smoother.c"
STABLE = 2.5
"""Step times largest eigenvalue up to which a Runge-Kutta step of fourth order damps what the flow damps."""
MOST_SUBSTEPS = 64

_Sizes, _Grid = (structures("forecast.c")[name] for name in ("Sizes", "Grid"))


class Forecast:
    """A problem's model, compiled to carry many members.

    Args:
        problem: The problem.
        equations: Its equations, where they are traced already.
        lanes: Members that are carried together, a power of two; None for the width of the processor's
            vectors.

    Attributes:
        problem: The problem.
        equations: Its equations.
        rows: D + V + P, the numbers that a member is made of.
        library: The compiled code, smoother.c and forecast.c.
        sizes: Its structure `Sizes`.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(
        self, problem: Problem, equations: Equations | None = None, lanes: int | None = None
    ) -> None:
        self.problem = problem
        equations = equations or Equations(problem)
        self.equations = equations
        code = unit(lanes or vector_lanes(), SOURCE, generated=[equations.code])
        self.library: Any = library(code)
        self.rows = problem.layout.block + len(problem.seen)
        self._entries = np.array(equations.model.jacobian, dtype=np.int64).reshape(-1, 2)
        self._constant = np.array(list(problem.fixed.values()), dtype=np.float64)
        self.sizes = _Sizes(
            D=problem.dimension,
            V=len(problem.varying),
            P=len(problem.seen),
            L=len(problem.observed),
            U=len(problem.model.stimuli) + len(problem.series),
            C=len(problem.fixed),
            map=int(problem.model.kind == "map"),
            slopes=len(self._entries),
            constant=self._constant.ctypes.data,
        )

    def step(
        self,
        window: Window,
        n: int,
        members: Array,
        rng: np.random.Generator | None = None,
        substeps: int = 1,
    ) -> Array:
        """Members at path point n + 1.

        Args:
            window: The window.
            n: The path point at which the members are.
            members: Shape (D + V + P, members).
            rng: Where it is given, parameters of one time that follow a random walk make their step.
            substeps: Runge-Kutta steps a step of the path.

        Returns:
            Shape (D + V + P, members); not finite where a member grew without bound.
        """
        after = self.run(window, n, n + 1, members, substeps)[1]
        if rng is not None:
            for row, varying in enumerate(self.problem.varying, self.problem.dimension):
                if varying.walk_std is not None:
                    std = varying.walk_std * np.sqrt(window.steps[n])
                    after[row] += std * rng.standard_normal(after.shape[1])
        return after

    def run(self, window: Window, first: int, last: int, members: Array, substeps: int = 1) -> Array:
        """Members at the path points from `first` to `last`, all parameters constant.

        Args:
            window: The window.
            first: The path point at which the members are.
            last: The path point at which they end.
            members: Shape (D + V + P, members).
            substeps: Runge-Kutta steps a step of the path.

        Returns:
            Shape (last - first + 1, D + V + P, members), the first of them `members`.
        """
        if not 0 <= first <= last < window.times:
            raise ValueError(f"from point {first} to {last} of {window.times}")
        begin = self._checked(members)
        out = np.empty((last - first + 1, *begin.shape))
        out[0] = begin
        grid, _kept = grid_of(window)
        self._call(
            "forecast",
            ctypes.byref(grid), first, last, substeps, begin.shape[1], begin.ctypes.data,
            out[1:].ctypes.data,
        )  # fmt: skip
        return out

    def observe(self, window: Window, n: int, members: Array) -> Array:
        """Measured quantities of members, shape (L, members), at path point n of a window.

        Args:
            window: The window.
            n: The path point.
            members: Shape (D + V + P, members).
        """
        begin = self._checked(members)
        out = np.empty((len(self.problem.observed), begin.shape[1]))
        grid, _kept = grid_of(window)
        self._call(
            "observe", ctypes.byref(grid), n, begin.shape[1], begin.ctypes.data, out.ctypes.data
        )  # fmt: skip
        return out

    def substeps(self, window: Window, members: Array) -> int:
        """Runge-Kutta steps a step of the path that keep members like these stable, at most `MOST_SUBSTEPS`.

        From the largest eigenvalue of the model's derivative by its states, at the window's first point.
        """
        if self.problem.model.kind == "map":
            return 1
        begin = self._checked(members)
        entries = np.empty((len(self._entries), begin.shape[1]))
        grid, _kept = grid_of(window)
        self._call(
            "slopes",
            ctypes.byref(grid), 0, begin.shape[1], begin.ctypes.data, entries.ctypes.data,
        )  # fmt: skip
        row, column = self._entries.T
        inner = column < self.problem.dimension
        matrix = np.zeros((begin.shape[1], self.problem.dimension, self.problem.dimension))
        matrix[:, row[inner], column[inner]] = entries[inner].T
        matrix = matrix[np.isfinite(matrix).all(axis=(1, 2))]
        fastest = np.abs(np.linalg.eigvals(matrix)).max(initial=0.0)
        longest = float(window.steps.max())
        wanted = round(float(fastest) * longest / STABLE, 6)  # LAPACK's last digits differ by processor
        return int(np.clip(np.ceil(wanted), 1, MOST_SUBSTEPS))

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self.library, name)(ctypes.byref(self.sizes), *arguments):
            raise MemoryError(name)

    def _checked(self, members: Array) -> Array:
        if members.ndim != 2 or members.shape[0] != self.rows:
            raise ValueError(f"members of shape {members.shape}, {self.rows} rows wanted")
        return np.ascontiguousarray(members, dtype=np.float64)


def grid_of(window: Window) -> tuple[Any, tuple[Array, ...]]:
    """A window as the compiled code takes it, and the arrays that it points to."""
    kept = tuple(np.ascontiguousarray(own) for own in (window.steps, window.grid, window.series))
    step, t, series = (own.ctypes.data for own in kept)
    return _Grid(step=step, t=t, series=series), kept
