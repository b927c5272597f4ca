"""The multifrontal elimination as an exact PETSc preconditioner, on one rank or several.

Each rank takes the rows and columns of the unknowns of its stretch out of the assembled matrix, whatever has
been added to it or held in it, and eliminates those that it alone holds; see `hpcda.linalg.spread`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.linalg.elimination import Pattern
from hpcda.linalg.spread import Part, SpreadElimination
from hpcda.petsc.start import PETSc
from hpcda.petsc.system import System
from hpcda.problem import Array, Numbers


class Fronts:
    """The context of a PC of type python.

    Args:
        system: The action as PETSc objects; its unknowns tell which rank holds what.

    Attributes:
        elimination: The elimination; planned with the first matrix.
        positive_definite: Whether the matrix that was factored last is; where it is not, the solution is 0.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self.elimination: SpreadElimination | None = None
        self.positive_definite = False
        self._objects: list[Any] = []
        self._near: Any = None
        self._scatter: Any = None
        self._matrices: Any = None

    def setUp(self, pc: Any) -> None:  # noqa: N802
        """Factor PETSc's matrix; collective."""
        matrix = pc.getOperators()[1]
        if self.elimination is None:
            self._plan(matrix)
        assert self.elimination is not None
        self.positive_definite = self.elimination.factor(self._entries(matrix)[2])

    def _plan(self, matrix: Any) -> None:
        system, x = self._system, self._system.x
        places = system.places
        rows = PETSc.IS().createGeneral(places.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._near = PETSc.Vec().createSeq(len(places), comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(x, rows, self._near, None)
        self._objects = [self._near, self._scatter, rows]
        self._rows = rows
        indptr, indices, _ = self._entries(matrix)
        layer = np.where(places < system.shared, places // (system.block or system.shared), -1)
        alone = x.comm.size == 1
        comm = None if alone else x.comm.tompi4py()
        low, high = held_by(comm, places, x.getSize())
        part = Part(Pattern(indptr, indices, layer), places, low, high)
        self.elimination = SpreadElimination(part, comm)

    def _entries(self, matrix: Any) -> tuple[Numbers, Numbers, Array]:
        """Rows, columns and values of this rank's part of the matrix, in compressed rows."""
        if matrix.comm.size == 1:
            return tuple(matrix.getValuesCSR())
        given = () if self._matrices is None else (self._matrices,)
        self._matrices = matrix.createSubMatrices(self._rows, self._rows, *given)
        return tuple(self._matrices[0].getValuesCSR())

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """Solve with PETSc's matrix; collective."""
        if not self.positive_definite:
            y.set(0.0)
            return
        assert self.elimination is not None
        self._scatter.scatter(x, self._near)
        self._near.array[:] = self.elimination.solve(self._near.array_r)
        self._scatter.scatter(self._near, y, mode=PETSc.ScatterMode.REVERSE)

    def destroy(self, pc: Any) -> None:
        """Free PETSc's objects."""
        for thing in (*self._objects, *(self._matrices or ())):
            thing.destroy()
        self._objects, self._matrices, self.elimination = [], None, None


def held_by(comm: Any, places: Numbers, size: int) -> tuple[Numbers, Numbers]:
    """First and last rank that hold each of a rank's unknowns; collective.

    Args:
        comm: The ranks, None for one alone; those that hold an unknown follow one another.
        places: The unknowns, shape (n,).
        size: Number of all unknowns.
    """
    if comm is None:
        return np.zeros(len(places), dtype=np.int64), np.zeros(len(places), dtype=np.int64)
    counts = np.zeros((2, size), dtype=np.int64)
    counts[0, places], counts[1, places] = 1, comm.rank
    total = np.empty_like(counts)
    comm.Allreduce(counts, total)
    count, ranks = total[:, places]
    low = (ranks - count * (count - 1) // 2) // count
    return low, low + count - 1
