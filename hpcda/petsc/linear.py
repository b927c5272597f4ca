"""Chooses the linear solver of a path: direct if there are few unknowns per time, else conjugate gradients.

The natural order, time after time, fills the band of an exact factor: size · block² operations. Where the
model couples each state with few others, as on a lattice, most of that fill is small. A tree of fronts
(`hpcda.petsc.fronts`) avoids it by its order, on one rank or on several. An incomplete factor in the natural
order that keeps some of it (ICC with levels) is almost the exact one; over ranks each has that of its own
stretch of time and of some times more (additive Schwarz; Dryja & Widlund, in Iterative Methods for Large
Linear Systems, Academic Press 1990, 273-291).

CPU seconds of one factorization and one solution, Lorenz 1996, 500 times, trapezoid, one rank, PETSc 3.18
with the reference BLAS, the first analysis left out; and megabytes of the factor for 1000 states:

| states of one time                    |    20 |   50 |  100 |  300 | 1000 |    MB |
|---------------------------------------|-------|------|------|------|------|-------|
| Cholesky, natural order               | 0.005 | 0.04 | 0.25 |  7.8 |    - | 4e3   |
| Cholesky, nested dissection (PETSc)   |  0.01 | 0.10 | 0.63 |  4.9 |    - |       |
| Cholesky, MUMPS (its choice: PORD)    |  0.02 | 0.09 | 0.31 |  4.0 |   42 | 760   |
| Cholesky, MUMPS (QAMD)                |  0.02 | 0.15 | 0.43 |  7.0 |  110 | 970   |
| Cholesky, tree of fronts (AVX-512)    | 0.006 | 0.02 | 0.06 | 0.29 |  2.0 | 750   |
| conjugate gradients, ICC, 3 levels    | 0.004 | 0.02 | 0.04 | 0.13 | 0.52 | 180   |
| conjugate gradients, ICC, 12 levels   | 0.005 | 0.05 | 0.18 | 0.54 |  1.6 | 500   |

An incomplete factor breaks down all at once where the model error's precision is large: with 3 levels beyond
Rf = 1e3, with 12 beyond 1e5, for 100 states. Where conjugate gradients have reached their limit a few times,
the next of the `chain` takes over for the rest of that minimization: more levels, then a direct one.

On two ranks (161 times, tests/benchmarks/eliminations.py --ranks 2) 40, 100, 400 states take a tree of fronts
2.9, 11, 72 ms, MUMPS 13, 76, 1180.

Iterations (100 states, 200 times, tolerance 1e-6) over stretches of time that overlap by so many times:

| ranks | Rf   | levels |   0 |   2 |   8 |  16 |
|-------|------|--------|-----|-----|-----|-----|
| 2     | 1e-2 |      3 |  35 |  19 |  10 |   8 |
| 2     | 1e3  |      3 |  73 |  42 |  19 |  12 |
| 2     | 1e5  |     12 | 268 | 180 |  93 |  50 |
| 4     | 1e3  |      3 |  85 |  47 |  20 |  15 |
| 4     | 1e5  |     12 | 419 | 259 | 121 |  70 |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hpcda.annealing.elimination import FRONTS, Linear
from hpcda.annealing.eliminations import ELIMINATIONS
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.petsc.fronts import Fronts
from hpcda.petsc.options import PREFIX, house_defaults
from hpcda.petsc.start import PETSc
from hpcda.petsc.system import System

WIDE = 400
"""From so many unknowns of one time on, conjugate gradients; below, a direct factorization. At small Rf,
where incomplete factors do best, a climb takes 119 s by conjugate gradients and 87 by a tree at 300 unknowns,
97 and 193 at 500 (big_path.py, on a loaded machine)."""
NARROW = 30
"""Below so many unknowns of one time, one rank takes PETSc's Cholesky in the order of time, above a tree."""
REORDERED = 200
"""From so many unknowns of one time on, PETSc's direct factorizations have an order that reduces fill."""
SPARSE = 0.5
"""Rows of the Hessian that fill more than this part of a time leave no fill to be saved."""
LEVELS = (3, 12)
OVERLAP = 16
"""Times by which the stretches of two ranks overlap on either side, at most a quarter of a stretch."""
ACCURACY, MOST = 1e-8, 300
"""Of conjugate gradients: relative error in the natural norm, and iterations after which they give up."""
FAR = 1e30
"""A residual that grows on its way does not end them: what ends them must be negative curvature."""

CHOLMOD = "cholmod"
NAMING = ("ksp_type", "pc_type", "pc_factor_mat_solver_type", "pc_factor_mat_ordering_type")


