"""``hpcda.boundary_value(fun, t, y)``: the boundary value problem of a path of least action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, make_interp_spline

from hpcda.boundary.conditions import Given, checked
from hpcda.boundary.ensemble import ensemble
from hpcda.boundary.refine import Mesher, Refined, first_intervals, refined, refuse_blow_up
from hpcda.boundary.solution import BoundarySolution, solution
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted

MOST_STEPS = 100
"""Newton steps on one mesh."""


def boundary_value(
    fun: Callable[..., Any],
    t: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    noise_std: npt.ArrayLike = 0.0,
    p: Mapping[str, Any] | None = None,
    known: Mapping[str, Any] | None = None,
    p_range: Mapping[str, Any] | None = None,
    p_prior: Mapping[str, Any] | None = None,
    rf: float = np.inf,
    discretization: str = "auto",
    x: npt.ArrayLike | Callable[..., Any] | None = None,
    x_range: npt.ArrayLike | None = None,
    tol: float = 1e-6,
    steps: int | None = None,
    max_nodes: int = 10_000,
    starts: int = 1,
    seed: int = 1,
) -> BoundarySolution:
    r"""Solve dx/dt = f(t, x, p) with conditions at two or more times, exactly or by least action.

    What is minimized is

        A = 1/2 Σ (x - y)²/σ² + Rf/2 ∫ |dx/dt - f|² dt,

    whose Euler-Lagrange equations dx/dt = f + p/Rf, dp/dt = -(∂f/∂x)ᵀ p are a boundary value problem of twice
    as many states. At Rf = ∞ with as many exact conditions as states and parameters it is the ordinary one.

    Args:
        fun: ``fun(t, x)`` or ``fun(t, x, p)``, plain Python, returns D rates; x has shape (D,) and is traced
            once: no branches on its values. ``p.k`` is parameter k, a number or an array.
        t: Times of the conditions, ascending, the first and the last those of the interval, shape (M,).
        y: Values of the states there, NaN where nothing is known, shape (M, D).
        noise_std: Standard deviation σ of each condition; 0 for one that is obeyed exactly (by a multiplier,
            not by a small number): a number, or shape (D,) or (M, D).
        p: Parameters to be estimated -> first guess, a number or an array.
        known: Known parameters -> value, by which `Solution.jacobian` differentiates.
        p_range: Estimated parameter -> (lower, upper) of the first guesses of an ensemble.
        p_prior: Estimated parameter -> (mean, standard deviation) of a Gaussian prior.
        rf: Rf per time; infinity for a model that is obeyed exactly.
        discretization: One of ``hpcda list`` for flows; "auto" is Hermite-Simpson at Rf = ∞, else the
            trapezoid rule.
        x: First guess of the states: a function of one time that returns D values, or an array (N, D) of
            points equally far apart; by default straight lines through the conditions.
        x_range: (lower, upper) of the first guesses of an ensemble, shape (2,) or (D, 2).
        tol: Error allowed in x and p, relative to one plus their size: steps are divided where the local
            error is large, then all are halved until the estimate for Richardson's limit is below it.
        steps: A fixed number of equal intervals instead; there is no error estimate then.
        max_nodes: Most points of a mesh.
        starts: More than one: as many first guesses climb a ladder of Rf, and all distinct solutions that
            they come to are told.
        seed: Of the random first guesses.

    Returns:
        The solution; `success` tells whether there is one.

    Raises:
        InputError: Bad arguments; an explicit rule that blows up at Rf = ∞; steps that miss a condition.
    """
    given = checked(
        fun, t, y, noise_std, p or {}, known or {}, p_range or {}, p_prior or {}, rf, discretization, x_range
    )
    _refuse_numbers(tol, steps, max_nodes, starts)
    mesher = Mesher(given)
    guess = _guess(given, x)
    first = first_intervals(given) if steps is None else steps
    if steps is None and first >= max_nodes:
        what = (
            f"equal steps that come to all {len(given.t)} times are {first} or more, max_nodes is {max_nodes}"
        )
        raise InputError(Mistake("t", what, "round the times to parts of the interval, or raise max_nodes"))
    refuse_blow_up(mesher, first, guess, given.guess)
    if starts > 1:
        return ensemble(mesher, guess, tol, steps, max_nodes, starts, seed, MOST_STEPS)
    if steps is None:
        found = refined(mesher, guess, given.guess, tol, max_nodes, MOST_STEPS)
    else:
        level, newton = mesher.solve(mesher.start(steps, guess, given.guess), steps, MOST_STEPS)
        levels, trouble = ([], newton) if level is None else ([level], None)
        found = Refined(levels, trouble, newton.iterations, np.nan, level is not None)
    return one_solution(given, found, max_nodes)


def one_solution(given: Given, found: Refined, max_nodes: int) -> BoundarySolution:
    """What one start has come to."""
    if not found.levels:
        trouble = found.trouble.trouble if found.trouble else ""
        return BoundarySolution(2, f"no solution was found: {trouble}", (), (), 1, found.iterations)
    status, message = 0, "solved"
    if not found.fine:
        why = found.trouble.trouble if found.trouble else f"with {max_nodes} points"
        status, message = 1, f"the tolerance was not reached: {why}; error {found.error:.1e}"
    return BoundarySolution(status, message, (solution(given, found),), (1,), 1, found.iterations)


def _refuse_numbers(tol: Any, steps: Any, max_nodes: Any, starts: Any) -> None:
    mistakes = []
    if not isinstance(tol, int | float) or not 0.0 < tol < np.inf:
        mistakes.append(Mistake("tol", f"{tol!r} is not above 0", "give a number, such as 1e-6"))
    counts = (("steps", steps, 1, "40"), ("max_nodes", max_nodes, 3, "10000"), ("starts", starts, 1, "32"))
    for place, count, least, example in counts:
        whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
        if not (place == "steps" and count is None) and not (whole and count >= least):
            remedy = f"give a whole number from {least}, such as {example}"
            mistakes.append(Mistake(place, f"is {count!r}", remedy))
    if mistakes:
        raise InputError(mistakes)


def _guess(given: Given, x: Any) -> Any:
    """The first guess of the states as a function of times."""
    dimension = given.model.dimension
    if x is None:
        lines = np.empty((len(given.t), dimension))
        for d in range(dimension):
            there = np.isfinite(given.y[:, d])
            lines[:, d] = np.interp(given.t, given.t[there], given.y[there, d]) if there.any() else 0.0
        return make_interp_spline(given.t, lines, k=1)
    if callable(x):
        times = np.linspace(given.t[0], given.t[-1], 1 + 256)
        try:
            values = np.array([np.asarray(x(time), dtype=np.float64) for time in times])
        except (TypeError, ValueError) as error:
            raise InputError(
                Mistake("x", f"x(t) raises {error}", f"return {counted(dimension, 'value')}")
            ) from None
    else:
        values = np.asarray(x, dtype=np.float64)
        times = np.linspace(given.t[0], given.t[-1], max(len(values), 2) if values.ndim else 2)
    if values.ndim != 2 or values.shape[1] != dimension or len(values) < 2:
        remedy = (
            f"give shape (N, {dimension}), or a function of time that returns {counted(dimension, 'value')}"
        )
        raise InputError(Mistake("x", f"has shape {np.shape(values)}", remedy))
    if not np.isfinite(values).all():
        raise InputError(Mistake("x", "holds what is not finite", "give a first guess of all states"))
    return CubicSpline(times, values) if len(values) > 3 else make_interp_spline(times, values, k=1)
