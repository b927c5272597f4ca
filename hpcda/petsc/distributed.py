"""One path spread over several ranks, each of which holds a stretch of time.

A rank evaluates its own part of the action and adds its part of gradient and Hessian to the common vector and
matrix.

The action is a sum over intervals and data, so a rank's part is the action of a shorter problem: its own
intervals, and the data and priors of its own times. Neighbours share the time where their stretches meet; all
share the parameters, which the last rank owns, those of one window too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hpcda.action import Action, Parts
from hpcda.action.native import priors
from hpcda.annealing.choice import refuse_shared_times
from hpcda.annealing.scale import scales
from hpcda.errors import InputError, Mistake
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc
from hpcda.petsc.system import petsc_bounds
from hpcda.problem import Array, Problem, Window
from hpcda.words import counted


class DistributedSystem:
    """The action over the ranks of an mpi4py communicator.

    Args:
        action: The action of the whole path.
        comm: The communicator; every call is collective over it.

    Raises:
        InputError: There are more ranks than intervals, or windows share unknowns of their times.
    """

    def __init__(self, action: Action, comm: Any) -> None:
        problem = action.problem
        refuse_shared_times(problem, comm.size)
        self.comm, self.rf, self.size = comm, 0.0, action.size
        self.block, self.shared = problem.layout.block, problem.layout.tail.start
        part = _Part(problem, action.structure.scheme.span, comm.rank, comm.size)
        self.part, self.places = part, part.places
        self.local = Action(part.problem, part.priors)
        petsc = PETSc.Comm(comm)
        own = len(part.owned)
        self.x = PETSc.Vec().createMPI((own, self.size), comm=petsc)
        self.gradient, self.lower, self.upper, self.scale = (self.x.duplicate() for _ in range(4))
        low, high = petsc_bounds(problem.bounds)
        self.lower.array[:], self.upper.array[:] = low[part.owned], high[part.owned]
        self.scale.array[:] = scales(problem)[part.owned]
        self._near = PETSc.Vec().createSeq(self.local.size, comm=PETSc.COMM_SELF)
        here = PETSc.IS().createGeneral(part.places.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(self.x, here, self._near, None)
        here.destroy()
        self._gather, self._all = PETSc.Scatter.toAll(self.x)
        self.hessian = self._matrix(problem, own, petsc)

    def _matrix(self, problem: Problem, own: int, petsc: Any) -> Any:
        sparsity = self.local.sparsity
        self._rows = part_rows = self.part.places.astype(PETSc.IntType)
        self._indptr = sparsity.indptr.astype(PETSc.IntType)
        self._columns = part_rows[sparsity.indices]
        width = np.full(own, int(np.diff(sparsity.indptr)[: self.local.problem.layout.tail.start].max()) * 2)
        shared = self.part.owned >= problem.layout.tail.start
        inside, outside = np.minimum(width, own), np.minimum(width, self.size - own)
        inside[shared], outside[shared] = own, self.size - own
        matrix = PETSc.Mat().createAIJ(((own, self.size), (own, self.size)), comm=petsc)
        matrix.setOptionsPrefix(PREFIX)
        matrix.setPreallocationNNZ((inside.astype(PETSc.IntType), outside.astype(PETSc.IntType)))
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        self._add(matrix, np.zeros(len(sparsity.indices)))
        return matrix

    def _add(self, matrix: Any, values: Array) -> None:
        matrix.setValuesIJV(self._indptr, self._columns, values, addv=True, rowmap=self._rows)
        matrix.assemble()

    def load(self, path: Array) -> None:
        """See `System`."""
        self.x.array[:] = path[self.part.owned]

    def path(self) -> Array:
        """See `System`; collective."""
        self._gather.scatter(self.x, self._all)
        return np.array(self._all.array_r)

    def _bring(self, x: Any) -> Array:
        self._scatter.scatter(x, self._near)
        return np.array(self._near.array_r)

    def _sum(self, parts: Parts) -> Parts:
        total = np.empty(3)
        self.comm.Allreduce(np.array([parts.measurement, parts.model, parts.prior]), total)
        return Parts(*(float(value) for value in total))

    def parts(self, x: Any) -> Parts:
        """See `System`; collective."""
        return self._sum(self.local.value(self._bring(x), self.rf))

    def objective_gradient(self, tao: Any, x: Any, g: Any) -> float:
        """See `System`; collective."""
        parts, gradient = self.local.gradient(self._bring(x), self.rf)
        g.set(0.0)
        self._near.array[:] = gradient
        self._scatter.scatter(self._near, g, addv=True, mode=PETSc.ScatterMode.REVERSE)
        return self._sum(parts).total

    def assemble(self, tao: Any, x: Any, h: Any, p: Any) -> None:
        """See `System`; collective."""
        values = self.local.derivatives(self._bring(x), self.rf)[2]
        self.hessian.zeroEntries()
        self._add(self.hessian, values)

    def destroy(self) -> None:
        """See `System`; collective."""
        for thing in (self.hessian, self._scatter, self._gather, self._all, self._near):
            thing.destroy()
        for thing in (self.x, self.gradient, self.lower, self.upper, self.scale):
            thing.destroy()


class _Part:
    """The stretch of a problem that one rank holds.

    Attributes:
        problem: The shorter problem: windows cut to the rank's intervals, data of its own times, no priors.
        places: Index in the whole path of each of its unknowns.
        owned: Indices of the unknowns that it owns, a contiguous range.
        priors: Indices in the shorter path, means and weights of the priors on unknowns that it owns.
    """

    def __init__(self, problem: Problem, span: int, rank: int, ranks: int) -> None:
        intervals = [(window.times - 1) // span for window in problem.windows]
        if sum(intervals) < ranks:
            raise InputError(
                Mistake(
                    "ensemble.ranks_per_start",
                    f"{ranks} ranks share {counted(sum(intervals), 'interval')} of time",
                    f"use at most {sum(intervals)}",
                )
            )
        first, last = (sum(intervals) * r // ranks for r in (rank, rank + 1))
        layout, tail = problem.layout, problem.layout.tail
        constants = np.arange(tail.start, tail.stop)
        windows, numbers, places, owned, passed = [], [], [], [], 0
        opened = np.zeros(problem.size, dtype=bool)
        for number, window in enumerate(problem.windows):
            begin, end = (int(np.clip(cut - passed, 0, intervals[number])) for cut in (first, last))
            passed += intervals[number]
            if begin == end:
                continue
            low, high = begin * span, end * span
            closing = end == intervals[number]
            windows.append(_cut(window, low, high, closing))
            numbers.append(number)
            points = layout.points(number)
            places.append(points[low : high + 1].ravel())
            owned.append(points[low : high + closing].ravel())
            if begin == 0:
                opened[tail.start + layout.seen(number)[: len(layout.own)]] = True
        own = [layout.seen(number)[: len(layout.own)] for number in numbers]
        shared = constants[len(constants) - len(layout.shared) :]
        self.places = np.concatenate([*places, *(tail.start + seen for seen in own), shared])
        self.owned = np.concatenate([*owned, constants] if rank == ranks - 1 else owned)
        self.problem = replace(
            problem,
            windows=tuple(windows),
            parameters=tuple(replace(p, prior=None) for p in problem.parameters),
            varying=tuple(replace(q, prior=None) for q in problem.varying),
            initial_prior={},
        )
        indices, means, weights = priors(problem)
        counted_here = opened.copy()
        counted_here[np.concatenate(owned)] = True
        counted_here[shared] = rank == ranks - 1
        mine = counted_here[indices]
        self.priors = np.searchsorted(self.places, indices[mine]), means[mine], weights[mine]


def _cut(window: Window, low: int, high: int, closing: bool) -> Window:
    data = np.array(window.data[low : high + 1])
    if not closing:
        data[-1] = np.nan
    return Window(
        t=window.t[low : high + 1],
        data=data,
        noise_std=window.noise_std[low : high + 1],
        series=window.series[low : high + 1],
    )