@dataclass(frozen=True)
class Choice:
    """A linear solver.

    Attributes:
        sentence: What it does.
        levels: Levels of fill of an incomplete factor, with conjugate gradients; None for a direct solver.
        package: PETSc's name of who factorizes; empty for its own; `FRONTS` for this package.
        order: PETSc's name of the order of elimination; empty for the package's own.
        redundant: Whether every rank factorizes the whole matrix.
    """

    sentence: str
    levels: int | None = None
    package: str = ""
    order: str = ""
    redundant: bool = False


def chain(system: System, elimination: str = "auto") -> list[Choice]:
    """The solvers that fit a Hessian, each the next one's stand-in; collective.

    From `WIDE` unknowns of one time on, if rows are sparse, conjugate gradients with few levels, with many,
    and a tree of fronts; else the tree alone, or, on one rank and where times are `NARROW`, Cholesky in the
    order of time. Where one of the options `NAMING` is given they say the rest.

    Args:
        system: The action.
        elimination: "auto", or the one of `hpcda.annealing.eliminations.ELIMINATIONS` that is asked for.

    Raises:
        InputError: This PETSc was built without the package that is asked for.
    """
    database = PETSc.Options()
    last = direct(system) if system.x.comm.size == 1 and 0 < system.block < NARROW else _fronts(system)
    if any(database.hasName(f"{PREFIX}{name}") for name in NAMING):
        return [replace(direct(system), sentence="as the PETSc options say")]
    if elimination != "auto":
        linear = ELIMINATIONS[elimination].linear
        assert linear is not None
        if linear.package == FRONTS:
            return [_fronts(system)]
        if not linear.levels:
            return [_exact(elimination, linear)]
        return [*_iterative(system, linear.levels), last]
    if system.block < WIDE or not _sparse(system):  # a graph's block is 0
        return [last]
    return [*_iterative(system, LEVELS), last]


def _iterative(system: System, levels: tuple[int, ...]) -> list[Choice]:
    ranks = system.x.comm.size
    parts = f", additive Schwarz over {ranks} stretches of time" if ranks > 1 else ""
    return [Choice(f"conjugate gradients, ICC with {counted(n, 'level')}{parts}", levels=n) for n in levels]


def _fronts(system: System) -> Choice:
    """Trees of fronts."""
    ranks = system.x.comm.size
    parts = f", subtrees on {ranks} ranks" if ranks > 1 else ""
    return Choice(f"Cholesky in a tree of fronts{parts}", package=FRONTS)


def _exact(name: str, linear: Linear) -> Choice:
    """The direct solver of a package.

    Raises:
        InputError: This PETSc has none.
    """
    try:
        _factorizes(linear)
    except PETSc.Error as error:
        problem = f"{name!r}: this PETSc has no Cholesky factorization of {linear.package!r}"
        if linear.order:
            problem += f" in the order {linear.order!r}"
        raise InputError(
            Mistake("solver.elimination", problem, "leave it out, or use a PETSc that was built with it")
        ) from error
    order = f", order {linear.order}" if linear.order else ""
    return Choice(f"Cholesky, {linear.package}{order}", package=linear.package, order=linear.order)


def _factorizes(linear: Linear) -> None:
    """Factorize a matrix of one number.

    Raises:
        PETSc.Error: PETSc cannot.
    """
    matrix = PETSc.Mat().createAIJ((1, 1), csr=([0, 1], [0], [1.0]), comm=PETSc.COMM_SELF)
    pc = PETSc.PC().create(comm=PETSc.COMM_SELF)
    try:
        pc.setOperators(matrix)
        pc.setType(PETSc.PC.Type.CHOLESKY)
        pc.setFactorSolverType(linear.package)
        if linear.order:
            pc.setFactorOrdering(linear.order)
        pc.setUp()
    finally:
        pc.destroy()
        matrix.destroy()


def _sparse(system: System) -> bool:
    nonzeros = system.hessian.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"]
    return bool(nonzeros / system.x.getSize() <= SPARSE * system.block)


def has_mumps() -> bool:
    """Whether PETSc was built with MUMPS."""
    return bool(PETSc.Sys.hasExternalPackage("mumps"))


