"""Defines `EliminationSpec`: how the unknowns of a Newton step are eliminated, and the cost of it.

Two eliminations may differ in the last bits of a result. So lockstep chooses by operation counts and fixed
rates, which are the same on every machine. PETSc's solvers are described by plain data, which `hpcda.petsc`
reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.action import Action
from hpcda.errors import InputError, Mistake
from hpcda.linalg.tree import Tables, Tree
from hpcda.problem import Numbers

RATES = {10: 20e9, 20: 31e9, 40: 33e9, 100: 39e9, 200: 40e9, 400: 36e9}
"""Operations a second by the pivots of a front, 8 lanes, one core with AVX-512 at 51e9 in a matrix product
(tests/benchmarks/limits.py)."""
NUMBER = 1.8e-9
"""Seconds that a number of the factor takes to be set to 0, written, and read again (the same)."""


@dataclass(frozen=True)
class Plan:
    """The plan of an elimination for one path: what is done, and its cost.

    Attributes:
        what: What is done, in a few words.
        flops: Additions and multiplications of a factorization.
        numbers: Doubles of a factor, including the workspace of the factorization.
        seconds: Estimated time per path of a factorization and a solution, with all lanes in use.
        tables: The tables of a tree of fronts; None for block elimination from interval to interval.
    """

    what: str
    flops: float
    numbers: int
    seconds: float
    tables: Tables | None = None

    def __post_init__(self) -> None:
        counts = (self.flops, self.numbers, self.seconds)
        if not (np.isfinite(counts).all() and min(counts) >= 0):
            raise ValueError(f"a plan has operations, numbers and seconds of 0 or more, not {counts!r}")
        if not (self.tables is None or isinstance(self.tables, Tables)):
            raise TypeError(f"tables of a plan are Tables, not a {type(self.tables).__name__}")

    @classmethod
    def of(
        cls, what: str, fronts: Sequence[tuple[int, float]], numbers: int, tables: Tables | None = None
    ) -> Plan:
        """A plan from the (pivots, operations) of its fronts."""
        pivots, flops = np.array(fronts).T
        rates = np.interp(pivots, list(RATES), list(RATES.values()))
        seconds = float(np.sum(flops / rates)) + NUMBER * numbers
        return cls(what, float(flops.sum()), numbers, seconds, tables)

    @classmethod
    def of_tree(cls, tree: Tree, source: Numbers) -> Plan:
        """A plan of a tree of fronts.

        Args:
            tree: The tree.
            source: Where the value of every entry of its pattern is found; see `hpcda.linalg.tree.Tables.of`.
        """
        tables = Tables.of(tree, source)
        fronts = [(front.pivots, front.flops) for front in tree.fronts[: len(tree.fronts) - tree.open]]
        what = f"tree of {len(tree.fronts)} fronts ({tree.name})"
        return cls.of(what, fronts, tables.factor + tables.left, tables)

    @property
    def sentence(self) -> str:
        """What it is and what it costs."""
        return f"{self.what}, {self.flops:.2g} operations a step, {8e-6 * self.numbers:.2g} MB a path"


MOST_LEVELS = 8
"""Solvers with incomplete factors that may follow one another."""


FRONTS = "tree"
"""Who factorizes in trees of fronts: `hpcda.linalg.spread`."""


@dataclass(frozen=True)
class Linear:
    """A linear solver of PETSc, or one that works on PETSc's matrices.

    Attributes:
        package: PETSc's name of who factorizes: "petsc", "mumps", "cholmod"; or `FRONTS`.
        order: PETSc's name of the order of elimination, such as "nd"; empty for the package's own.
        levels: Levels of fill of incomplete factors, PETSc's own, with conjugate gradients: those of the
            first solver, and of each further one that takes over where the one before has given up. None for
            an exact factor.
        spread: Whether several ranks can work on one path.

    Raises:
        ValueError: A level is not a whole number, or the package does not take the options given.
    """

    package: str = "petsc"
    order: str = ""
    levels: tuple[int, ...] = ()
    spread: bool = False

    def __post_init__(self) -> None:
        levels = self.levels
        if not (isinstance(levels, tuple) and all(type(one) is int and one >= 0 for one in levels)):
            raise ValueError(f"levels = {levels!r}: a tuple of whole numbers, such as (0, 3)")
        if self.package != "petsc" and (self.order or levels):
            raise ValueError(
                f"{self.package!r} chooses its own ordering and has no levels of fill: leave both out"
            )
        if self.spread and not levels and self.package in ("petsc", "cholmod"):
            raise ValueError(f"exact factors of {self.package!r} live on one rank: leave spread out")
        if len(levels) > MOST_LEVELS:
            raise ValueError(f"levels = {levels!r}: at most {MOST_LEVELS} of them")
        if self.order and levels:
            raise ValueError("an order is for an exact factor, levels for incomplete ones: leave one out")


@dataclass(frozen=True)
class EliminationSpec:
    """An elimination that a job can choose.

    Attributes:
        name: The value of `solver.elimination` in a job file.
        sentence: Description in one line, for people.
        how: For `lockstep`, a function (action) -> `Plan`; for `newton`, the linear solver of PETSc.
        place: Position in lists of eliminations, smallest first.
        alone: If `how` is for `lockstep`, the same elimination for `newton`; None if there is none.
    """

    name: str
    sentence: str
    how: Callable[[Action], Plan] | Linear
    place: int = 100
    alone: Linear | None = None

    @property
    def linear(self) -> Linear | None:
        """The linear solver of `newton`, or None."""
        return self.how if isinstance(self.how, Linear) else self.alone

    def refuse(self, minimizer: str, ranks: int) -> None:
        """Refuse a minimizer that does not support this elimination.

        Args:
            minimizer: Its name.
            ranks: Ranks that work on one start.

        Raises:
            InputError: The minimizer, or several ranks per start, are not supported.
        """
        spread = self.linear is not None and self.linear.spread
        ways = [*([] if isinstance(self.how, Linear) else ["lockstep"]), *(["newton"] if self.linear else [])]
        if minimizer not in ways:
            named = " and ".join(map(repr, ways))
            problem = f"{self.name!r} works with {named}, but the minimizer is {minimizer!r}"
            remedy = " or ".join(f'solver.minimizer = "{way}"' for way in ways)
            raise InputError(Mistake("solver.elimination", problem, f"leave it out, or write {remedy}"))
        if ranks > 1 and not (minimizer == "newton" and spread):
            problem = f"{self.name!r} works on one rank per start, but {ranks} are requested"
            remedy = "set ensemble.ranks_per_start = 1, or leave it out"
            raise InputError(Mistake("solver.elimination", problem, remedy))
