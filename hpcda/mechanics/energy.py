r"""The energy along a path of a flow.

With the precision ρ = Rf s h of the model error as a rate (h the time that it is integrated over; Rf s where
Rf is per time) the Hamiltonian between data is

    H(x, p, t) = p·F(x, t) + Σ p² / (2 ρ)

(Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018); data are kicks, so that the term
-Rm/2 |x - y|² of the continuous form acts at single times). H is constant from datum to datum where neither
the equations nor known series and parameters of one time depend on time, to the order of the
discretization; at a datum it jumps with p. At Rf = ∞ the second term vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.action import Action
from hpcda.action.rates import Rates
from hpcda.action.weights import interval_steps, step_weights
from hpcda.mechanics.motion import Motion
from hpcda.problem import Array


@dataclass(frozen=True)
class Energy:
    """The energy in one window, in units of the action per unit of time.

    Attributes:
        arriving: H(x, p⁻) at every point, shape (N,).
        leaving: H(x, p⁺), shape (N,).
        middle: Of `WindowMotion.middle`, shape (N,).
    """

    arriving: Array
    leaving: Array
    middle: Array


def energy(action: Action, path: Array, rf: float, motion: Motion) -> tuple[Energy, ...]:
    """The energy along a path, window after window.

    Args:
        action: The action of a flow; a map has no energy.
        path: Flat path, shape (size,).
        rf: Its Rf.
        motion: Its motion.

    Raises:
        ValueError: The model is a map.
    """
    problem, scheme = action.problem, action.structure.scheme
    if problem.model.kind == "map":
        raise ValueError(f"{problem.model.name} is a map: its time has no steps, so that it has no energy")
    path = problem.ties.tied(path)
    blocks, constants = problem.split(np.asarray(path, dtype=np.float64))
    rates = Rates(action.equations) if scheme.nodes is None else None
    found = []
    for number, (window, block, own) in enumerate(zip(problem.windows, blocks, motion.windows, strict=True)):
        if rates is None:
            speed = action.intervals(number, path).rates
        else:
            x, q = block[:, : problem.dimension].T, block[:, problem.dimension :].T
            speed = rates(x, q, constants[problem.layout.seen(number)], window.series.T, window.t).T
        steps = interval_steps(problem, window)[:, None]
        precision = rf * step_weights(problem, window) * scheme.duration * steps
        after = np.repeat(precision, scheme.span, axis=0)
        before, after = np.concatenate([after[:1], after]), np.concatenate([after, after[-1:]])
        sides = ((own.arriving, before), (own.leaving, after), (own.middle, 0.5 * (before + after)))
        found.append(Energy(*(_hamiltonian(p, speed, one) for p, one in sides)))
    return tuple(found)


def _hamiltonian(p: Array, speed: Array, precision: Array) -> Array:
    """H at every point, shape (N,)."""
    return np.asarray(np.sum(p * speed + 0.5 * p**2 / precision, axis=1))
