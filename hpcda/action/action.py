"""The action of a path and its exact derivatives.

    A(X) = 1/2 Σ Rm (y - h(x))² + 1/2 Rf Σ s r² + Gaussian priors

(Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018), equation (11); Ye et al., Nonlin. Processes
Geophys. 22, 205 (2015)), with the model errors r of the discretization. Gradient and Hessian are those of
exactly this sum.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action.native import Equations, Native, Priors, address, priors
from hpcda.action.structure import Sparsity
from hpcda.models.traced import Traced
from hpcda.problem import Array, Numbers, Problem
from hpcda.words import counted


@dataclass(frozen=True)
class Parts:
    """The action by its terms: `model` includes Rf; `prior` holds priors and random walks of parameters."""

    measurement: float
    model: float
    prior: float

    @property
    def total(self) -> float:
        """A(X)."""
        return self.measurement + self.model + self.prior


class Action:
    """The action of a problem, compiled.

    Args:
        problem: What is measured, modelled and estimated.
        given: Priors to use instead of the problem's own; see `hpcda.action.native.priors`.
        equations: Its equations, where they are traced already.

    Raises:
        InputError: The equations or observation expressions cannot be differentiated.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(
        self, problem: Problem, given: Priors | None = None, equations: Equations | None = None
    ) -> None:
        self.problem = problem
        self.size = problem.size
        self.equations = equations or Equations(problem)
        self.structure = self.equations.structure
        self.priors = priors(problem) if given is None else given
        self._native = Native(self.equations, 1, "single.c", self.priors)
        self._call: Any = self._native.library.action
        self._work = self._native.work(max(window.times for window in problem.windows))
        self._pairs = problem.shared * (problem.shared + 1) // 2
        self._values = np.zeros(self._pairs + sum(self._extent(window.times) for window in problem.windows))
        self._common = self.priors[0] >= problem.offsets[-1]

    def _extent(self, times: int) -> int:
        return ((times - 1) // self.structure.scheme.span + 1) * self.structure.slots

    @cached_property
    def sparsity(self) -> Sparsity:
        """Where the Hessian's values stand."""
        return Sparsity.of(self.problem, self.structure)

    def value(self, path: Array, rf: float) -> Parts:
        """The action of a flat path, shape (size,), at model-error precision `rf`; may be non-finite."""
        return self._evaluate(path, rf, 0, None)

    def gradient(self, path: Array, rf: float) -> tuple[Parts, Array]:
        """The action and its gradient, shape (size,)."""
        gradient = np.empty(self.size)
        return self._evaluate(path, rf, 1, gradient), gradient

    def derivatives(self, path: Array, rf: float) -> tuple[Parts, Array, Array]:
        """The action, its gradient, and the values of its Hessian in the order of `sparsity`."""
        gradient = np.empty(self.size)
        parts = self._evaluate(path, rf, 2, gradient)
        return parts, gradient, self._values[self.sparsity.gather]

    def hessian(self, path: Array, rf: float) -> tuple[Numbers, Numbers, Array]:
        """The exact Hessian, symmetric and full, in compressed rows: row starts, columns, values."""
        values = self.derivatives(path, rf)[2]
        return self.sparsity.indptr, self.sparsity.indices, values

    def _evaluate(self, path: Array, rf: float, want: int, gradient: Array | None) -> Parts:
        path = np.ascontiguousarray(path, dtype=np.float64)
        if path.shape != (self.size,):
            raise ValueError(
                f"path has shape {path.shape}, the problem has {counted(self.size, 'unknown')}: "
                f"expected ({self.size},)"
            )
        offsets, triangle = self.problem.offsets, self._values[: self._pairs]
        last = offsets[-1]
        parameters = path[last:]
        if gradient is not None:
            gradient[last:] = 0.0
        if want > 1:
            triangle[:] = 0.0
        sums, parts = np.zeros(3), np.empty(3)
        begin = self._pairs
        for number, (first, _) in enumerate(pairwise(offsets)):
            self._window(number, path[first:], parameters, rf, want, parts, gradient, first, begin)
            begin += self._extent(self.problem.windows[number].times)
            sums += parts
        prior = self._add_priors(path, want, gradient)
        return Parts(float(sums[0]), float(sums[1]), float(sums[2]) + prior)

    def _window(
        self, number: int, path: Array, parameters: Array, rf: float, want: int, parts: Array,
        gradient: Array | None, first: int, begin: int, work: Any = None, misfit: Array | None = None,
        slopes: Array | None = None,
    ) -> None:  # fmt: skip
        own = None if gradient is None else gradient[first:]
        shared = None if gradient is None else gradient[self.problem.offsets[-1] :]
        self._call(
            ctypes.byref(self._native.tables),
            ctypes.byref(self._native.windows[number]),
            address(path),
            address(parameters),
            rf,
            want,
            address(parts),
            address(own),
            address(shared),
            address(self._values[begin:]),
            address(self._values),
            ctypes.byref(self._work if work is None else work),
            address(misfit),
            address(slopes),
        )

    def _add_priors(self, path: Array, want: int, gradient: Array | None) -> float:
        """Add the priors of shared parameters; those of one time are the window's own."""
        indices, means, weights = (part[self._common] for part in self.priors)
        deviation = path[indices] - means
        if gradient is not None:
            gradient[indices] += weights * deviation
        if want > 1:
            column = indices - self.problem.offsets[-1]
            self._values[column * (column + 1) // 2 + column] += weights
        return float(0.5 * np.sum(weights * deviation**2))

    def model_errors(self, number: int, path: Array) -> tuple[Array, Array, Numbers, Numbers]:
        """Model errors r of one window's intervals, and their derivatives.

        Args:
            number: Number of the window.
            path: Flat path, shape (size,).

        Returns:
            The errors, shape (intervals, K · D); the derivatives that are not zero by their form, error after
            error, shape (intervals, e); the unknown that each of them is by, same shape; how many each error
            has, shape (K · D,).
        """
        structure, problem = self.structure, self.problem
        window, first, last = problem.windows[number], problem.offsets[number], problem.offsets[-1]
        intervals = (window.times - 1) // structure.scheme.span
        work, errors, entries = self.full_work(window.times)
        path = np.ascontiguousarray(path, dtype=np.float64)
        gradient, parts = np.zeros(self.size), np.empty(3)
        self._window(number, path[first:], path[last:], 1.0, 1, parts, gradient, first, self._pairs, work)
        local = np.array([entry.column for row in structure.rows for entry in row], dtype=np.int64)
        begins = first + structure.scheme.span * problem.block * np.arange(intervals)[:, None]
        columns = np.where(local < structure.local, begins + local, last + local - structure.local)
        widths = np.array([len(row) for row in structure.rows], dtype=np.int64)
        return errors.reshape(intervals, -1), entries.reshape(intervals, -1), columns, widths

    def full_work(self, times: int) -> tuple[ctypes.Structure, Array, Array]:
        """Scratch for one window that keeps all model errors and their derivatives: (scratch, both)."""
        intervals = (times - 1) // self.structure.scheme.span
        errors, first = self._native.vectors(intervals * len(self.structure.rows))
        entries, second = self._native.vectors(intervals * sum(len(row) for row in self.structure.rows))
        return self._native.work(times, first, second), errors.ravel(), entries.ravel()

    @property
    def observed(self) -> Traced:
        """The observations as traced."""
        return self.equations.observed
