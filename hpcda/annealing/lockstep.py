"""Many starts in lockstep: exact Newton steps of several paths at once, one a lane of the processor's vectors."""

from __future__ import annotations

import ctypes
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action.native import DOUBLE, INT, POINTER, Equations, Native, priors, struct
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.scale import scales
from hpcda.problem import Array, Numbers, Problem

EMPTY, ACTIVE, ENDED = range(3)

_Stretch = struct("Stretch", (POINTER, "T w k"), (INT, "first"), (POINTER, "fronts rates lambda"))
_Record = struct(
    "Record",
    (INT, "lane start rung iterations factorizations reason last slot"),
    (DOUBLE, "measurement model prior norm ticks"),
)
_Batch = struct(
    "Batch",
    (INT, "windows size block shared slots span rungs most keep capacity"),
    (POINTER, "stretch scatter scatter_last lower upper scale metric rf prior prior_mean prior_weight"),
    (DOUBLE, "curvature tolerance decrement loose barrier longest"),
    (POINTER, "x trial grad step open hold ring triangle carry corner side"),
    (POINTER, "start state rung iterations factorizations fresh"),
    (POINTER, "shift last_shift weight length slope norm taken crossed refused rejected holds records paths"),
    (INT, "recorded"),
    (ctypes.c_long, "ticks calls"),
)


def _front_size(pivots: int, rest: int) -> int:
    return pivots * (pivots + 1) // 2 + rest * pivots


