"""Many starts in lockstep: exact Newton steps of several paths at once, one a lane of the vector registers.

All lanes are evaluated, factorized and stepped together by compiled code (assemble.c, front.c, lockstep.c,
climb.c); each has its own start, rung, step control and end. What a start does depends on its first path
alone, not on the starts beside it.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action import Action, Parts
from hpcda.action.native import Native, code
from hpcda.annealing.elimination import begins_of, entries_of, plan
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.outcome import Outcome
from hpcda.annealing.reasons import Reason
from hpcda.annealing.scale import scales
from hpcda.linalg.tree import Tables
from hpcda.native.compile import vector_lanes
from hpcda.native.declared import enumeration, structures
from hpcda.problem import Array, Numbers

EMPTY, ACTIVE, ENDED = enumeration("climb.c", "Lane").values()
MOST_MEMORY = 2.0e9
"""Bytes above which blocks are so large that a sparse factorization does better."""
SOURCE = "climb.c"

_DECLARED = structures("lockstep.c")
_Stretch, _Record, _Batch = (_DECLARED[name] for name in ("Stretch", "Record", "Batch"))
TURN = 3
"""Intervals whose part of the Hessian is kept where they are eliminated in turn."""
_COUNTERS = "start state rung until iterations factorizations holds still"
_NUMBERS = "value shift low high weight before length slope norm taken crossed closed radius bend wait pause"


@dataclass(frozen=True)
class Settings:
    """Tolerances and limits.

    Attributes:
        max_iterations: Limit of factorizations at one rung.
        tolerance: Largest scaled entry of the gradient, relative to an action above 1, at which an action
            that cannot be lowered counts as a minimum; a hundredth of the entry itself ends a rung at once.
        decrement: Relative distance of the action to its minimum, by Newton's estimate, that ends the last
            rung.
        rung_tolerance: The same for the rungs before it.
        barrier: Weight of the barrier between two bounds at a start's first rung; 0 for none.
        longest: Longest first step of a rung, root mean square over unknowns in units of their natural sizes.
        elimination: How the unknowns are eliminated: "auto", or one of
            `hpcda.annealing.elimination.ELIMINATIONS`.
    """

    max_iterations: int = 1000
    tolerance: float = 1e-8
    decrement: float = 1e-12
    rung_tolerance: float = 1e-5
    barrier: float = 1e-3
    longest: float = 0.03
    elimination: str = "auto"


@dataclass(frozen=True)
class Reached:
    """A finished rung: its lane, its start, its number, its outcome, and whether the start ended."""

    lane: int
    start: int
    rung: int
    outcome: Outcome
    ended: bool


@dataclass(frozen=True)
class Midway:
    """A climb in the middle of a rung: all that its further steps depend on.

    Attributes:
        path: Flat path, shape (size,).
        held: Bounds that it is held at, -1 or 1 or 0, shape (size,).
        multipliers: Of the model errors, for each window, flat.
        numbers: What is counted and kept of its step control, by name.
    """

    path: Array
    held: Array
    multipliers: tuple[Array, ...]
    numbers: dict[str, float]


def memory(action: Action, lanes: int | None = None, elimination: str = "auto") -> float:
    """Bytes that `Lockstep` takes for all lanes."""
    problem, structure = action.problem, action.structure
    block, scheme = problem.layout.block, structure.scheme
    nodes = 1 if scheme.nodes is not None else scheme.stages
    a_time = 6 * block + nodes * (2 * problem.dimension + len(action.equations.model.jacobian))
    times = sum(window.times for window in problem.windows)
    chosen = plan(action, elimination)
    passing = (2 + 2 * scheme.span) * block**2 + 3 * len(problem.constants) ** 2
    slots = TURN * structure.slots
    if chosen.tree is not None:
        slots = structure.slots * sum((window.times - 1) // scheme.span + 1 for window in problem.windows)
        passing += 2 * problem.size
    records = 4 * problem.size
    return 8.0 * (lanes or vector_lanes()) * (records + chosen.numbers + times * a_time + slots + passing)


def code_of(action: Action, lanes: int) -> str:
    """What is compiled for a lockstep."""
    return code(action.equations, lanes, SOURCE)


def fits(action: Action, elimination: str = "auto") -> bool:
    """Whether the factors of all lanes fit into `MOST_MEMORY`."""
    return memory(action, None, elimination) <= MOST_MEMORY


class Lockstep:
    """Climbs of several starts side by side.

    Args:
        action: The action.
        ladder: The rungs.
        lanes: Starts that are advanced together, a power of two; None for the width of the processor's
            vectors.
        settings: Tolerances and limits.

    Attributes:
        lanes: Starts that are advanced together.
        stacked: The paths of all lanes, shape (size, lanes), where the compiled code has them.
    """

    def __init__(
        self, action: Action, ladder: Ladder, lanes: int | None = None, settings: Settings | None = None
    ) -> None:
        self.action, self.ladder, self.lanes = action, ladder, lanes or vector_lanes()
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"{self.lanes} lanes: vectors have 1, 2, 4 or 8")
        self.settings = settings or Settings()
        self._native = Native(action.equations, self.lanes, SOURCE, action.priors)
        self._climb: Any = self._native.library.climb
        self._begin: Any = self._native.library.begin_rung
        self._capacity = 4 * self.lanes
        self._records = (_Record * self._capacity)()
        self._paths = np.zeros((self._capacity, action.size))
        self._works: list[ctypes.Structure] = []
        self._multipliers: list[Array] = []
        self.plan = plan(action, self.settings.elimination)
        self._tables: Tables | None = None
        self._stretches = self._make_stretches()
        self._batch = self._make_batch()

    def put(
        self, lane: int, start: int, path: Array, rung: int, fresh: bool, until: int | None = None
    ) -> None:
        """Give a start to an empty lane.

        Args:
            lane: The lane.
            start: Number of the start.
            path: Flat path, shape (size,), from which it begins.
            rung: Its next rung.
            fresh: Whether the path is a start's first one, not the minimum of rung `rung - 1`.
            until: Rung before which it ends; by default the ladder's end.
        """
        self.stacked[:, lane] = path
        self._until[lane] = self.ladder.rungs if until is None else until
        self._start[lane], self._rung[lane], self._state[lane] = start, rung, ACTIVE
        before = 0.0 if fresh else float(self.ladder.rf[rung - 1])
        self._begin(ctypes.addressof(self._batch), lane, before)

    def lift(self, lane: int) -> Midway:
        """Take a climb out of its lane, between two steps; its finished rungs must have been handed over.

        Raises:
            ValueError: There is no such climb in the lane, or rungs have not been handed over.
        """
        if self._state[lane] != ACTIVE or self._batch.recorded:
            raise ValueError(f"lane {lane} holds no climb that can be moved now")
        numbers = {name: values[lane].item() for name, values in self._per_lane.items()}
        multipliers = tuple(values[:, lane].copy() for values in self._multipliers)
        midway = Midway(self.stacked[:, lane].copy(), self._held[:, lane].copy(), multipliers, numbers)
        self._state[lane] = EMPTY
        return midway

    def set_down(self, lane: int, climb: Midway) -> None:
        """Let a climb go on in an empty lane: of this lockstep, or another of the same problem and ladder.

        Raises:
            ValueError: The lane is not empty.
        """
        if self._state[lane] != EMPTY:
            raise ValueError(f"lane {lane} is not empty")
        self.stacked[:, lane], self._held[:, lane] = climb.path, climb.held
        for values, own in zip(self._multipliers, climb.multipliers, strict=True):
            values[:, lane] = own
        for name, value in climb.numbers.items():
            self._per_lane[name][lane] = value

    @property
    def cap(self) -> float:
        """Action above which a start ends with the rung that it has come to; infinite in the beginning."""
        return float(self._batch.cap)

    @cap.setter
    def cap(self, action: float) -> None:
        self._batch.cap = action

    def drop(self, lane: int) -> None:
        """Empty a lane; the rungs that it has finished are still to be had."""
        self._state[lane] = EMPTY

    @property
    def active(self) -> int:
        """Number of lanes at work."""
        return int((self._state == ACTIVE).sum())

    @property
    def empty(self) -> Numbers:
        """Lanes without a start."""
        return np.flatnonzero(self._state == EMPTY)

    @property
    def rungs(self) -> Numbers:
        """Rung at which every lane is, shape (lanes,)."""
        return self._rung

    @property
    def actions(self) -> Array:
        """Action of every lane where its last step began, shape (lanes,)."""
        return self._per_lane["value"]

    @property
    def steps(self) -> Array:
        """Scaled length of the last step of every lane, shape (lanes,)."""
        return self._per_lane["length"]

    @property
    def gradient_norms(self) -> Array:
        """Largest scaled entry of the gradient of every lane, where its last step began, shape (lanes,)."""
        return self._norm

    def advance(self, ticks: int) -> int:
        """Take up to `ticks` steps of all lanes; stops at once where a start ends. Returns the steps."""
        return int(self._climb(ctypes.byref(self._batch), ticks))

    def reached(self) -> list[Reached]:
        """The rungs finished since the last call, in order; lanes whose start has ended are empty then."""
        found = []
        ended = self._state == ENDED
        last = {self._records[i].lane: i for i in range(self._batch.recorded)}
        for i in range(self._batch.recorded):
            r = self._records[i]
            parts = Parts(r.measurement, r.model, r.prior)
            outcome = Outcome(
                self._paths[i].copy(),
                parts,
                r.norm,
                r.iterations,
                r.factorizations,
                Reason.from_code(r.reason),
            )
            over = bool(ended[r.lane]) and last[r.lane] == i
            found.append(Reached(r.lane, r.start, r.rung, outcome, over))
        self._batch.recorded = 0
        self._state[ended] = EMPTY
        return found

    def _make_stretches(self) -> Any:
        native, problem = self._native, self.action.problem
        structure, tables = self.action.structure, native.tables
        span, block = structure.scheme.span, problem.layout.block
        pivots = span * block
        front = pivots * (pivots + 1) // 2 + structure.border * pivots + entries_of(structure)[2]
        extents = [((window.times - 1) // span + 1) * structure.slots for window in problem.windows]
        whole = self.plan.tree is not None
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
        rows = max(rows, 2 * self._tables.structure.most) if self._tables is not None else rows
        counts = dict.fromkeys("x trial grad step open hold".split(), size) | {
            "triangle": shared * (shared + 1) // 2,
            "corner": shared**2,
            "dense": shared**2 + shared * (shared + 1) // 2 + 2 * shared,
            "scratch": block * span * block,
            "coupling": block * span * block,
            "passing": max(span * block, 3 * stages + errors + block + border),
            "near": 3 * border + border * (border + 1) // 2 + border**2,
        }
        vectors = {name: native.vectors(count) for name, count in counts.items()}
        places = {name: place for name, (_, place) in vectors.items()}
        self.stacked, self._held = vectors["x"][0], vectors["hold"][0]
        lanes: dict[str, Numbers] = {name: np.zeros(self.lanes, dtype=np.int32) for name in _COUNTERS.split()}
        lanes |= {name: np.zeros(self.lanes) for name in _NUMBERS.split()}
        self._per_lane = lanes
        self._start, self._state, self._rung = lanes["start"], lanes["state"], lanes["rung"]
        self._until = lanes["until"]
        self._norm = lanes["norm"]
        entries, last, edges = entries_of(structure)
        coupled = entries[len(entries) - edges :]
        lower, upper = problem.bounds
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
            "lower": lower, "upper": upper, "scale": scale, "metric": 1.0 / scale**2, "rf": self.ladder.rf,
            "prior_mean": prior[1], "prior_weight": prior[2],
        }  # fmt: skip
        settings = self.settings
        return _Batch(
            windows=len(problem.windows),
            size=size,
            block=block,
            shared=shared,
            border=border,
            slots=structure.slots,
            span=span,
            entries=len(entries),
            entries_last=last,
            edges=edges,
            rungs=self.ladder.rungs,
            most=settings.max_iterations,
            capacity=self._capacity,
            turn=TURN if self.plan.tree is None else np.iinfo(np.int32).max,
            stretch=ctypes.addressof(self._stretches),
            curvature=precision * float(np.mean(scale[: problem.layout.tail.start] ** 2)) / size,
            tolerance=settings.tolerance,
            decrement=settings.decrement,
            loose=settings.rung_tolerance,
            barrier=settings.barrier,
            longest=settings.longest,
            cap=np.inf,
            records=ctypes.addressof(self._records),
            paths=self._paths.ctypes.data,
            rows=native.pointer(np.zeros(rows), np.uintp),
            **{name: native.pointer(array, np.int32) for name, array in integers.items()},
            **{name: native.pointer(array, np.float64) for name, array in doubles.items()},
            **{name: array.ctypes.data for name, array in lanes.items()},
            **places,
            **of_tree,
        )

    def _tree_of_batch(self) -> dict[str, int]:
        """What the elimination in a tree needs, by name; nothing for the chain."""
        native, tree, action = self._native, self.plan.tree, self.action
        if tree is None:
            return {}
        constants = len(action.problem.constants)
        own = action.sparsity.gather - constants * (constants + 1) // 2
        self._tables = tables = Tables.of(tree, own)
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
