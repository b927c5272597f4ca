r"""Laplace's approximation: the path distribution as a mixture of Gaussians at the distinct minima X_j.

    P(X | Y) ≈ Σ_j w_j N(X_j, A''(X_j)⁻¹),    w_j ∝ exp(-A(X_j)) det(A''(X_j))^(-1/2)

    mean = Σ_j w_j X_j,    variance = Σ_j w_j (diag A''(X_j)⁻¹ + (X_j - mean)²)

The Hessian is block-tridiagonal in time with the shared parameters as its border, so that one factorization
gives the determinant and, by selected inversion, all marginal variances (`hpcda.linalg.blocktridiagonal`).

Not every unknown has a Gaussian.

- *At a bound.* An unknown that the action pushes against its bound leaves the matrix (the active set of D. P.
  Bertsekas, SIAM J. Control Optim. 20, 221 (1982)) and has the one-sided law of `hpcda.analysis.at_bound`,
  whose volume takes the place of its factor in w_j, so that minima with other unknowns at bounds compare. For
  a Gaussian with one shared parameter at its bound all moments are exact; several are taken for independent
  of each other.
- *Open.* Along a flat direction (`hpcda.search.curvature`) nothing but the bounds tells where the unknowns
  are: those that move with it more than their own spread are open. In w_j and in the spread of the
  others each counts as a Gaussian of one natural scale.

Intervals are the estimate plus and minus two standard deviations, cut off at the bounds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky
from scipy.sparse import csr_array

from hpcda.action.blocks import Csr
from hpcda.analysis.at_bound import one_sided
from hpcda.analysis.levels import Minimum
from hpcda.linalg.blocktridiagonal import Factor, lifted_cholesky
from hpcda.problem import Problem
from hpcda.search.curvature import (
    DIRECTIONS,
    HELD,
    LEAST,
    WIDE,
    Curvature,
    falls,
    moved,
    natural_scales,
    rounding,
)

Array = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int8]

NEGLIGIBLE = 60.0
"""Minima this far above the lowest action weigh about e^-60 and are left out."""
MOST = 50
"""Largest number of minima in the mixture."""
DEVIATIONS = 2.0
"""Half width of an interval, in standard deviations."""
CLOSE = 1e-6
"""Distance from a bound, in natural scales, within which an unknown is at it."""
WEAK = 1e-3
"""Slope in natural units below which a state at a bound is not held there."""
NOT_THERE = 0.5
"""Gain of a Newton step above which a point is no minimum: one standard deviation away from it."""
MOVED = 1e-2
"""Movement along a flat direction, in natural scales, that is none."""
TOGETHER = 0.1
"""Movement along a flat direction, as part of its largest, of what is named with it."""
RESTING = 0.1
"""Least natural scale of a state, as part of that of one that moves over the width of its first guess."""
RESOLVED = 0.01
"""Largest part of a variance's inverse that may be rounding of the Hessian's entries."""
COUNTS = 0.01
"""Share of the mixture in which an unknown is open that makes it open in the mixture."""


class Bar(enum.IntEnum):
    """Kinds of error bars."""

    GAUSSIAN = 0
    AT_BOUND = 1
    OPEN = 2


class NotAMinimumError(Exception):
    """A point at which the action can still be lowered has no Gaussian."""


@dataclass(frozen=True)
class Flat:
    """A flat direction: the action does not change along it.

    Attributes:
        moves: By how much each unknown changes while the first one changes by 1, each in its own unit. Keys
            are names of parameters, and of initial states as "x(0)" (with several windows "x(0) of window
            1"); a state or time-dependent parameter that is open at later times only has its bare name.
    """

    moves: Mapping[str, float]

    @property
    def name(self) -> str:
        """The names, for people."""
        return " with ".join(self.moves)


@dataclass(frozen=True)
class Gaussian:
    """The Gaussian at one minimum, a component of the mixture, in the units of the unknowns.

    Attributes:
        path: X_j, flat, shape (size,).
        variances: Variance of every unknown, shape (size,); for an open unknown that of the action with a
            Gaussian of one natural scale added along flat directions.
        logdet: Log det A''; with unknowns at bounds or flat directions, -2 log of the volume over
            (2π)^(size/2).
        corner: Covariance of the shared parameters, shape (P, P).
        kinds: `Bar` of every unknown, shape (size,).
        low: Lower end of the interval, shape (size,); for an open unknown its bound.
        high: Upper end, likewise.
        shift: Mean minus X_j, shape (size,); 0 if no unknown is at a bound.
        flats: Flat directions.
        downward: Whether the action falls along one of them: the point is a saddle, or at a kink of the
            model.
        lost: Largest part of the inverse variance of a parameter or initial state that may be rounding of the
            Hessian's entries.
    """

    path: Array
    variances: Array
    logdet: float
    corner: Array
    kinds: Signs
    low: Array
    high: Array
    shift: Array
    flats: tuple[Flat, ...] = ()
    downward: bool = False
    lost: float = 0.0

    def moved(self, path: Array) -> Gaussian:
        """The same around another point close by, shape (size,); ends at bounds stay."""
        inner = self.kinds == Bar.GAUSSIAN
        away = np.where(inner, path - self.path, 0.0)
        return replace(self, path=path, low=self.low + away, high=self.high + away)

    @property
    def is_lost(self) -> bool:
        """Whether rounding leaves nothing of the curvature that its numbers rest on."""
        return not self.lost <= RESOLVED

    @property
    def unsure(self) -> str | None:
        """Why its numbers are no error bars; None where they are."""
        if self.is_lost:
            return (
                "the action's curvature is lost in rounding against the weight of the model errors: give the "
                'states weights of similar size (action.model_error_weight = "auto"), or lower rf_max'
            )
        if self.downward:
            return (
                "the action decreases along a direction treated as undetermined: the point is a "
                "saddle, or lies "
                "at a kink of the model"
            )
        return None

    @property
    def std(self) -> Array:
        """Standard deviation of every unknown, NaN of what is open or at a bound, shape (size,)."""
        return np.where(self.kinds == Bar.GAUSSIAN, np.sqrt(self.variances), np.nan)

    @property
    def mean(self) -> Array:
        """Mean of every unknown, shape (size,)."""
        return self.path + self.shift


@dataclass(frozen=True)
class Mixture:
    """The mixture of the Gaussians at all distinct minima.

    Attributes:
        mean: Mean of every unknown, flat, shape (size,).
        std: Standard deviation of every unknown, shape (size,); NaN for open unknowns.
        low: Lower end of mean ± two standard deviations, cut off at the bound, shape (size,).
        high: Upper end.
        parameter_covariance: Covariance of the shared parameters, shape (P, P); NaN for open parameters.
        weights: Weight of each minimum, by the number of its start; they sum to 1.
        far: Number of minima left out because they lie too far above the lowest.
        missing: Minima left out for other reasons although they may have weight, with the reasons.
    """

    mean: Array
    std: Array
    low: Array
    high: Array
    parameter_covariance: Array
    weights: dict[int, float]
    far: int = 0
    missing: tuple[str, ...] = ()


def gaussian(problem: Problem, path: Array, csr: Csr, gradient: Array | None = None) -> Gaussian:
    """Gaussian at a minimum.

    Args:
        problem: The problem.
        path: The minimum, shape (size,).
        csr: Hessian there: indptr, indices, values of the full symmetric matrix.
        gradient: Gradient there, shape (size,); 0 where not given.

    Raises:
        NotAMinimumError: A step of Newton's method would lower the action noticeably.
        NotPositiveDefiniteError: The Hessian is not finite, or rounding hides what the data leave open.
        NotBlockTridiagonalError: The Hessian couples times that are more than four apart.
    """
    scale, shared = steps_of(problem, path), problem.layout.tail
    slope = scale * (np.zeros(problem.size) if gradient is None else gradient)
    sides = sides_of(problem, path, scale, slope)
    held = (sides != 0) & (np.abs(slope) > WEAK)
    held[shared] = False
    found = Curvature.of(problem, csr, scale, held)
    border = Border.of(found.schur, found.corner, sides[shared], slope[shared])
    sides = np.where(held, sides, 0).astype(np.int8)
    sides[shared] = border.sides
    factor = found.factor(border.factor)
    free = sides == 0
    pull = np.where(free, slope, 0.0)
    gain = 0.5 * float(pull @ found.solve(factor, pull))
    if not gain <= NOT_THERE:
        raise NotAMinimumError(
            f"it is not a minimum: a Newton step from there lowers the action by {gain:.3g}"
        )

    variances, right = found.variances(factor), np.zeros(problem.size)
    right[shared] = border.factor @ (border.factor.T @ border.shift)
    shift = found.solve(factor, right) if border.shift.any() else right
    reach = np.zeros(problem.size)
    reach[shared] = border.reach
    ties = problem.ties
    volume = border.log_volume - 0.5 * (found.logdet - (held | ties.copied).sum() * np.log(HELD))
    if held.any():
        whole = Curvature.of(problem, csr, scale, np.zeros_like(held))
        corner, _ = lifted_cholesky(whole.schur, LEAST, whole.corner)
        law = one_sided(np.abs(slope[held]), 1.0 / whole.variances(whole.factor(corner))[held])
        variances[held], reach[held], shift[held] = law.variance, law.reach, -sides[held] * law.mean
        own = csr_array((csr[2], csr[1], csr[0]), shape=(problem.size,) * 2).diagonal()[held]
        volume += float(np.sum(one_sided(np.abs(slope[held]), own * scale[held] ** 2).log_volume))
    volume += float(np.log(scale[~ties.copied]).sum()) - 0.5 * np.log(2.0 * np.pi) * int((~free).sum())

    chain, rest = found.lifted(DIRECTIONS)
    flat = np.zeros((problem.size, border.flat.shape[1] + chain.shape[1]))
    flat[shared, : border.flat.shape[1]], flat[:, border.flat.shape[1] :] = border.flat, chain
    share, moves = moved(found.solve(factor, flat), flat)
    loose = (variances > 1.0 / LEAST) | ((share > variances - share) & (share > MOVED**2))
    for lift in rest:
        loose[found.rows(lift)] |= (np.abs(lift.directions) > MOVED).any(axis=1)
    kinds = np.where(free, np.where(loose, Bar.OPEN, Bar.GAUSSIAN), Bar.AT_BOUND).astype(np.int8)

    variances, kinds, moves = ties.tied(variances), ties.tied(kinds), ties.tied(moves)
    sides, free, reach, shift = (ties.tied(values) for values in (sides, free, reach, shift))
    lower, upper = problem.bounds
    std = np.where(kinds == Bar.OPEN, np.inf, DEVIATIONS * np.sqrt(variances))
    low = np.maximum(lower, np.where(sides < 0, lower, path - scale * np.where(free, std, reach)))
    high = np.minimum(upper, np.where(sides > 0, upper, path + scale * np.where(free, std, reach)))
    return Gaussian(
        path,
        variances * scale**2,
        -2.0 * volume,
        factor.corner_covariance * np.outer(scale[shared], scale[shared]),
        kinds,
        low,
        high,
        shift * scale,
        flats(problem, kinds, scale, moves),
        falls(csr, scale, np.where((held | ties.copied)[:, None], 0.0, moves)),
        lost(problem, csr, scale, found, factor, kinds),
    )


def steps_of(problem: Problem, path: Array) -> Array:
    """Natural scales, of a state that hardly moves not below a part of the width of its first guess.

    Where a state is at rest, the range of its path says nothing of how far it may reasonably lie from its
    estimate.

    Args:
        problem: The problem.
        path: The estimate, flat, shape (size,).
    """
    lower, upper = problem.bounds
    width = problem.state_start[:, 1] - problem.state_start[:, 0]
    least = np.concatenate([RESTING * WIDE * width, np.zeros(len(problem.varying))])
    every = problem.layout.spread(least, np.zeros(len(problem.constants)))
    return np.maximum(natural_scales(problem, path), np.minimum(every, (upper - lower) / np.sqrt(12.0)))


def lost(problem: Problem, csr: Csr, scale: Array, found: Curvature, factor: Factor, kinds: Signs) -> float:
    """Part of the inverse variances of parameters and initial states that may be rounding; the largest.

    The variance of an unknown is that of a movement u = C e / √(eᵀ C e) of all, along which uᵀ H u = 1.

    Args:
        problem: The problem.
        csr: The Hessian.
        scale: Natural scales, shape (size,).
        found: The Hessian's chains, eliminated.
        factor: Their factor with the border's.
        kinds: `Bar` of every unknown, shape (size,).
    """
    _, places = named(problem)
    places = places[kinds[places] == Bar.GAUSSIAN][:DIRECTIONS]
    if not len(places):
        return 0.0
    right = np.zeros((problem.size, len(places)))
    right[places, np.arange(len(places))] = 1.0
    moves = found.solve(factor, right)
    moves /= np.sqrt(moves[places, np.arange(len(places))])
    moves[kinds == Bar.AT_BOUND] = 0.0
    whole = csr_array((csr[2], csr[1], csr[0]), shape=(problem.size,) * 2)
    return float(rounding(whole, scale[:, None] * moves).max())


def sides_of(problem: Problem, path: Array, scale: Array, slope: Array) -> Signs:
    """Which unknowns the action holds at a bound: -1 at the lower one, 1 at the upper one, else 0.

    Args:
        problem: The problem.
        path: The minimum, shape (size,).
        scale: Natural scales, shape (size,).
        slope: Gradient in natural units, shape (size,).
    """
    lower, upper = problem.bounds
    down, up = (path - lower) / scale, (upper - path) / scale
    at_lower, at_upper = (slope >= 0) & (down <= CLOSE), (slope <= 0) & (up <= CLOSE)
    return np.where(at_lower & ~at_upper, -1, np.where(at_upper & ~at_lower, 1, 0)).astype(np.int8)


@dataclass(frozen=True)
class Border:
    """The shared parameters, the paths integrated out, in natural units.

    Attributes:
        sides: Which are at a bound, as `sides_of` says, shape (P,).
        factor: Cholesky factor of the inverse of their covariance, shape (P, P).
        shift: Mean minus estimate, shape (P,).
        reach: Distance from the bound that holds `hpcda.analysis.at_bound.SHARE` of those at bounds, shape
            (P,).
        log_volume: Log of the integral over all of them, over (2π)^(1/2) for each that is free.
        flat: Flat directions, orthonormal, shape (P, f).
    """

    sides: Signs
    factor: Array
    shift: Array
    reach: Array
    log_volume: float
    flat: Array

    @classmethod
    def of(cls, information: Array, size: float, sides: Signs, slope: Array) -> Border:
        """Integrate over those at bounds.

        Args:
            information: Their Hessian, the paths integrated out, shape (P, P).
            size: Size of the numbers that it is a difference of.
            sides: Which the action pushes against a bound, shape (P,).
            slope: Gradient, shape (P,).
        """
        sides = sides.copy()
        while True:
            free, at = np.flatnonzero(sides == 0), np.flatnonzero(sides)
            across = information[np.ix_(free, at)]
            lower, lift = lifted_cholesky(information[np.ix_(free, free)], LEAST, size)
            response = cho_solve((lower, True), across) if len(free) else across
            curvature = np.diagonal(information)[at] - np.sum(across * response, axis=0)
            weak = (np.abs(slope[at]) < 1.0) & (curvature < LEAST)
            if not weak.any():
                break
            sides[at[weak]] = 0
        law = one_sided(np.abs(slope[at]), curvature)
        precision = np.zeros_like(information)
        precision[np.ix_(free, free)] = lower @ lower.T
        precision[np.ix_(free, at)], precision[np.ix_(at, free)] = across, across.T
        precision[np.ix_(at, at)] = np.diag(1.0 / law.variance) + across.T @ response
        shift, reach = np.zeros(len(sides)), np.zeros(len(sides))
        shift[at], reach[at] = -sides[at] * law.mean, law.reach
        shift[free] = -response @ shift[at]
        flat = np.zeros((len(sides), 0 if lift is None else lift.directions.shape[1]))
        if lift is not None:
            flat[free] = lift.directions
        whole = cholesky(precision, lower=True) if len(sides) else precision
        volume = float(law.log_volume.sum() - np.log(np.diagonal(lower)).sum())
        return cls(sides, whole, shift, reach, volume, flat)


def flats(problem: Problem, kinds: Signs, scale: Array, moves: Array) -> tuple[Flat, ...]:
    """Flat directions by the parameters and initial states that they move, each by as few as may be.

    Args:
        problem: The problem.
        kinds: `Bar` of every unknown, shape (size,).
        scale: Natural scales, shape (size,).
        moves: Movement with each direction in natural units, shape (size, f).
    """
    names, places = named(problem)
    rows = np.flatnonzero(kinds[places] == Bar.OPEN)
    steps = moves[places][rows].copy()
    found: list[Flat] = []
    left = list(range(steps.shape[1]))
    pivots: list[tuple[int, int]] = []
    while left and len(rows):
        # Gauss–Jordan elimination of columns, so that directions that are apart are told apart
        at, k = divmod(int(np.argmax(np.abs(steps[:, left]))), len(left))
        column = left.pop(k)
        if abs(steps[at, column]) < MOVED:
            break
        steps[:, column] /= steps[at, column]
        for other in range(steps.shape[1]):
            if other != column:
                steps[:, other] -= steps[at, other] * steps[:, column]
        pivots.append((at, column))
    for at, column in pivots:
        size = np.abs(steps[:, column])
        order = [
            at,
            *(k for k in np.argsort(-size, kind="stable") if k != at and size[k] > TOGETHER * size.max()),
        ]
        unit = scale[places[rows]]
        found.append(Flat({names[rows[k]]: float(steps[k, column] * unit[k] / unit[at]) for k in order}))
    bound = {name for flat in found for name in flat.moves}
    alone = [names[row] for row in rows if names[row] not in bound]
    blocks, _ = problem.split(kinds.astype(np.float64))
    later = (np.concatenate(blocks) == Bar.OPEN).any(axis=0)
    for column, name in enumerate(problem.layout.names):
        begins = np.array(problem.layout.begins[:-1]) + column
        if later[column] and not (kinds[begins] == Bar.OPEN).any():
            alone.append(name)
    return tuple(found + [Flat({name: 1.0}) for name in alone])


def named(problem: Problem) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Shared parameters, parameters of one time and initial states, and their places in the flat path."""
    several, copied = len(problem.windows) > 1, problem.ties.copied
    names = [constant.label for constant in problem.layout.constants]
    places = list(range(problem.layout.tail.start, problem.size))
    unknowns = problem.layout.names
    for number, begin in enumerate(problem.layout.begins[:-1]):
        window = f" of window {number}" if several else ""
        names += [f"{name}({problem.windows[number].t[0]:g}){window}" for name in unknowns]
        places += range(begin, begin + len(unknowns))
    own = [(name, place) for name, place in zip(names, places, strict=True) if not copied[place]]
    return [name for name, _ in own], np.array([place for _, place in own], dtype=np.int64)


def mixture(
    problem: Problem,
    minima: Sequence[Minimum],
    gaussians: Sequence[Gaussian],
    missing: Sequence[str] = (),
    far: int = 0,
) -> Mixture:
    """Mix the Gaussians of some minima.

    Args:
        problem: The problem.
        minima: The minima, shape (J).
        gaussians: Their Gaussians, in the same order.
        missing: Minima that were left out, and why.
        far: How many lie too far above to count.

    Raises:
        ValueError: There is no Gaussian.
    """
    if not gaussians:
        raise ValueError("no minimum has a Gaussian approximation: " + "; ".join(missing))
    logs = np.array([-m.action - 0.5 * g.logdet for m, g in zip(minima, gaussians, strict=True)])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = sum((w * g.mean for w, g in zip(weights, gaussians, strict=True)), np.zeros(problem.size))
    variance, covariance = np.zeros(problem.size), np.zeros((len(problem.constants),) * 2)
    loose = np.zeros(problem.size)
    shared = problem.layout.tail
    for w, g in zip(weights, gaussians, strict=True):
        off = g.mean - mean
        variance += w * (g.variances + off**2)
        covariance += w * (g.corner + np.outer(off[shared], off[shared]))
        loose += w * (g.kinds == Bar.OPEN)
    variance[loose > COUNTS] = np.nan
    covariance[(loose[shared] > COUNTS)[:, None] | (loose[shared] > COUNTS)] = np.nan
    std, (lower, upper) = np.sqrt(variance), problem.bounds
    low = np.where(np.isnan(std), lower, np.maximum(lower, mean - DEVIATIONS * std))
    high = np.where(np.isnan(std), upper, np.minimum(upper, mean + DEVIATIONS * std))
    named = {minimum.start: float(weight) for minimum, weight in zip(minima, weights, strict=True)}
    return Mixture(mean, std, low, high, covariance, named, far, tuple(missing))
