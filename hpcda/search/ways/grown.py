"""Quasi-static growth of the window: a short interval of the data is solved, then extended to the whole.

Whether a way to begin finds the true path depends much on where the data begin, and on how many of them there
are: a stretch that begins a few times later is another problem. So each try draws a stretch of its own, long
enough for a few data values a number that is unknown in it, smooths its data several times, anneals these
paths, and lets the beam of their minima grow (`hpcda.search.beam`). A stretch whose minima do not agree with
data that join is given up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpcda.problem import Array, Problem
from hpcda.search.beam import Beam, lowest
from hpcda.search.context import SearchContext
from hpcda.search.way import Way
from hpcda.search.ways.smoother import WAY as SMOOTHER

DATA = 6.0, 12.0
"""Data values of the first stretch for each of its D + V + P unknown numbers, drawn evenly."""
LEAST = 1 / 8
"""The first stretch is at least this share of the window."""
PATHS = 8
"""Smoothed paths of a first stretch."""
RUNG = 0.4
"""Share of the ladder below their first rung."""
BACK, AHEAD = 1 / 6, 1 / 3
"""By what a stretch grows, in lengths of the first one."""
TRIES = 3
"""Stretches that are tried; when none has grown to the whole window, the path is a smoothed one."""
STEPS = 5000.0
"""See `Way`."""
KNOWN = 0.1
"""Width of the range of parameters that another window has given, as a share of their whole range."""


def _path(context: SearchContext, rng: np.random.Generator) -> Array:
    problem = context.problem
    layout = problem.layout
    blocks: dict[int, Array] = {}
    constants = np.zeros(len(problem.constants))
    estimates: list[Array] = []
    weights: list[float] = []
    for number in rng.permutation(len(problem.windows)).tolist():
        known = np.average(estimates, axis=0, weights=weights) if estimates else None
        one = _narrowed(problem, known).cut(number, 0, problem.windows[number].times)
        (blocks[number],), seen = one.split(_window(context.of(one), rng))
        constants[layout.seen(number)] = seen
        estimates.append(seen[len(layout.own) :])
        weights.append(1.0 + one.measured)
    constants[len(constants) - len(layout.shared) :] = np.average(estimates, axis=0, weights=weights)
    return problem.join([blocks[k] for k in sorted(blocks)], constants)


def _window(context: SearchContext, rng: np.random.Generator) -> Array:
    """A flat path of a problem that has one window."""
    span = context.action.structure.scheme.span
    for _ in range(TRIES):
        begin, end = _stretch(context.problem, span, rng)
        piece = context.of(context.problem.cut(0, begin, end))
        paths = []
        for _ in range(PATHS):
            paths.append(SMOOTHER.draw(piece, rng))
            context.meanwhile()
        beam = Beam(context, begin, end, lowest(piece, paths, RUNG))
        back, ahead = (span * max(1, round(share * (end - begin) / span)) for share in (BACK, AHEAD))
        while beam.minima and not beam.whole:
            beam = beam.grown(back, ahead, rng)
        if beam.minima:
            return beam.minima[0]
    return SMOOTHER.draw(context, rng)


def _stretch(problem: Problem, span: int, rng: np.random.Generator) -> tuple[int, int]:
    """Its begin and end; both are ends of intervals of the discretization."""
    intervals = (problem.windows[0].times - 1) // span
    unknown = problem.layout.block + len(problem.seen)
    wanted = rng.uniform(*DATA) * unknown / max(problem.measured, 1) * intervals
    length = int(np.clip(np.ceil(max(wanted, LEAST * intervals)), 1, intervals))
    begin = int(rng.integers(0, intervals - length + 1))
    return span * begin, span * (begin + length) + 1


def _narrowed(problem: Problem, known: Array | None) -> Problem:
    """The problem with the parameters that windows share near to what is known of them."""
    if known is None:
        return problem
    own = len(problem.layout.own)
    parameters = list(problem.seen[:own])
    for one, value in zip(problem.seen[own:], known.tolist(), strict=True):
        low, high = one.start
        half = 0.5 * KNOWN * (high - low)
        parameters.append(
            replace(one, start=(max(one.bounds[0], value - half), min(one.bounds[1], value + half)))
        )
    return replace(problem, parameters=tuple(parameters))


def _memory(problem: Problem) -> float:
    """That of the smoother, and factors and records of eight paths in lockstep."""
    times = sum(window.times for window in problem.windows)
    block, seen = problem.layout.block, len(problem.seen)
    factors = 64.0 * times * block * (2.0 * block + 2.0 * seen + 40.0)
    return SMOOTHER.memory(problem) + factors


WAY = Way(
    "grown", "a short window is solved first and extended to the whole (quasi-static "
             "assimilation)", _path, shares=(0.65,),
    memory=_memory, steps=STEPS, place=50,
)  # fmt: skip
