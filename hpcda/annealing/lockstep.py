"""Minimizes many starts in lockstep: exact Newton steps of several paths at once, one per vector lane.

All lanes are evaluated, factorized and stepped together by compiled code (assemble.c, front.c, lockstep.c,
climb.c); each has its own start, rung, step control and end. What a start does depends on its first path
alone, not on the starts beside it.
"""

from __future__ import annotations

import ctypes
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.action.native import Native, code
from hpcda.annealing.climbs import ACTIVE, EMPTY, ENDED, Climbs, Midway, Reached, Settings
from hpcda.annealing.eliminations import plan
from hpcda.annealing.eliminations.chain import begins_of, entries_of
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.scale import scales
from hpcda.annealing.tied import TiedLockstep, tied_code, tied_memory
from hpcda.native.compile import vector_lanes
from hpcda.native.declared import structures
from hpcda.problem import Numbers

__all__ = [
    "ACTIVE",
    "EMPTY",
    "ENDED",
    "FEWEST",
    "MOST_MEMORY",
    "Lockstep",
    "Midway",
    "Reached",
    "Settings",
    "climbs_of",
    "code_of",
    "fits",
    "lanes_that_fit",
    "memory",
]

MOST_MEMORY = 2.0e9
"""Bytes above which blocks are so large that a sparse factorization does better."""
FEWEST = 4
"""Lanes with which a lockstep is faster than single paths (hpcda.petsc.newton) for wide paths."""
SOURCES = ("lockstep.c", "climb.c")

_DECLARED = structures("lockstep.c")
_Stretch, _Batch = (_DECLARED[name] for name in ("Stretch", "Batch"))
TURN = 3
"""Intervals whose part of the Hessian is kept where they are eliminated in turn."""


