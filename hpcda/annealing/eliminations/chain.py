"""Block elimination from one time interval to the next; dense blocks, rows stored from the first nonzero.

Of a factor a triangle an interval is kept; what couples it with the next is kept as it is in the matrix.
"""

from __future__ import annotations

import numpy as np

from hpcda.action import Action
from hpcda.action.structure import Structure
from hpcda.annealing.elimination import EliminationSpec, Plan
from hpcda.linalg.tree import Front
from hpcda.problem import Numbers


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


def plan(action: Action) -> Plan:
    """See `hpcda.annealing.elimination.EliminationSpec`."""
    structure, windows = action.structure, action.problem.windows
    span, block, border = structure.scheme.span, structure.block, structure.border
    entries, _, edges = entries_of(structure)
    pivots = span * block
    first = begins_of(entries, pivots, block, border)
    front = Front(0, pivots, np.arange(pivots, len(first)), first, -1)
    intervals = sum((window.times - 1) // span for window in windows)
    each = pivots * (pivots + 1) // 2 + border * pivots + edges
    fronts = [(pivots, intervals * front.flops), (block, len(windows) * block**3 / 3)]
    return Plan.of("interval after interval", fronts, (intervals + len(windows)) * each)


ELIMINATION = EliminationSpec(
    "chain", "many starts at once: block tridiagonal in time, dense blocks", plan, place=0
)
