"""One path spread over several ranks, each of which holds a stretch of time.

A rank evaluates its own part of the action and adds its part of gradient and Hessian to the common vector and
matrix.

The action is a sum over intervals and data, so a rank's part is the action of a shorter problem: its own
intervals, and the data and priors of its own times. Neighbors share the time where their stretches meet; all
share the parameters, which the last rank owns, those of one window too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.action import Action, Parts
from hpcda.annealing.choice import refuse_shared_times
from hpcda.annealing.scale import scales
from hpcda.annealing.stretch import Stretch
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc
from hpcda.petsc.system import petsc_bounds
from hpcda.problem import Array, Problem


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
        part = Stretch(problem, action.structure.scheme.span, comm.rank, comm.size)
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
