"""Minimization of a layered network at Rf = ∞: shifted Newton steps in the weights and the noisy inputs.

First with the Gauss-Newton matrix (Levenberg-Marquardt), which leads down from far away; where such steps
bring or promise little, with the exact Hessian, to a minimum; from a saddle point they are led away along a
direction in which the Hessian is negative. The shift follows how well each step was predicted (H. Nielsen,
Damping Parameter in Marquardt's Method, IMM-REP-1999-05, Technical University of Denmark 1999). How a step is
computed is the elimination's (`hpcda.annealing.layered`): Gauss-Newton steps, which decide what minimum is
reached, alike by all; exact ones only as far as they need be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcda.action import Parts
from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.layered import Elimination, Model, chosen
from hpcda.annealing.layered.products import promised
from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import Rung
from hpcda.problem import Array

FIRST, LEAST, LARGEST = 1e-3, 1e-6, 1e12
"""The first shift, the smallest one above 0, and the largest, as parts of the mean of the diagonal."""
ACCEPT = 1e-4
NEAR = 1e-7
"""Part of the action below which what a Gauss-Newton step promises is little."""
SLOW, PATIENCE = 1e-3, 6
"""Gauss-Newton steps in a row that bring less than this part of the action are too many."""
FLAT = 1e-6
"""A gradient smaller than this part of the Hessian's size, where that is indefinite, is a saddle point's."""
ROUNDING = 1e-10
"""Part of the action below which a step may fail for rounding errors."""
CLOSE = 1e-6
"""Part of the action that a step promises, about, up to which the exact Hessian is taken from the first."""
GOOD = 0.9
"""Part of its promise that a step keeps where the Hessian has hardly changed."""
WINDOW, REACH = 25, 8.0
"""Steps over which a descent is watched, and how often it may have to fall as far again to be of interest."""
SADDLES = 8
"""Saddle points that the weights are led away from."""
SHORTEST, LONGEST = 1e-6, 1e3
"""Lengths of steps away from a saddle point."""


@dataclass(frozen=True)
class ExactSettings:
    """Limits.

    Attributes:
        max_iterations: Of factorizations.
        decrement: Part of the action that a Newton step may still promise at a minimum.
        elimination: How steps are computed: "states", "data", "krylov", or "auto" for the cheapest; or an
            elimination of the action that descends.
        interest: Action above which a minimum is of no interest: a descent that falls too slowly to come
            there ends.
    """

    max_iterations: int = 500
    decrement: float = 1e-12
    elimination: str | Elimination = "auto"
    interest: float = math.inf


def descend(action: ExactNetwork, theta: Array, settings: ExactSettings | None = None) -> Rung:
    """The minimum downhill of the unknowns `theta`, shape (size,), at Rf = ∞.

    Raises:
        InputError: There is no such elimination.
    """
    return _Descent(action, settings or ExactSettings()).run(np.array(theta, dtype=np.float64))


class _Descent:
    def __init__(self, action: ExactNetwork, settings: ExactSettings) -> None:
        self.action, self.settings = action, settings
        known = settings.elimination
        self.elimination = chosen(action, known) if isinstance(known, str) else known
        self.factorizations = self.iterations = 0
        self._looked, self._then = 0, math.inf

    def run(self, theta: Array) -> Rung:
        """Down with the Gauss-Newton matrix, then with the exact one, away from saddle points."""
        reason = None
        far = not promised(self.action, theta) <= CLOSE
        for exact in (*[False] * far, *[True] * (SADDLES + 1)):
            theta, reason = self._down(theta, exact)
            if reason is not None:
                break
        return self._outcome(theta, reason or Reason.STOPPED_ITERATIONS)

    def _outcome(self, theta: Array, reason: Reason) -> Rung:
        value, gradient = self.action.gradient(theta)
        norm = float(np.abs(gradient).max())
        if not np.isfinite(value) or not np.isfinite(norm):
            reason = Reason.FAILED_NON_FINITE
        prior = self.action.prior(theta)
        parts = Parts(value - prior, 0.0, prior)
        return Rung(theta, parts, norm, self.iterations, self.factorizations, reason)

    def _down(self, theta: Array, exact: bool) -> tuple[Array, Reason | None]:
        """Shifted steps; without a reason, exact ones are to go on from there."""
        made = self.elimination.exact if exact else self.elimination.gauss_newton
        value = self.action.value(theta)
        if not np.isfinite(value):
            return theta, Reason.FAILED_NON_FINITE
        model = made(theta)
        size = model.scale
        least, slow, little = LEAST * size, 0, False
        part = self.settings.decrement if exact else NEAR
        shift, raised = 0.0 if exact else FIRST * size, 2.0
        if not np.isfinite(size):
            return theta, Reason.FAILED_NON_FINITE
        while self.factorizations < self.settings.max_iterations:
            if self._hopeless(value):
                return theta, Reason.STOPPED_HOPELESS
            self.factorizations += 1
            step = model.solve(shift, enough=part * abs(value) if exact else 0.0)
            if step is None:
                if little or (exact and shift == 0.0 and np.abs(model.gradient).max() <= FLAT * size):
                    direction = model.negative()
                    if direction is not None:
                        return self._away(theta, model, direction)
                    if little:
                        return theta, Reason.CONVERGED_DECREMENT
                shift = max(10.0 * shift, least)
                continue
            promise = float(0.5 * step @ (shift * step - model.gradient))
            if not exact and promise <= part * abs(value):
                return theta, None
            if exact and promise <= part * abs(value):
                if shift == 0.0:
                    direction = model.negative()
                    if direction is not None:
                        return self._away(theta, model, direction)
                    return theta, Reason.CONVERGED_DECREMENT
                shift, little = 0.0, True  # a minimum, or a saddle point: the matrix itself tells
                continue
            little = False
            moved = self.action.value(theta + step)
            ratio = (value - moved) / promise if np.isfinite(moved) else -1.0
            if ratio > ACCEPT:
                self.iterations += 1
                slow = slow + 1 if value - moved <= SLOW * abs(value) else 0
                theta = theta + step
                if exact and shift == 0.0 and ratio >= GOOD and self._ended(model, theta):
                    return theta, Reason.CONVERGED_DECREMENT
                if slow >= PATIENCE and not exact:
                    return theta, None
                model = made(theta)
                value = model.value
                shift, raised = shift * max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3), 2.0
                shift = 0.0 if exact and shift < least else shift
            elif promise <= ROUNDING * abs(value):
                return theta, Reason.CONVERGED_DECREMENT if exact and shift == 0.0 else None
            else:
                shift, raised = max(shift, least) * raised, 2.0 * raised
                if shift > LARGEST * size:
                    return theta, Reason.FAILED_TRUST_REGION
        return theta, Reason.STOPPED_ITERATIONS

    def _hopeless(self, value: float) -> bool:
        """Whether as many steps as are watched, `REACH` times over, would not lead to what is of interest."""
        if self.factorizations < self._looked + WINDOW:
            return False
        fall, self._looked, self._then = self._then - value, self.factorizations, value
        return value - self.settings.interest > REACH * fall

    def _ended(self, model: Model, theta: Array) -> bool:
        """Whether the step that the Hessian of the step before makes from here promises too little."""
        value, gradient = self.action.gradient(theta)
        step = model.again(gradient)
        return step is not None and float(-0.5 * step @ gradient) <= self.settings.decrement * abs(value)

    def _away(self, theta: Array, model: Model, direction: Array) -> tuple[Array, Reason | None]:
        """Along a direction in which the Hessian is negative, as far as the action falls.

        Where it falls nowhere, the Hessian is negative there by what cannot be told from 0: a minimum.
        """
        if model.gradient @ direction > 0.0:
            direction = -direction
        best, length = (model.value, theta), SHORTEST
        while length < LONGEST:
            point = theta + length * direction
            moved = self.action.value(point)
            if moved < best[0]:
                best = moved, point
            elif best[0] < model.value:
                break
            length *= 2.0
        if best[0] < model.value:
            self.iterations += 1
            return best[1], None
        return theta, Reason.CONVERGED_DECREMENT
