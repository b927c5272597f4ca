"""The action as PETSc objects: path, gradient and assembled Hessian, made once and reused."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from hpcda.action import Action, GraphAction, Parts
from hpcda.annealing.scale import scales
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc
from hpcda.problem import Array, Numbers, Ties


class System(Protocol):
    """What a minimizer needs of one path, on one rank or on several.

    `block` is the number of unknowns of one time, `shared` the place where the parameters of all times begin;
    of a graph, which knows no times, 0 and the number of all unknowns. `places` are the unknowns, ascending,
    that this rank's part of the action depends on.
    """

    rf: float
    block: int
    shared: int
    places: Numbers
    x: Any
    gradient: Any
    hessian: Any
    lower: Any
    upper: Any
    scale: Any

    def load(self, path: Array) -> None:
        """Put a flat path, shape (size,), into `x`; the same on every rank."""
        ...

    def path(self) -> Array:
        """The flat path in `x`, shape (size,), on every rank."""
        ...

    def parts(self, x: Any) -> Parts:
        """The action of a vector by its terms."""
        ...

    def objective_gradient(self, tao: Any, x: Any, g: Any) -> float:
        """The action of a vector; its gradient goes to `g`."""
        ...

    def assemble(self, tao: Any, x: Any, h: Any, p: Any) -> None:
        """Put the exact Hessian at `x` into `hessian`."""
        ...

    def destroy(self) -> None:
        """Free all PETSc objects."""
        ...


class SerialSystem:
    """The action on one rank; the Hessian's values are written straight into the matrix's own arrays.

    Args:
        action: The action of a path, or of a graph.
    """

    def __init__(self, action: Action | GraphAction) -> None:
        self.action = action
        self.rf = 0.0
        size, sparsity = action.size, action.sparsity
        self.places = np.arange(size)
        self._ties: Ties | None = None
        if isinstance(action, GraphAction):
            self.block, self.shared = 0, size
            bounds, scale = action.variables.bounds, action.variables.scales
        else:
            self.block, self.shared = action.problem.layout.block, action.problem.layout.tail.start
            bounds, scale = action.problem.bounds, scales(action.problem)
            self._ties = action.problem.ties if action.problem.ties.some else None
        self._values = np.zeros(len(sparsity.indices))
        rows = np.repeat(np.arange(size), np.diff(sparsity.indptr))
        self._copies = np.flatnonzero(self._ties.copied[rows]) if self._ties else None
        indptr, indices = sparsity.indptr.astype(PETSc.IntType), sparsity.indices.astype(PETSc.IntType)
        comm = PETSc.COMM_SELF
        self.hessian = PETSc.Mat().createAIJWithArrays(
            (size, size), (indptr, indices, self._values), comm=comm
        )
        self.hessian.setOptionsPrefix(PREFIX)
        self.hessian.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        self.hessian.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        self.hessian.assemble()
        vectors = [PETSc.Vec().createSeq(size, comm=comm) for _ in range(5)]
        self.x, self.gradient, self.lower, self.upper, self.scale = vectors
        self.lower.array[:], self.upper.array[:] = petsc_bounds(bounds)
        self.scale.array[:] = scale
        self._parts: dict[str, Parts] = {}

    def load(self, path: Array) -> None:
        """See `System`."""
        self.x.array[:] = path

    def path(self) -> Array:
        """See `System`."""
        path = np.array(self.x.array_r)
        return self._ties.tied(path) if self._ties else path

    def parts(self, x: Any) -> Parts:
        """See `System`."""
        value = self.action.value(x.array_r, self.rf)
        return value if isinstance(value, Parts) else value.parts

    def objective(self, tao: Any, x: Any) -> float:
        """The action of a vector."""
        return self.action.value(x.array_r, self.rf).total

    def objective_gradient(self, tao: Any, x: Any, g: Any) -> float:
        """See `System`."""
        parts, gradient = self.action.gradient(x.array_r, self.rf)
        g.array[:] = gradient
        return parts.total

    def assemble(self, tao: Any, x: Any, h: Any, p: Any) -> None:
        """See `System`."""
        self._values[:] = self.action.derivatives(x.array_r, self.rf)[2]
        if self._copies is not None:
            self._values[self._copies] = 1.0  # their rows are empty; with this they stay where they are
        self.hessian.stateIncrease()
        self.hessian.assemble()

    def destroy(self) -> None:
        """See `System`."""
        for thing in (self.hessian, self.x, self.gradient, self.lower, self.upper, self.scale):
            thing.destroy()


def petsc_bounds(bounds: tuple[Array, Array]) -> tuple[Array, Array]:
    """Lower and upper bounds with PETSc's own numbers for infinity."""
    lower, upper = bounds
    return np.where(np.isfinite(lower), lower, PETSc.NINFINITY), np.where(
        np.isfinite(upper), upper, PETSc.INFINITY
    )
