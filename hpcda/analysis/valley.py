"""Tests whether two points of nearly equal action lie in one flat valley.

They do where a path between them never rises above the higher of them by more than `RISE`. The straight path
is tried first. Else the points of the straight path are relaxed, one after the other: each is moved by
the Gauss-Newton method to the lowest action on the plane through it that cuts the straight path at a right
angle (in natural scales), as in the string and nudged-elastic-band methods (H. Jónsson, G. Mills, K. W.
Jacobsen, in Classical and Quantum Dynamics in Condensed Phase Simulations, World Scientific 1998), which
follows a curved valley, such as p·q = const.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.residuals import Residuals
from hpcda.analysis.laplace import sides_of
from hpcda.linalg.blocktridiagonal import NotBlockTridiagonalError, lifted_cholesky
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Problem
from hpcda.search.curvature import LEAST, Curvature, natural_scales

Array = npt.NDArray[np.float64]

RISE = 0.1
"""Largest rise of the action along a path within one valley: hardly more than between one point and
itself."""
PIECES = 8
"""Pieces of the straight path."""
STEPS = 20
"""Steps of the Gauss-Newton method at each of its points."""
JUMP = 4.0
"""Longest way between two neighbors, in pieces of the straight path; what is farther away is another
valley."""
WALKS, WORK = 32, 5e9
"""Pairs of points between which a curved valley is looked for in vain, and multiply-adds for all of them."""
SETTLED = 1e-3
"""Expected gain of a step below which a point is relaxed."""


def straight_valley(action: Action, one: Array, other: Array, rf: float) -> bool:
    """Whether the action hardly rises on the straight path between two points; see `one_valley`."""
    limit = _limit(action, one, other, rf)
    shares = np.arange(1, PIECES) / PIECES
    return all(action.value(one + share * (other - one), rf).total <= limit for share in shares)


def _limit(action: Action, one: Array, other: Array, rf: float) -> float:
    return max(action.value(one, rf).total, action.value(other, rf).total) + RISE


@dataclass
class Patience:
    """Curved valleys that may be looked for in vain.

    Attributes:
        walks: How many.
        work: Multiply-adds that these may take; the walk at which they are spent is ended.
    """

    walks: int = WALKS
    work: float = WORK

    def __bool__(self) -> bool:
        """Whether one more may be."""
        return self.walks > 0 and self.work > 0.0


def one_valley(action: Action, one: Array, other: Array, rf: float, patience: Patience | None = None) -> bool:
    """Whether two points are joined by a path that hardly rises.

    Args:
        action: The action.
        one: Flat path of shape (size,), a minimum.
        other: Another one.
        rf: The model precision.
        patience: What may be tried yet; what a walk takes that does not arrive is taken off.
    """
    if straight_valley(action, one, other, rf):
        return True
    walk = _Walk(action, one, other, rf, _limit(action, one, other, rf))
    if patience is not None:
        walk.most = patience.work
    try:
        found = walk.arrives()
    except (LinAlgError, NotPositiveDefiniteError, NotBlockTridiagonalError):
        found = False
    if patience is not None and not found:
        patience.walks, patience.work = patience.walks - 1, patience.work - walk.work
    return found


def work_of_a_step(problem: Problem) -> float:
    """Multiply-adds of one linear system: blocks of times, with all constants as their border."""
    block, constants = problem.layout.block, len(problem.layout.constants)
    return float(sum(problem.layout.times) * 2 * block * (block + constants) ** 2)


class _Walk:
    """From one point to the other, plane by plane."""

    def __init__(self, action: Action, one: Array, other: Array, rf: float, limit: float) -> None:
        problem = action.problem
        self._action, self._problem, self._rf, self._limit = action, problem, rf, limit
        self._residuals = Residuals(action)
        self._one, self._other = one, other
        self._scale = np.maximum(natural_scales(problem, one), natural_scales(problem, other))
        self._chord = np.where(problem.ties.copied, 0.0, (other - one) / self._scale)
        self._length = float(np.linalg.norm(self._chord))
        self._normal = self._chord / self._length
        self.work, self.most = 0.0, np.inf

    def arrives(self) -> bool:
        """Whether the walk stays low and ends at the other point."""
        here, piece = self._one, self._length / PIECES
        for number in range(1, PIECES + 1):
            there = self._relaxed(here, number * piece)
            if there is None or self._away(here, there) > JUMP * piece:
                return False
            here = there
        if self._away(here, self._other) <= 0.01 * piece:
            return True
        middle = self._action.value(0.5 * (here + self._other), self._rf).total
        return self._away(here, self._other) <= piece and middle <= self._limit

    def _away(self, one: Array, other: Array) -> float:
        return float(np.linalg.norm((one - other) / self._scale))

    def _relaxed(self, path: Array, place: float) -> Array | None:
        """The lowest point of the plane so far from the first point; None where it is above the limit."""
        lower, upper = self._problem.bounds
        shared = slice(self._problem.layout.tail.start, None)
        value = np.inf
        for _ in range(STEPS):
            self.work += work_of_a_step(self._problem)
            if self.work > self.most:
                return None
            rho, values = self._residuals.evaluate(path, self._rf)
            jacobian = csr_array(
                (values, self._residuals.indices, self._residuals.indptr), (self._residuals.count, len(path))
            )
            slope = self._scale * (jacobian.T @ rho)
            still = sides_of(self._problem, path, self._scale, slope) != 0
            held = still.copy()
            held[shared] = False
            product = csr_array(jacobian.T @ jacobian)
            csr = (product.indptr, product.indices, product.data)
            found = Curvature.of(self._problem, csr, self._scale, held)
            information, fixed = found.schur.copy(), still[shared]
            information[fixed, :] = information[:, fixed] = 0.0
            information[fixed, fixed] = 1.0
            corner, _ = lifted_cholesky(information, LEAST, found.corner)
            factor = found.factor(corner)
            right = np.where(still[:, None], 0.0, np.stack([slope, self._normal], axis=1))
            down, along = found.solve(factor, right).T
            down[still] = along[still] = 0.0
            normal = np.where(still, 0.0, self._normal)
            short = place - float(self._normal @ ((path - self._one) / self._scale))
            reach = float(normal @ along)
            if not reach > 0.0:
                return None
            step = -down + along * (short + float(normal @ down)) / reach
            off_plane = abs(short) > 1e-6 * self._length
            size = min(1.0, 2.0 * self._length / PIECES / max(float(np.linalg.norm(step)), 1e-300))
            while True:
                trial = np.clip(path + size * step * self._scale, lower, upper)
                trial = self._problem.ties.tied(trial)
                total = self._action.value(trial, self._rf).total
                if np.isfinite(total) and (off_plane or total <= value):
                    break
                size *= 0.5
                if size < 1e-6:
                    return path if value <= self._limit and not off_plane else None
            gain = value - total
            path, value = trial, total
            if not off_plane and gain < SETTLED:
                break
        return path if value <= self._limit else None