class Lockstep:
    """Climbs of several starts side by side."""

    def __init__(self, problem: Problem, equations: Equations, ladder: Ladder, lanes: int = 8, **options: Any) -> None:
        self.problem, self.ladder, self.lanes = problem, ladder, lanes
        given = priors(problem)
        native = Native(
            equations, lanes, [("hpcda.linalg", "front.c"), ("hpcda.annealing", "lockstep.c")], given
        )
        self.native = native
        structure = equations.structure
        span, b, P, size = structure.scheme.span, problem.block, problem.shared, problem.size
        self.size = size
        capacity = 64
        arrays: dict[str, Any] = {}
        for name, count in {
            "x": size, "trial": size, "grad": size, "step": size, "open": size, "hold": size, "ring": 3 * structure.slots,
            "triangle": P * (P + 1) // 2, "carry": max(b * b, P * (P + 2)), "corner": P * P,
            "side": max(P * b, P * (P + 1) // 2),
        }.items():
            self.__dict__["_" + name], arrays[name] = native.vectors(count)
        for name in ("start", "state", "rung", "iterations", "factorizations", "fresh", "refused", "rejected", "holds"):
            self.__dict__[name] = np.zeros(lanes, dtype=np.int32)
            arrays[name] = self.__dict__[name].ctypes.data
        for name in ("shift", "last_shift", "weight", "length", "slope", "norm", "taken", "crossed"):
            self.__dict__[name] = np.zeros(lanes)
            arrays[name] = self.__dict__[name].ctypes.data
        lower, upper = problem.bounds
        scale = scales(problem)
        stretches = (_Stretch * len(problem.windows))()
        for n, (window, (first, _)) in enumerate(zip(problem.windows, pairwise(problem.offsets), strict=True)):
            intervals = (window.times - 1) // span
            work = native.work(window.times)
            fronts = native.vectors(intervals * _front_size(span * b, b + P) + _front_size(b, P))[1]
            evaluations = window.times if native.tables.nodal else intervals * structure.scheme.stages
            rates = native.vectors(evaluations * native.tables.D)[1]
            lam = native.vectors(intervals * structure.scheme.errors * native.tables.D)[1]
            self.__dict__.setdefault("_works", []).append(work)
            stretches[n] = _Stretch(
                T=ctypes.addressof(native.tables), w=ctypes.addressof(native.windows[n]),
                k=ctypes.addressof(work), first=first, fronts=fronts, rates=rates, **{"lambda": lam},
            )
            self._lambda = None
        self._stretches = stretches
        shared_prior = np.zeros((3, max(P, 1)))
        for index, mean, weight in zip(*given, strict=True):
            if index >= problem.offsets[-1]:
                shared_prior[:, index - problem.offsets[-1]] = 1, mean, weight
        self.records = (_Record * capacity)()
        places, last = _scatter(structure, span, b, P)
        precision = sum(float(np.nansum(np.where(np.isfinite(w.data), w.noise_std, np.inf) ** -2.0)) for w in problem.windows)
        curvature = precision * float(np.mean(scale[: problem.offsets[-1]] ** 2)) / size
        self.batch = _Batch(
            windows=len(problem.windows), size=size, block=b, shared=P, slots=structure.slots, span=span,
            rungs=ladder.rungs, most=1000, keep=0, capacity=capacity, stretch=ctypes.addressof(stretches),
            scatter=native.pointer(places, np.int32), scatter_last=native.pointer(last, np.int32),
            lower=native.pointer(lower, np.float64), upper=native.pointer(upper, np.float64),
            scale=native.pointer(scale, np.float64), metric=native.pointer(scale**-2.0, np.float64),
            rf=native.pointer(ladder.rf, np.float64), prior=native.pointer(shared_prior[0], np.int32),
            prior_mean=native.pointer(shared_prior[1], np.float64),
            prior_weight=native.pointer(shared_prior[2], np.float64),
            curvature=curvature, tolerance=1e-8, decrement=1e-12, loose=1e-6, barrier=1e-3, longest=1.0,
            records=ctypes.addressof(self.records), paths=None, recorded=0, **arrays,
        )
        for name, value in options.items():
            setattr(self.batch, name, value)

    def put(self, lane: int, start: int, path: Array, first: int) -> None:
        """Give a start to a lane."""
        self._x[:, lane] = path
        if self.batch.barrier:
            lower, upper = self.problem.bounds
            both = np.isfinite(lower) & np.isfinite(upper) & (lower < upper)
            if both.any():
                margin = 1e-2 * (upper - lower)[both]
                self._x[both, lane] = np.clip(path[both], lower[both] + margin, upper[both] - margin)
                self.weight[lane] = self.batch.barrier
        for n, work in enumerate(self._works):
            window = self.problem.windows[n]
            scheme = self.native.equations.structure.scheme
            count = (window.times - 1) // scheme.span * scheme.errors * self.native.tables.D
            lam = np.ctypeslib.as_array(ctypes.cast(getattr(work, "lambda"), ctypes.POINTER(ctypes.c_double)), (count, self.lanes))
            lam[:, lane] = 0.0
        self.start[lane], self.rung[lane], self.state[lane] = start, first, ACTIVE
        self.iterations[lane] = self.factorizations[lane] = self.refused[lane] = self.rejected[lane] = 0
        self.holds[lane] = 0
        self._hold[:, lane] = 0.0
        self.shift[lane] = self.last_shift[lane] = 0.0

    def advance(self, ticks: int) -> int:
        """Step all lanes."""
        return int(self.native.library.climb(ctypes.byref(self.batch), ticks))

    def drain(self) -> list[Any]:
        """Finished rungs since the last call."""
        found = [_Record.from_buffer_copy(self.records[i]) for i in range(self.batch.recorded)]
        self.batch.recorded = 0
        return found

    def path(self, lane: int) -> Array:
        """Path of a lane."""
        return self._x[:, lane].copy()


def _scatter(structure: Any, span: int, b: int, shared: int) -> tuple[Numbers, Numbers]:
    """Where every slot of an interval stands in its front, for an inner interval and for the last point."""
    inner, last = [], []
    pivots = span * b
    for phase, lag, row, column in structure.where:
        at = phase * b + row
        other = (span + 1) * b + column if lag < 0 else (phase + lag) * b + column
        high, low = max(at, other), min(at, other)
        inner.append(high * (high + 1) // 2 + low if high < pivots else pivots * (pivots + 1) // 2 + (high - pivots) * pivots + low)
        if phase > 0 or lag > 0:
            last.append(-1)
        elif lag < 0:
            last.append(b * (b + 1) // 2 + column * b + row)
        else:
            high, low = max(row, column), min(row, column)
            last.append(high * (high + 1) // 2 + low)
    return np.array(inner), np.array(last)
