"""The first Newton step of a rung beside the tangent of the minimum in ln Rf, from exact minima."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Settings
from hpcda.annealing.scale import scales
from hpcda.problem import Array

from .climbs import Climbs
from .variants import CLASSIC, Variant, make, tangent

FREE = Settings(longest=1e6)
STEPS = {
    "lifted": Variant("", FREE),
    "residual": Variant("", FREE, CLASSIC),
    "tangent": Variant("", FREE, tangent("(1 - 1 / ratio)")),
    "ln": Variant("", FREE, tangent("log(ratio)")),
}


def first_steps(
    action: Action, ladder: Ladder, exact: Climbs, jumps: tuple[int, ...] = (1, 2, 5, 10)
) -> list[dict[str, Any]]:
    """How much of the way to the minimum at Rf α^jump one step leaves, as a median over starts and rungs.

    Args:
        action: The action.
        ladder: The ladder.
        exact: Its climbs with every rung minimized tightly, paths kept.
        jumps: Numbers of rungs to go at once.
    """
    paths, metric = exact.paths, 1.0 / scales(action.problem)
    if paths is None:
        raise ValueError("the climbs kept no paths")
    found = []
    for jump in jumps:
        left: dict[str, list[float]] = {name: [] for name in (*STEPS, "beside", "beside_residual")}
        for rung in range(3, ladder.rungs - jump, max(1, (ladder.rungs - jump - 3) // 8)):
            pair = Ladder(float(ladder.rf[rung]), float(ladder.rf[rung + jump] / ladder.rf[rung]), 2)
            usable = np.isfinite(exact.action[:, [rung, rung + jump]]).all(axis=1)
            if not usable.any():
                continue
            begin, end = paths[usable, rung], paths[usable, rung + jump]
            steps = {name: _steps(variant, action, pair, begin) for name, variant in STEPS.items()}
            for k in range(len(begin)):
                way = np.linalg.norm(metric * (end[k] - begin[k]))
                one = {name: metric * step[k] for name, step in steps.items()}
                # A minimum that is not this one's continuation is not where a step should lead.
                if not way > 0.0 or min(map(np.linalg.norm, one.values())) < 0.2 * way:
                    continue
                for name, step in one.items():
                    left[name].append(float(np.linalg.norm(step - metric * (end[k] - begin[k])) / way))
                size = np.linalg.norm(one["tangent"])
                left["beside"].append(float(np.linalg.norm(one["lifted"] - one["tangent"]) / size))
                left["beside_residual"].append(float(np.linalg.norm(one["residual"] - one["tangent"]) / size))
        medians = {name: _median(values) for name, values in left.items()}
        found.append({"jump": jump, "pairs": len(left["beside"]), **medians})
    return found


def _steps(variant: Variant, action: Action, pair: Ladder, begin: Array) -> Array:
    """The first step from each path, shape (paths, size); nan where its matrix is indefinite."""
    steps = np.full(begin.shape, np.nan)
    lockstep = make(variant, action, pair)
    place = (ctypes.c_double * (action.size * lockstep.lanes)).from_address(lockstep._batch.step)
    for first in range(0, len(begin), lockstep.lanes):
        part = begin[first : first + lockstep.lanes]
        for lane, path in enumerate(part):
            lockstep.put(lane, lane, path, 1, fresh=False)
        lockstep.advance(1)
        new = np.array(place).reshape(action.size, lockstep.lanes).T[: len(part)]
        good = lockstep._per_lane["slope"][: len(part)] <= 0.0
        steps[first : first + len(part)] = np.where(good[:, None], new, np.nan)
        lockstep.reached()
    return steps


def _median(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