def memory(action: Action, lanes: int | None = None, elimination: str = "auto") -> float:
    """Bytes that `Lockstep` takes for all lanes."""
    problem, structure = action.problem, action.structure
    block, scheme = problem.layout.block, structure.scheme
    nodes = 1 if scheme.nodes is not None else scheme.stages
    a_time = 6 * block + nodes * (2 * problem.dimension + len(action.equations.model.jacobian))
    a_time += 2 * scheme.errors * problem.dimension // scheme.span  # multipliers, and those of the trial
    times = sum(window.times for window in problem.windows)
    chosen = plan(action, elimination)
    if problem.ties.some:
        assert chosen.tables is not None
        return (lanes or vector_lanes()) * tied_memory(action, chosen) + chosen.tables.nbytes
    passing = (2 + 2 * scheme.span) * block**2 + 3 * len(problem.constants) ** 2
    slots, tables = TURN * structure.slots, 0
    if chosen.tables is not None:
        tables = chosen.tables.nbytes
        slots = structure.slots * sum((window.times - 1) // scheme.span + 1 for window in problem.windows)
        passing += 2 * problem.size
    records = 4 * problem.size
    own = records + chosen.numbers + times * a_time + slots + passing
    return 8.0 * (lanes or vector_lanes()) * own + tables


def code_of(action: Action, lanes: int) -> str:
    """What is compiled for a lockstep."""
    if action.problem.ties.some:
        return tied_code(action, lanes)
    return code(action.equations, lanes, *SOURCES)


def lanes_that_fit(action: Action, elimination: str = "auto") -> int:
    """Lanes whose factors fit into `MOST_MEMORY`: the processor's, or a part down to `FEWEST`; else 1."""
    lanes = vector_lanes()
    while lanes >= FEWEST:
        if memory(action, lanes, elimination) <= MOST_MEMORY:
            return lanes
        lanes //= 2
    return 1


def fits(action: Action, elimination: str = "auto") -> bool:
    """Whether the factors of `FEWEST` lanes fit into `MOST_MEMORY`: the same on every processor."""
    return memory(action, FEWEST, elimination) <= MOST_MEMORY


def climbs_of(
    action: Action, ladder: Ladder, lanes: int | None = None, settings: Settings | None = None
) -> Lockstep | TiedLockstep:
    """Climbs of any problem's action: see `Lockstep`, and `TiedLockstep` where windows share times."""
    kind = TiedLockstep if action.problem.ties.some else Lockstep
    return kind(action, ladder, lanes, settings)


class Lockstep(Climbs):
    """Climbs of a chain's action.

    Args:
        action: The action.
        ladder: The rungs.
        lanes: Starts that are advanced together, a power of two; None for the width of the processor's
            vectors.
        settings: Tolerances and limits.

    Attributes:
        plan: How the unknowns are eliminated.
    """

    def __init__(
        self, action: Action, ladder: Ladder, lanes: int | None = None, settings: Settings | None = None
    ) -> None:
        super().__init__(action.size, ladder, lanes, settings)
        self.action = action
        self._native = Native(action.equations, self.lanes, SOURCES, action.priors)
        self._library = self._native.library
        self._works: list[ctypes.Structure] = []
        self.plan = plan(action, self.settings.elimination)
        self._stretches = self._make_stretches()
        self._batch = self._make_batch()

    def _make_stretches(self) -> Any:
        native, problem = self._native, self.action.problem
        structure, tables = self.action.structure, native.tables
        span, block = structure.scheme.span, problem.layout.block
        pivots = span * block
        front = pivots * (pivots + 1) // 2 + structure.border * pivots + entries_of(structure)[2]
        extents = [((window.times - 1) // span + 1) * structure.slots for window in problem.windows]
        whole = self.plan.tables is not None
        self._slots = native.vectors(sum(extents) if whole else TURN * structure.slots)[1]
        begins = np.concatenate([[0], np.cumsum(extents)]) * 8 * self.lanes * whole
        stretches = (_Stretch * len(problem.windows))()
        for n, (window, (first, _)) in enumerate(
            zip(problem.windows, pairwise(problem.layout.begins), strict=True)
        ):
            intervals = (window.times - 1) // span
            work = native.work(window.times)
            self._works.append(work)
            errors = intervals * structure.scheme.errors * tables.D
            self._multipliers.append(native.seen(getattr(work, "lambda"), errors))
            if self.ladder.infinity:
                dual, work.dual = native.vectors(errors)
                self._multipliers.append(dual)
            evaluations = window.times if tables.nodal else intervals * structure.scheme.stages
            places = {
                "fronts": 0 if whole else (intervals + 1) * front,
                "rates": evaluations * tables.D,
                "lambda": errors,
            }
            stretches[n] = _Stretch(
                T=ctypes.addressof(tables),
                w=ctypes.addressof(native.windows[n]),
                k=ctypes.addressof(work),
                first=first,
                slots=self._slots + int(begins[n]),
                seen=native.pointer(problem.layout.seen(n), np.int32) if problem.layout.own else None,
                **{name: native.vectors(count)[1] for name, count in places.items()},
            )
        return stretches

    def _make_batch(self) -> Any:
        native, problem, structure = self._native, self.action.problem, self.action.structure
        span, block, size = structure.scheme.span, problem.layout.block, problem.size
        shared, border = len(problem.constants), structure.border
        stages, errors = (n * problem.dimension for n in (structure.scheme.stages, structure.scheme.errors))
        rows = 3 * (span * block + block + border + 1) + max(border + 1, shared)
        of_tree = self._tree_of_batch()
        rows = max(rows, 2 * self.plan.tables.structure.most) if self.plan.tables is not None else rows
        counts = {
            "triangle": shared * (shared + 1) // 2,
            "corner": shared**2,
            "dense": shared**2 + shared * (shared + 1) // 2 + 2 * shared,
            "scratch": block * span * block,
            "coupling": block * span * block,
            "passing": max(span * block, 3 * stages + errors + block + border),
            "near": 3 * border + border * (border + 1) // 2 + border**2,
        }
        places = {name: native.vectors(count)[1] for name, count in counts.items()}
        entries, last, edges = entries_of(structure)
        coupled = entries[len(entries) - edges :]
        scale = scales(problem)
        prior = np.zeros((3, shared))
        for index, mean, weight in zip(*self.action.priors, strict=True):
            if index >= problem.layout.tail.start:
                prior[:, index - problem.layout.tail.start] = 1.0, mean, weight
        known = [np.isfinite(window.data) for window in problem.windows]
        precision = sum(
            float(np.sum(1.0 / window.noise_std[k] ** 2))
            for window, k in zip(problem.windows, known, strict=True)
        )
        integers = {
            "slot": entries[:, 0],
            "place": _places(entries, span * block, block),
            "place_last": _places(entries[:last], block, span * block),
            "edge_row": coupled[:, 1] - span * block, "edge_column": coupled[:, 2], "prior": prior[0],
            "first": begins_of(entries, span * block, block, border),
        }  # fmt: skip
        doubles = {
            "prior_mean": prior[1], "prior_weight": prior[2],
        }  # fmt: skip
        curvature = precision * float(np.mean(scale[: problem.layout.tail.start] ** 2)) / size
        return _Batch(
            **self._common(native, problem.bounds, scale, curvature),
            windows=len(problem.windows),
            block=block,
            shared=shared,
            border=border,
            slots=structure.slots,
            span=span,
            entries=len(entries),
            entries_last=last,
            edges=edges,
            turn=TURN if self.plan.tables is None else np.iinfo(np.int32).max,
            stretch=ctypes.addressof(self._stretches),
            rows=native.pointer(np.zeros(rows), np.uintp),
            **{name: native.pointer(array, np.int32) for name, array in integers.items()},
            **{name: native.pointer(array, np.float64) for name, array in doubles.items()},
            **places,
            **of_tree,
        )

    def _tree_of_batch(self) -> dict[str, int]:
        """What the elimination in a tree needs, by name; nothing for the chain."""
        native, tables, action = self._native, self.plan.tables, self.action
        if tables is None:
            return {}
        counts = {
            "diagonal": action.size,
            "ordered": action.size,
            "factor": tables.factor,
            "left": tables.left,
        }
        places = {name: native.vectors(count)[1] for name, count in counts.items()}
        row, column = tables.entries
        return places | {
            "tree": ctypes.addressof(tables.structure),
            "slots_of_all": self._slots,
            "entry_row": native.pointer(row, np.int32),
            "entry_column": native.pointer(column, np.int32),
        }


def _places(entries: Numbers, pivots: int, after: int) -> Numbers:
    """Where entries stand in a front: packed rows of pivots, `after` rows that are kept elsewhere, a border.

    Those of the `after` rows: where they stand in these rows.
    """
    row, column = entries[:, 1], entries[:, 2]
    packed = row * (row + 1) // 2 + column
    coupling = (row - pivots) * pivots + column
    border = pivots * (pivots + 1) // 2 + (row - pivots - after) * pivots + column
    return np.where(row < pivots, packed, np.where(row < pivots + after, coupling, border))
