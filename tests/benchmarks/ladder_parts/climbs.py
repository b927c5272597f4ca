"""All starts of a problem up one ladder: what it cost, and where they are at every rung."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.problem import Array, Numbers

from .variants import Variant, make

SAME = 1e-3
"""Relative difference of two actions at one rung below which they are taken for those of one minimum."""


@dataclass(frozen=True)
class Climbs:
    """Starts up a ladder; rungs that were passed without a stop are nan.

    Attributes:
        factorizations: Of every start and rung, shape (starts, rungs).
        guesses: Those of them, of all starts, whose matrix is the last rung's.
        action: The action, shape (starts, rungs).
        model: Its model-error part, shape (starts, rungs).
        paths: Where asked for, shape (starts, rungs, size).
        seconds: CPU seconds of all.
    """

    factorizations: Numbers
    guesses: int
    action: Array
    model: Array
    paths: Array | None
    seconds: float


def climb(
    variant: Variant, action: Action, ladder: Ladder, first: list[Array], paths: bool = False
) -> Climbs:
    """Climb from the first paths."""
    lockstep = make(variant, action, ladder)
    starts = len(first)
    counts = np.zeros((starts, ladder.rungs), dtype=int)
    total, model = np.full(counts.shape, np.nan), np.full(counts.shape, np.nan)
    kept = np.full((*counts.shape, action.size), np.nan) if paths else None
    guesses = _guesses(lockstep)
    before = guesses.value
    waiting = list(range(starts))
    began = time.process_time()
    while waiting or lockstep.active:
        for lane in lockstep.empty[: len(waiting)]:
            start = waiting.pop(0)
            lockstep.put(int(lane), start, first[start], 0, fresh=True)
        lockstep.advance(1000)
        for one in lockstep.reached():
            at = one.start, one.rung
            counts[at] = one.rung.factorizations
            if one.rung.reason.converged:
                total[at], model[at] = one.rung.parts.total, one.rung.parts.model
            if kept is not None:
                kept[at] = one.rung.path
    seconds = time.process_time() - began
    return Climbs(counts, guesses.value - before, total, model, kept, seconds)


def _guesses(lockstep: Lockstep) -> ctypes.c_int:
    try:
        return ctypes.c_int.in_dll(lockstep._native.library, "guesses")
    except ValueError:
        return ctypes.c_int(0)


def row(name: str, one: Climbs, default: Climbs, exact: Climbs, lowest: float, rf: Array) -> dict[str, Any]:
    """What is told of a variant.

    Args:
        name: Its name.
        one: Its climbs.
        default: Those of the default.
        exact: Those whose rungs are all minimized tightly.
        lowest: The lowest last action that any variant found.
        rf: Rf of every rung.
    """
    starts = len(one.action)
    final = one.action[:, -1]
    stopped = np.isfinite(one.action)
    passed = ~stopped.all(axis=0)
    there = stopped & np.isfinite(exact.action)
    gap = np.where(there, one.action / exact.action - 1.0, np.nan)
    excess = gap[there & (abs(gap) < SAME)]
    with np.errstate(all="ignore"):
        level = np.fmin.reduce(one.action, axis=0) / np.fmin.reduce(exact.action, axis=0) - 1.0
    whole = ~passed
    return {
        "variant": name,
        "factorizations": one.factorizations.sum() / starts,
        "after_first": one.factorizations[:, 1:].sum() / starts,
        "without_guesses": (one.factorizations.sum() - one.guesses) / starts,
        "median": float(np.median(one.factorizations.sum(axis=1))),
        "milliseconds": 1e3 * one.seconds / starts,
        "recorded": stopped.sum() / starts,
        "failed": int((~np.isfinite(final)).sum()),
        "hits": int((final <= lowest * (1.0 + SAME)).sum()),
        "same_final": int((abs(final / default.action[:, -1] - 1.0) < SAME).sum()),
        "levels": len(distinct(final)),
        "shared_levels": shared(distinct(final), distinct(default.action[:, -1])),
        "same_branch": float(np.mean(abs(gap[there]) < SAME)),
        "excess": float(np.quantile(excess, 0.99)) if len(excess) else float("nan"),
        "lowest_level": float(np.max(abs(level[whole]), initial=0.0)),
        "between": between(one, exact, rf),
    }


def distinct(final: Array) -> list[float]:
    """Last actions that differ."""
    found: list[float] = []
    for value in np.sort(final[np.isfinite(final)]):
        if not found or value > found[-1] * (1.0 + 1e-6):
            found.append(float(value))
    return found


def shared(levels: list[float], others: list[float]) -> int:
    """How many of the levels are among the others."""
    return sum(any(abs(level / other - 1.0) < 1e-6 for other in others) for level in levels)


def between(one: Climbs, exact: Climbs, rf: Array) -> float:
    """95 % quantile of the relative error of actions at passed rungs, interpolated from those recorded.

    The cubic has the slope that an action has at its minima, dA/d ln Rf = its model-error part. Starts count
    between rungs where both climbs are at one minimum.
    """
    errors: list[Array] = []
    x = np.log(rf)
    for start in range(len(one.action)):
        stops = np.flatnonzero(np.isfinite(one.action[start]))
        same = abs(one.action[start] / exact.action[start] - 1.0) < SAME
        for a, b in zip(stops, stops[1:], strict=False):
            if b == a + 1 or not (same[a] and same[b]):
                continue
            u, h = (x[a + 1 : b] - x[a]) / (x[b] - x[a]), x[b] - x[a]
            ends = one.action[start, [a, b]]
            slope = h * one.model[start, [a, b]]
            value = (
                (1 + 2 * u) * (1 - u) ** 2 * ends[0]
                + u * (1 - u) ** 2 * slope[0]
                + u**2 * (3 - 2 * u) * ends[1]
                + u**2 * (u - 1) * slope[1]
            )
            errors.append(abs(value / exact.action[start, a + 1 : b] - 1.0))
    found = np.concatenate(errors) if errors else np.zeros(0)
    found = found[np.isfinite(found)]
    return float(np.quantile(found, 0.95)) if len(found) else float("nan")
