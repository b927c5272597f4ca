"""How a lockstep eliminates the unknowns of a Newton step: interval after interval, or in a tree of fronts.

`chain`: the interior of the path in dense blocks, one an interval, whose rows begin where they are not 0; a
factor keeps a triangle an interval. `tree`: a fill-reducing order of all unknowns
(`hpcda.linalg.order`, `hpcda.linalg.tree`). "auto" is the one that by its operations and the numbers it moves
takes less time, `RATES` and `NUMBER` given: the same on every machine, as it decides the last bits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.action.structure import Structure
from hpcda.linalg.tree import Front, Tree
from hpcda.problem import Numbers

RATES = {10: 20e9, 20: 31e9, 40: 33e9, 100: 39e9, 200: 40e9, 400: 36e9}
"""Operations a second by the pivots of a front, 8 lanes, one core with AVX-512 at 51e9 in a matrix product
(tests/benchmarks/limits.py)."""
NUMBER = 1.8e-9
"""Seconds a number of the factor takes to be set to 0, written, and read in the substitution (the same)."""
SMALL = 32
"""Unknowns of a front up to which the chain is taken without counting."""


@dataclass(frozen=True)
class Plan:
    """A way to eliminate the unknowns of a path.

    Attributes:
        name: "chain" or "tree".
        flops: Additions and multiplications of a factorization.
        numbers: Numbers of a factor, with the room that the factorization needs.
        seconds: Estimate of a factorization and a solution for one path of a full set of lanes.
        tree: The tree, or None.
    """

    name: str
    flops: float
    numbers: int
    seconds: float
    tree: Tree | None = None

    @property
    def sentence(self) -> str:
        """What it is and what it costs."""
        what = "interval after interval"
        if self.tree is not None:
            what = f"tree of {len(self.tree.fronts)} fronts ({self.tree.name})"
        return f"{what}, {self.flops:.2g} flops and {8e-6 * self.numbers:.2g} MB a path"


def _seconds(fronts: list[tuple[int, float]], numbers: int) -> float:
    """Of fronts of (pivots, operations)."""
    pivots, flops = np.array(fronts).T
    return float(np.sum(flops / np.interp(pivots, list(RATES), list(RATES.values())))) + NUMBER * numbers


def entries_of(structure: Structure) -> tuple[Numbers, int, int]:
    """(slot, row, column) of every slot in its front; how many are of a window's last point, how many edges.

    Those of the last point come first; the edges, which couple pivots with the next point, last.
    """
    block, span = structure.block, structure.scheme.span
    kinds: tuple[list[tuple[int, int, int]], ...] = ([], [], [])
    for slot, (phase, lag, row, column) in enumerate(structure.where):
        at = phase * block + row
        other = (span + 1) * block + column if lag < 0 else (phase + lag) * block + column
        edge = span * block <= max(at, other) < (span + 1) * block
        kind = 0 if phase == 0 and lag <= 0 else 2 if edge else 1
        kinds[kind].append((slot, max(at, other), min(at, other)))
    first, rest, edges = kinds
    return np.array([*first, *rest, *edges], dtype=np.int64).reshape(-1, 3), len(first), len(edges)


def begins_of(entries: Numbers, pivots: int, block: int, border: int) -> Numbers:
    """First column of every row of a front that is not 0; the first point's rows hold what comes before."""
    row, column = entries[:, 1], entries[:, 2]
    first = np.zeros(pivots + block + border + 1, dtype=np.int64)
    first[block : pivots + block] = np.minimum(np.arange(block, pivots + block), pivots)
    inside = row < pivots + block
    np.minimum.at(first, row[inside], column[inside])
    return first


def _chain(action: Action) -> Plan:
    structure, windows = action.structure, action.problem.windows
    span, block, border = structure.scheme.span, structure.block, structure.border
    entries, _, edges = entries_of(structure)
    pivots = span * block
    first = begins_of(entries, pivots, block, border)
    front = Front(0, pivots, np.arange(pivots, len(first)), first, -1)
    intervals = sum((window.times - 1) // span for window in windows)
    each = pivots * (pivots + 1) // 2 + border * pivots + edges
    numbers = (intervals + len(windows)) * each
    fronts = [(pivots, intervals * front.flops), (block, len(windows) * block**3 / 3)]
    return Plan("chain", sum(flops for _, flops in fronts), numbers, _seconds(fronts, numbers))


def _tree(action: Action) -> Plan:
    tree = Tree.of(pattern_of(action.problem, action.sparsity), keep_shared=True)
    fronts = [(front.pivots, front.flops) for front in tree.fronts]
    return Plan("tree", tree.flops, tree.numbers, _seconds(fronts, tree.numbers), tree)


ELIMINATIONS: dict[str, Callable[[Action], Plan]] = {"chain": _chain, "tree": _tree}
"""The ways there are."""
_planned: weakref.WeakKeyDictionary[Action, dict[str, Plan]] = weakref.WeakKeyDictionary()


def plan(action: Action, name: str = "auto") -> Plan:
    """How the unknowns of an action are eliminated; planned once.

    Args:
        action: The action.
        name: One of `ELIMINATIONS`, or "auto".

    Raises:
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """
    known = _planned.setdefault(action, {})
    if name not in known:
        if name != "auto":
            known[name] = ELIMINATIONS[name](action)
        elif action.structure.scheme.span * action.structure.block <= SMALL:
            known[name] = plan(action, "chain")
        else:
            known[name] = min((plan(action, each) for each in ELIMINATIONS), key=lambda one: one.seconds)
    return known[name]
