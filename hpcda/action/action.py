"""The action A(X) of a data-assimilation problem, its gradient and its sparse Hessian.

    A(X) = 1/2 Σ Rm (y - h(x))² + 1/2 Rf Σ s r² + Gaussian priors

(Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018), equation (11); Ye et al., Nonlin. Processes
Geophys. 22, 205 (2015)), with the model errors r of the discretization. Gradient and Hessian are those of
exactly this sum.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hpcda.action.native import Equations, Native, Priors, address, priors
from hpcda.action.structure import Sparsity
from hpcda.action.tied import Tied, shared_walks
from hpcda.formatting import counted
from hpcda.models.traced import Traced
from hpcda.problem import Array, Layout, Numbers, Problem


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


def triangle(size: Any) -> Any:
    """Numbers of a lower triangle, its diagonal with it; where its row `size` begins."""
    return size * (size + 1) // 2


@dataclass(frozen=True)
class Intervals:
    """The intervals of one window as they were evaluated.

    Attributes:
        errors: Model errors r, shape (intervals, K · D).
        entries: Their derivatives that are not zero by their form, in the order of `Structure.rows`, shape
            (intervals, e).
        rates: The model's rates where the discretization evaluates them, at all N points where its stages
            are points (`Scheme.nodes`), else stage after stage, shape (evaluations, D).
        slopes: Their derivatives there, in the order of ``equations.model.jacobian``.
    """

    errors: Array
    entries: Array
    rates: Array
    slopes: Array


@dataclass(frozen=True)
class Seen:
    """The constants that a window sees.

    Attributes:
        some: Whether they are not all constants.
        places: Which they are, in the tail.
        pairs: Where the entries of their lower triangle stand in that of all constants, row after row.
    """

    some: bool
    places: Numbers
    pairs: Numbers

    @classmethod
    def of(cls, layout: Layout, number: int) -> Seen:
        """Those of a window."""
        places = layout.seen(number)
        row, column = np.tril_indices(len(places))
        return cls(bool(layout.own), places, triangle(places[row]) + places[column])


class Action:
    """The action of a problem, compiled.

    Args:
        problem: What is measured, modeled and estimated.
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
        self._native = Native(self.equations, 1, ("single.c",), self.priors)
        self._call: Any = self._native.library.action
        self._work = self._native.work(max(window.times for window in problem.windows))
        self._pairs = triangle(len(problem.constants))
        self._seen = [Seen.of(problem.layout, number) for number in range(len(problem.windows))]
        self._values = np.zeros(self._pairs + sum(self._extent(window.times) for window in problem.windows))
        self._common = self.priors[0] >= problem.layout.tail.start
        self._ties = problem.ties
        self._walks = shared_walks(problem) if self._ties.some else None

    def _extent(self, times: int) -> int:
        return ((times - 1) // self.structure.scheme.span + 1) * self.structure.slots

    @cached_property
    def sparsity(self) -> Sparsity:
        """Where the Hessian's values stand."""
        return self._tied.sparsity if self._ties.some else self._plain

    @cached_property
    def _plain(self) -> Sparsity:
        """Where they stand where every place of the path counts for itself."""
        return Sparsity.of(self.problem, self.structure)

    @cached_property
    def _tied(self) -> Tied:
        return Tied(self.problem, self._plain)

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
        values = self._values[self._plain.gather]
        return parts, gradient, self._tied.summed(values) if self._ties.some else values

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
        path = self._ties.tied(path)
        if gradient is not None:
            gradient[self.problem.layout.tail] = 0.0
        if want > 1:
            self._values[: self._pairs] = 0.0
        sums, parts = np.zeros(3), np.empty(3)
        begin = self._pairs
        for number, window in enumerate(self.problem.windows):
            self.evaluate_window(number, path, rf, want, parts, gradient, begin)
            begin += self._extent(window.times)
            sums += parts
        prior = self._add_priors(path, want, gradient)
        if self._walks is not None:
            prior += self._add_walks(path, gradient)
        return Parts(float(sums[0]), float(sums[1]), float(sums[2]) + prior)

    def evaluate_window(
        self, number: int, path: Array, rf: float, want: int, parts: Array, gradient: Array | None,
        begin: int | None = None, work: Any = None, misfit: Array | None = None, slopes: Array | None = None,
    ) -> None:  # fmt: skip
        """Evaluate one window; what it says of constants is added.

        Args:
            number: Number of the window.
            path: Flat path, shape (size,), contiguous.
            rf: Precision of the model error.
            want: 0 for the value, 1 for the gradient too, 2 for the Hessian too.
            parts: Where measurement, model and prior go, shape (3,).
            gradient: Where the gradient goes, shape (size,), or None.
            begin: Where its values begin among all values of the Hessian; by default the first window's.
            work: Scratch of `full_work`, or None.
            misfit: Where data minus path go, in standard deviations, shape (N, L), or None.
            slopes: Where the derivatives of these go, shape (N, entries), or None.
        """
        layout, seen = self.problem.layout, self._seen[number]
        first, tail = layout.begins[number], layout.tail.start
        own = None if gradient is None else gradient[first:]
        constants, of_constants, pairs = path[tail:], None, self._values
        if gradient is not None:
            of_constants = gradient[tail:]
        if seen.some:
            constants = constants[seen.places]
            of_constants, pairs = np.zeros(len(seen.places)), np.zeros(len(seen.pairs))
        self._call(
            ctypes.byref(self._native.tables),
            ctypes.byref(self._native.windows[number]),
            address(path[first:]),
            address(constants),
            rf,
            want,
            address(parts),
            address(own),
            address(of_constants),
            address(self._values[self._pairs if begin is None else begin :]),
            address(pairs),
            ctypes.byref(self._work if work is None else work),
            address(misfit),
            address(slopes),
        )
        if seen.some and gradient is not None:
            gradient[tail + seen.places] += of_constants
        if seen.some and want > 1:
            self._values[seen.pairs] += pairs

    def _add_priors(self, path: Array, want: int, gradient: Array | None) -> float:
        """Add the priors of constants; those of one time are the window's."""
        indices, means, weights = (part[self._common] for part in self.priors)
        deviation = path[indices] - means
        if gradient is not None:
            gradient[indices] += weights * deviation
        if want > 1:
            column = indices - self.problem.layout.tail.start
            self._values[triangle(column) + column] += weights
        return float(0.5 * np.sum(weights * deviation**2))

    def _add_walks(self, path: Array, gradient: Array | None) -> float:
        """Add the walks that windows share, and what the gradient says of copies to their unknowns."""
        assert self._walks is not None
        steps, weights = self._walks
        change = path[steps[:, 1]] - path[steps[:, 0]]
        if gradient is not None:
            gradient[:] = self._ties.gathered(gradient)
            np.add.at(gradient, steps[:, 1], weights * change)
            np.add.at(gradient, steps[:, 0], -weights * change)
        return float(0.5 * np.sum(weights * change**2))

    def sizes(self, path: Array) -> Array:
        """Size of every unknown, shape (size,); at least a tenth of its own root mean square in time."""
        blocks, parameters = self.problem.split(np.abs(path))
        floors = [np.maximum(block, 0.1 * np.sqrt(np.mean(block**2, axis=0))) for block in blocks]
        sizes = self.problem.join(floors, parameters)
        return np.where(sizes > 0.0, sizes, 1e-3)

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
        found, first = self.intervals(number, path), problem.layout.begins[number]
        local = np.array([entry.column for row in structure.rows for entry in row], dtype=np.int64)
        every = np.arange(len(found.errors))[:, None]
        begins = first + structure.scheme.span * problem.layout.block * every
        columns = self._ties.first[structure.places(problem, number, begins, local)]
        widths = np.array([len(row) for row in structure.rows], dtype=np.int64)
        return found.errors, found.entries, columns, widths

    def intervals(self, number: int, path: Array) -> Intervals:
        """Model errors of one window's intervals with all that they are made of.

        Args:
            number: Number of the window.
            path: Flat path, shape (size,).
        """
        window, scheme = self.problem.windows[number], self.structure.scheme
        count = (window.times - 1) // scheme.span
        work, errors, entries = self.full_work(window.times)
        path = np.ascontiguousarray(self._ties.tied(path), dtype=np.float64)
        gradient, parts = np.zeros(self.size), np.empty(3)
        self.evaluate_window(number, path, 1.0, 1, parts, gradient, work=work)
        evaluations = window.times if scheme.nodes is not None else count * scheme.stages
        wide = self.problem.dimension, len(self.equations.model.jacobian)
        rates, slopes = (
            self._native.seen(place, evaluations * width).reshape(evaluations, width).copy()
            for place, width in zip((work.rates, work.slopes), wide, strict=True)
        )
        return Intervals(errors.reshape(count, -1), entries.reshape(count, -1), rates, slopes)

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
