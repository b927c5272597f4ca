r"""A mesh whose local errors are alike, then its halves until the error is below a tolerance.

The stationary path of N intervals departs from that of the continuous problem by c h^q. Two meshes give
Richardson's limit,

    E_N = x_2N + (x_2N - x_N)/(2^q - 1),

at the points of the coarser one (L. F. Richardson, Phil. Trans. A 210, 307 (1911)); the error of E_N is
estimated, from above, by its difference from E_{N/2}. q is the discretization's order at Rf = ∞; at a finite
Rf it is 2, or 1 of an explicit rule, as the model error of a step is one number however it is distributed in
it (`hpcda.mechanics.motion`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from hpcda.action.discretizations import SCHEMES
from hpcda.boundary.conditions import Given
from hpcda.boundary.grading import ROUNDS, divided, local_errors, moved
from hpcda.boundary.newton import Found, newton
from hpcda.boundary.system import Path, PathSystem
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array

COARSEST = 16
"""Points, about, of the first mesh."""
TRIES = 4
"""Meshes on which a first solution is looked for, each twice as fine."""


@dataclass(frozen=True)
class Level:
    """A stationary path on one mesh.

    Attributes:
        system: The equations.
        found: What Newton's method has found.
        x: States at the ends of the intervals, shape (N + 1, D).
        arriving: p⁻ there.
        leaving: p⁺ there.
    """

    system: PathSystem
    found: Found
    x: Array
    arriving: Array
    leaving: Array

    @property
    def parameters(self) -> Array:
        """All parameters, shape (P,)."""
        return self.found.path.parameters


@dataclass(frozen=True)
class Refined:
    """Paths on meshes, each twice as fine as the one before.

    Attributes:
        levels: Those that were solved; the last one is the finest.
        trouble: Newton's steps of the mesh that was not solved, or None.
        iterations: Newton steps on all meshes.
        error: Estimated relative error of Richardson's limit; NaN where there is but one mesh.
        fine: Whether it is below the tolerance.
    """

    levels: list[Level]
    trouble: Found | None
    iterations: int
    error: float
    fine: bool


def order(given: Given) -> int:
    """Q."""
    scheme = SCHEMES[given.discretization]
    if np.isinf(given.rf):
        return scheme.order
    return 1 if scheme.staged or scheme.order == 1 else 2


def limit(coarse: Array, fine: Array, q: int) -> Array:
    """E of two meshes, at the points of the coarser one."""
    return np.asarray(fine[::2] + (fine[::2] - coarse) / (2.0**q - 1.0))


def first_intervals(given: Given) -> int:
    """Intervals of the first mesh."""
    most = max(1, COARSEST // SCHEMES[given.discretization].span)
    return given.fewest * -(-most // given.fewest)


class Mesher:
    """The equations of one problem on meshes, each made once.

    Args:
        given: The problem.
        ends: Ends of the intervals of the coarsest mesh, shape (n + 1,), the times of all conditions among
            them; all others halve its intervals. By default meshes are of equal intervals, any number.
    """

    def __init__(self, given: Given, ends: Array | None = None) -> None:
        self.given, self._ends, self._systems = given, ends, dict[int, PathSystem]()

    def system(self, intervals: int) -> PathSystem:
        """The equations on a mesh.

        Raises:
            InputError: A condition stands between its points.
        """
        if intervals not in self._systems:
            given = self.given
            span = SCHEMES[given.discretization].span
            if self._ends is None:
                times = np.linspace(given.t[0], given.t[-1], span * intervals + 1)
                held = given.held(intervals)
            else:
                times = _between(self._ends, span * intervals // (len(self._ends) - 1))
                held = given.held_at(times[::span])
            self._systems[intervals] = PathSystem(
                given.equations, times, held, given.rf, given.free, given.priors
            )
        return self._systems[intervals]

    def start(self, intervals: int, guess: CubicSpline, parameters: Array) -> Path:
        """A first guess without momenta."""
        system = self.system(intervals)
        x = np.asarray(guess(system.times))
        return Path(
            x, np.zeros((intervals, system.lagrangian.rows)), np.zeros(len(system.held.point)), parameters
        )

    def solve(self, path: Path, intervals: int, most: int) -> tuple[Level | None, Found]:
        """The stationary path near a guess on a mesh; None where there is none."""
        system = self.system(intervals)
        found = newton(system, path, most)
        if found.trouble:
            return None, found
        return self.level(system, found), found

    def level(self, system: PathSystem, found: Found) -> Level:
        """What has been found on a mesh."""
        arriving, leaving = system.momenta(found.path)
        return Level(system, found, found.path.x[:: system.lagrangian.span], arriving, leaving)

    def prolonged(self, level: Level) -> Path:
        """The path of a mesh on that of twice as many intervals."""
        old = level.found.path
        system = self.system(2 * level.system.intervals)
        x = CubicSpline(level.system.times, old.x)(system.times)
        own = old.multipliers
        slope = np.gradient(own, axis=0) if len(own) > 1 else np.zeros_like(own)
        multipliers = np.stack([own - 0.25 * slope, own + 0.25 * slope], axis=1).reshape(-1, own.shape[1])
        return Path(x, multipliers, old.kicks, old.parameters)


def refined(
    mesher: Mesher, guess: CubicSpline, parameters: Array, tol: float, most_nodes: int, most: int
) -> Refined:
    """Paths on meshes until the error of Richardson's limit is below a tolerance.

    Args:
        mesher: The equations.
        guess: First guess of the states, a function of time.
        parameters: First guess of the parameters, shape (P,).
        tol: Largest error of states and parameters relative to one plus their size.
        most_nodes: Most points of a mesh.
        most: Most Newton steps on one mesh.
    """
    intervals = first_intervals(mesher.given)
    iterations, found = 0, None
    for _ in range(TRIES):
        level, found = mesher.solve(mesher.start(intervals, guess, parameters), intervals, most)
        iterations += found.iterations
        if level is not None:
            mesher, level, more = graded(mesher, level, np.sqrt(tol), most_nodes, most)
            return refine_from(mesher, level, tol, most_nodes, most, iterations + more)
        intervals *= 2
    return Refined([], found, iterations, np.nan, False)


def graded(
    mesher: Mesher, level: Level, target: float, most_nodes: int, most: int
) -> tuple[Mesher, Level, int]:
    """A mesh on which local errors are below a target, where it has points enough and can be solved.

    Args:
        mesher: The equations.
        level: The path on a first mesh.
        target: See `hpcda.boundary.grading`.
        most_nodes: Most points of a mesh, of which this one takes at most a quarter.
        most: Most Newton steps on one mesh.

    Returns:
        Equations on the mesh, the path on it, and Newton steps.
    """
    iterations = 0
    for _ in range(ROUNDS):
        span, coarse = level.system.lagrangian.span, level.system.intervals
        errors = local_errors(mesher.prolonged(level), mesher.system(2 * coarse))
        ends, cuts = divided(level.system.times[::span], errors, target)
        if len(ends) == coarse + 1 or 4 * span * len(ends) > most_nodes:
            break
        finer = Mesher(mesher.given, ends)
        onto = finer.system(len(ends) - 1)
        path = moved(level.found.path, level.system.times, onto.times, cuts)
        new, found = finer.solve(path, len(ends) - 1, most)
        iterations += found.iterations
        if new is None:
            break
        mesher, level = finer, new
    return mesher, level, iterations


def _between(ends: Array, parts: int) -> Array:
    """The points that divide each interval into so many equal parts, shape (parts n + 1,)."""
    inner = ends[:-1, None] + np.diff(ends)[:, None] * (np.arange(parts) / parts)
    return np.append(inner.ravel(), ends[-1])


def refine_from(
    mesher: Mesher, level: Level, tol: float, most_nodes: int, most: int, iterations: int = 0
) -> Refined:
    """The same from a first mesh that is solved."""
    levels, error, before, q = [level], np.nan, None, order(mesher.given)
    while 2 * len(levels[-1].system.times) - 1 <= most_nodes:
        level_, found = mesher.solve(mesher.prolonged(levels[-1]), 2 * levels[-1].system.intervals, most)
        iterations += found.iterations
        if level_ is None:
            return Refined(levels, found, iterations, error, False)
        levels.append(level_)
        now = tuple(limit(*pair, q) for pair in _pairs(levels))
        if before is None:
            error = max(_apart(fine[::2], coarse) for coarse, fine in _pairs(levels))
        else:
            error = max(_apart(new[::2], old) for new, old in zip(now, before, strict=True))
        before = now
        if error <= tol:
            return Refined(levels, None, iterations, error, True)
    return Refined(levels, None, iterations, error, False)


def _pairs(levels: list[Level]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """States of the last two meshes; parameters likewise, as if they stood at every point."""
    two, free = levels[-2:], levels[-1].system.free
    sizes = [len(level.x) for level in two]
    parameters = [np.tile(level.parameters[free], (n, 1)) for level, n in zip(two, sizes, strict=True)]
    return (two[0].x, two[1].x), (parameters[0], parameters[1])


def _apart(one: Array, other: Array) -> float:
    return float(np.max(np.abs(one - other) / (1.0 + np.abs(one)), initial=0.0))


def refuse_blow_up(mesher: Mesher, intervals: int, guess: CubicSpline, parameters: Array) -> None:
    """Refuse an explicit rule at Rf = ∞ whose steps from the guess's first state lead to no number.

    Raises:
        InputError: They do.
    """
    given = mesher.given
    scheme = SCHEMES[given.discretization]
    if not np.isinf(given.rf) or scheme.state[:, 1:].any():
        return
    system = mesher.system(intervals)
    x = np.asarray(guess(given.t[0]), dtype=np.float64)
    for n in range(intervals):
        points = np.stack([x, x])[None]
        with np.errstate(all="ignore"):
            x = x - system.lagrangian.errors(points, parameters, (n,))[0]
        if not np.isfinite(x).all():
            h = system.times[1] - system.times[0]
            at = system.times[n + 1]
            name = given.discretization
            what = f"{name!r} is explicit: {intervals} steps of {h:g} blow up at t = {at:g}"
            remedy = 'at Rf = infinity use "trapezoid" or "hermite-simpson", or more steps'
            raise InputError(Mistake("discretization", what, remedy))
