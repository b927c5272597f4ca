"""The time interval of a shared path that one rank holds, and the cost of eliminating it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.action.native import priors
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.linalg.elimination import Pattern
from hpcda.linalg.spread import Part, Planner, SpreadElimination
from hpcda.problem import Problem, Window


class Stretch:
    """The stretch of a problem that one rank holds.

    Attributes:
        problem: The shorter problem: windows cut to the rank's intervals, data of its own times, no priors.
        places: Index in the whole path of each of its unknowns.
        owned: Indices of the unknowns that it owns, a contiguous range.
        priors: Indices in the shorter path, means and weights of the priors on unknowns that it owns.
    """

    def __init__(self, problem: Problem, span: int, rank: int, ranks: int) -> None:
        intervals = [(window.times - 1) // span for window in problem.windows]
        if sum(intervals) < ranks:
            raise InputError(
                Mistake(
                    "ensemble.ranks_per_start",
                    f"{ranks} ranks share {counted(sum(intervals), 'interval')} of time",
                    f"use at most {sum(intervals)}",
                )
            )
        first, last = (sum(intervals) * r // ranks for r in (rank, rank + 1))
        layout, tail = problem.layout, problem.layout.tail
        constants = np.arange(tail.start, tail.stop)
        windows, numbers, places, owned, passed = [], [], [], [], 0
        opened = np.zeros(problem.size, dtype=bool)
        for number, window in enumerate(problem.windows):
            begin, end = (int(np.clip(cut - passed, 0, intervals[number])) for cut in (first, last))
            passed += intervals[number]
            if begin == end:
                continue
            low, high = begin * span, end * span
            closing = end == intervals[number]
            windows.append(_cut(window, low, high, closing))
            numbers.append(number)
            points = layout.points(number)
            places.append(points[low : high + 1].ravel())
            owned.append(points[low : high + closing].ravel())
            if begin == 0:
                opened[tail.start + layout.seen(number)[: len(layout.own)]] = True
        own = [layout.seen(number)[: len(layout.own)] for number in numbers]
        shared = constants[len(constants) - len(layout.shared) :]
        self.places = np.concatenate([*places, *(tail.start + seen for seen in own), shared])
        self.owned = np.concatenate([*owned, constants] if rank == ranks - 1 else owned)
        self.problem = replace(
            problem,
            windows=tuple(windows),
            parameters=tuple(replace(p, prior=None) for p in problem.parameters),
            varying=tuple(replace(q, prior=None) for q in problem.varying),
            initial_prior={},
        )
        indices, means, weights = priors(problem)
        counted_here = opened.copy()
        counted_here[np.concatenate(owned)] = True
        counted_here[shared] = rank == ranks - 1
        mine = counted_here[indices]
        self.priors = np.searchsorted(self.places, indices[mine]), means[mine], weights[mine]


def _cut(window: Window, low: int, high: int, closing: bool) -> Window:
    data = np.array(window.data[low : high + 1])
    if not closing:
        data[-1] = np.nan
    return Window(
        t=window.t[low : high + 1],
        data=data,
        noise_std=window.noise_std[low : high + 1],
        series=window.series[low : high + 1],
    )


def spread_cost(action: Action, ranks: int) -> tuple[float, float]:
    """Operations of a factorization in subtrees on ranks, and bytes of its factor, of the rank that has most.

    Args:
        action: The action.
        ranks: Ranks that share a path.

    Raises:
        InputError: There are more ranks than intervals.
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """
    problem, span = action.problem, action.structure.scheme.span
    pattern = pattern_of(problem, action.sparsity)
    entries = np.ones(len(pattern.indices)), pattern.indices, pattern.indptr
    whole = csr_array(entries, shape=(problem.size,) * 2)
    places = [np.arange(problem.size)]
    if ranks > 1:
        places = [Stretch(problem, span, rank, ranks).places for rank in range(ranks)]
    low, high = np.full(problem.size, ranks), np.full(problem.size, -1)
    for rank, own in enumerate(places):
        low[own], high[own] = np.minimum(low[own], rank), rank
    sent: dict[tuple[int, int], object] = {}
    operations, memory = 0.0, 0.0
    for rank in range(ranks - 1, -1, -1):  # each one receives from those behind it alone
        own = places[rank]
        matrix = whole[own][:, own]
        matrix.sort_indices()
        part = Part(Pattern(matrix.indptr, matrix.indices, pattern.layer[own]), own, low[own], high[own])
        elimination = SpreadElimination(part, Planner(rank, ranks, sent) if ranks > 1 else None)
        operations, memory = max(operations, elimination.flops), max(memory, elimination.memory)
    return operations, memory