def direct(system: System) -> Choice:
    """The direct solver that fits; collective."""
    mumps = has_mumps()
    if system.x.comm.size > 1:
        if mumps:
            return Choice("Cholesky over all ranks, MUMPS", package="mumps")
        return Choice("a direct factorization on every rank", redundant=True)
    if system.block and (system.block < REORDERED or not _sparse(system)):
        return Choice("Cholesky in the order of time", order=PETSc.Mat.OrderingType.NATURAL)
    if mumps:
        return Choice("Cholesky in an order that reduces fill, MUMPS", package="mumps")
    return Choice("Cholesky, nested dissection", order=PETSc.Mat.OrderingType.ND)


def configure(ksp: Any, choice: Choice, system: System | None = None) -> None:
    """Make `ksp` the solver of a choice; options may change it still. Collective.

    Args:
        ksp: The solver.
        choice: What it is to be.
        system: Of which it solves the linear systems; one rank's package needs none.
    """
    pc, prefix = ksp.getPC(), ksp.getOptionsPrefix() or ""
    if choice.levels is not None:
        ksp.setType(PETSc.KSP.Type.CG)
        ksp.setNormType(PETSc.KSP.NormType.NATURAL)
        ksp.setTolerances(rtol=ACCURACY, atol=0.0, divtol=FAR, max_it=MOST)
        if ksp.comm.size == 1:
            pc.setType(PETSc.PC.Type.ICC)
            pc.setFactorLevels(choice.levels)
        else:
            assert system is not None
            _stretches(pc, system)
            _default(f"{prefix}sub_pc_type", "icc")
            _default(f"{prefix}sub_pc_factor_levels", choice.levels)
        return
    ksp.setType(PETSc.KSP.Type.PREONLY)
    if choice.package == FRONTS:
        assert system is not None
        pc.setType(PETSc.PC.Type.PYTHON)
        pc.setPythonContext(Fronts(system))
        return
    pc.setType(PETSc.PC.Type.REDUNDANT if choice.redundant else PETSc.PC.Type.CHOLESKY)
    if choice.package:
        pc.setFactorSolverType(choice.package)
    if choice.order:
        pc.setFactorOrdering(choice.order)
    if choice.package == CHOLMOD:  # in supernodes alone it refuses what is not positive definite
        _default(f"{prefix}mat_cholmod_factor", "supernodal")
        _default(f"{prefix}mat_cholmod_print", 0)
    if has_mumps():
        # MUMPS tells the whole inertia where its root stays on one rank and it looks for null pivots. Its own
        # order (PORD, often) takes two minutes for 500,000 unknowns and can crash; QAMD takes one second.
        for number, value in ((7, 6), (13, 1), (24, 1)):
            _default(f"{prefix}mat_mumps_icntl_{number}", value)


def _stretches(pc: Any, system: System) -> None:
    """Additive Schwarz: the unknowns of this rank, those of neighboring times, and the shared parameters."""
    begin, end = system.x.getOwnershipRange()
    last, block = system.shared, system.block
    more = min(OVERLAP, (min(end, last) - begin) // (4 * block)) * block
    wide = np.r_[max(begin - more, 0) : min(end + more, last), last : system.x.getSize()]
    places = [
        PETSc.IS().createGeneral(indices.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        for indices in (wide, np.arange(begin, end))
    ]
    pc.setType(PETSc.PC.Type.ASM)
    pc.setASMType(PETSc.PC.ASMType.BASIC)
    pc.setASMOverlap(0)
    pc.setASMLocalSubdomains(1, places[:1], places[1:])
    for one in places:
        one.destroy()


def _default(name: str, value: str | int) -> None:
    database = PETSc.Options()
    if name not in database.getAll():  # asked for by name, it would count as used
        database.setValue(name, value)
        house_defaults.add(name)


def direct_solver(ksp: Any, system: System) -> None:
    """Defaults of a linear solver: one direct factorization; collective."""
    configure(ksp, direct(system), system)


def positive_definite(ksp: Any, matrix: Any, step: Any, work: Any) -> bool:
    """Whether the factorized matrix is positive definite: by inertia, else by curvature along the step.

    Conjugate gradients that met negative curvature have ended with a negative reason before this is asked,
    and CHOLMOD has ended with an error.
    """
    pc = ksp.getPC()
    if pc.getType() == PETSc.PC.Type.PYTHON and isinstance(fronts := pc.getPythonContext(), Fronts):
        return fronts.positive_definite
    if pc.getType() == PETSc.PC.Type.CHOLESKY and pc.getFactorSolverType() != CHOLMOD:
        negative, zero, _ = pc.getFactorMatrix().getInertia()
        return bool(negative == 0 and zero == 0)
    matrix.mult(step, work)
    return bool(step.dot(work) >= 0.0)
