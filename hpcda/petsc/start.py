"""Initializes PETSc once, without reading the command line."""

from __future__ import annotations

import petsc4py

petsc4py.init([])

from petsc4py import PETSc  # noqa: E402

__all__ = ["PETSc", "TaoReason", "petsc_version"]

TaoReason = PETSc.TAO.ConvergedReason if hasattr(PETSc.TAO, "ConvergedReason") else PETSc.TAO.Reason
"""Why TAO stopped, under the name that this petsc4py has for it."""


def petsc_version() -> str:
    """Version of PETSc and of petsc4py, and whether the direct solver MUMPS is there."""
    version = ".".join(str(number) for number in PETSc.Sys.getVersion())
    mumps = "with" if PETSc.Sys.hasExternalPackage("mumps") else "without"
    return f"{version} (petsc4py {petsc4py.__version__}, {mumps} MUMPS)"
