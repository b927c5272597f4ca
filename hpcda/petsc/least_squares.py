"""The action as a sum of squares, A = ½ Σ ρ², with the sparse Jacobian of ρ: what Gauss–Newton needs.

Residuals: sqrt(Rm)(h - y) of every datum, sqrt(Rf s) r of every model error, and (X - mean)/std of every
    prior.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.action.residuals import Residuals
from hpcda.petsc.start import PETSc
from hpcda.petsc.system import System


class LeastSquares:
    """Residuals and Jacobian of one rank's action as PETSc objects, for TAO's brgn."""

    def __init__(self, system: Any) -> None:
        self.system: System = system
        assert isinstance(system.action, Action)
        self.residuals = Residuals(system.action)
        rows, size = self.residuals.count, system.action.size
        self.vector = PETSc.Vec().createSeq(rows, comm=PETSc.COMM_SELF)
        self._values = np.zeros(len(self.residuals.indices))
        structure = (
            self.residuals.indptr.astype(PETSc.IntType),
            self.residuals.indices.astype(PETSc.IntType),
            self._values,
        )
        self.jacobian = PETSc.Mat().createAIJWithArrays((rows, size), structure, comm=PETSc.COMM_SELF)
        self.jacobian.assemble()

    def connect(self, tao: Any) -> None:
        """Hand residuals and Jacobian to TAO, with Levenberg–Marquardt damping as regularization."""
        options = PETSc.Options()
        for name, value in (("tao_brgn_regularization_type", "lm"),):
            if not options.hasName(f"{tao.getOptionsPrefix()}{name}"):
                options.setValue(f"{tao.getOptionsPrefix()}{name}", value)
        tao.setResidual(self._residual, self.vector)
        tao.setJacobianResidual(self._jacobian, self.jacobian, self.jacobian)

    def _residual(self, tao: Any, x: Any, f: Any) -> None:
        f.array[:] = self.residuals.evaluate(x.array_r, self.system.rf)[0]

    def _jacobian(self, tao: Any, x: Any, j: Any, p: Any) -> None:
        self._values[:] = self.residuals.evaluate(x.array_r, self.system.rf)[1]
        self.jacobian.stateIncrease()
        self.jacobian.assemble()

    def destroy(self) -> None:
        """Free the PETSc objects."""
        self.vector.destroy()
        self.jacobian.destroy()
