"""Climbs from given paths: hpcda's in lockstep, IPOPT's at the last rung alone."""

from __future__ import annotations

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep, Reached, Settings
from hpcda.problem import Array, Problem

SHARES = (0.4, 0.25, 0.3, 0.5, 0.6, 0.7, 0.85, 1.0)
"""Where climbs from the truth begin: shares of the ladder below; the first gives the last 24 rungs of 40."""
POLISHING = 10_000
"""Limit of iterations of the last rung where a climb did not come to its minimum."""


def climbs(
    action: Action,
    ladder: Ladder,
    paths: list[Array],
    rungs: list[int],
    settings: Settings | None = None,
) -> list[Reached]:
    """The last rungs of climbs from these paths, which begin at these rungs, in order."""
    lockstep = Lockstep(action, ladder, settings=settings)
    waiting = list(range(len(paths)))
    ends: dict[int, Reached] = {}
    while waiting or lockstep.active:
        for lane in lockstep.empty:
            if waiting:
                start = waiting.pop(0)
                lockstep.put(int(lane), start, paths[start], rungs[start], True)
        lockstep.advance(1000)
        ends |= {one.start: one for one in lockstep.reached() if one.ended}
    return [ends[start] for start in range(len(paths))]


def from_truth(
    action: Action, ladder: Ladder, path: Array, shares: tuple[float, ...] = SHARES
) -> list[Reached]:
    """Climbs from the truth, one a share."""
    rungs = [min(int(share * ladder.rungs), ladder.rungs - 1) for share in shares]
    return climbs(action, ladder, [path] * len(rungs), rungs)


def polished(action: Action, ladder: Ladder, ends: list[Reached]) -> list[Reached]:
    """The same ends; those that the limit of iterations stopped have gone on to their minima."""
    stopped = [k for k, one in enumerate(ends) if not one.rung.reason.converged]
    paths = [ends[k].rung.path for k in stopped]
    further = Settings(max_iterations=POLISHING, barrier=0.0)
    found = climbs(action, ladder, paths, [ladder.rungs - 1] * len(paths), further) if paths else []
    whole = list(ends)
    for k, one in zip(stopped, found, strict=True):
        whole[k] = one
    return whole


def ipopt(problem: Problem, rf: float, path: Array) -> tuple[float, Array]:
    """The action, and its path, that IPOPT reaches at one Rf with an action written independently."""
    import casadi as ca

    from tests.benchmarks.peers_parts.twin import make_twin

    twin = make_twin(problem)
    settings = {
        "grad_f": twin.gradient, "hess_lag": twin.hessian, "print_time": False, "calc_lam_p": False,
        "ipopt.print_level": 0, "ipopt.sb": "yes", "ipopt.tol": 1e-9, "ipopt.max_iter": 1000,
        "ipopt.acceptable_tol": 1e-4, "ipopt.acceptable_iter": 3, "ipopt.acceptable_obj_change_tol": 1e-11,
    }  # fmt: skip
    low, high = problem.bounds
    answer = ca.nlpsol("ipopt", "ipopt", twin.nlp, settings)(x0=path, p=rf, lbx=low, ubx=high)
    return float(answer["f"]), np.array(answer["x"])[:, 0]
