"""``hpcda.boundary_value(fun, x, ya=…, yb=…)``: all solutions that an ensemble of starts finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.boundary.conditions import Conditions, known_method, model_of, numbers
from hpcda.boundary.newton import Equations, Stationary
from hpcda.boundary.solution import BoundarySolution, BoundaryValue
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array

ALIKE = 1e-6
"""Part of their size by which two paths of one solution may differ."""
WAVES = 4
"""Sine waves that a random start is made of."""
RUNGS = np.logspace(-2, 6, 9)
"""Rf, times the square of the step over that of the states, by which a start that fails is led up."""
ORDERS = {"trapezoid": (2, 2), "implicit-midpoint": (2, 2), "hermite-simpson": (4, 2), "heun": (2, 1),
          "rk4": (4, 1)}  # fmt: skip
"""Orders of the discretizations at infinite and at finite Rf."""
NOT_FOUND = {
    "singular": (2, "the equations are singular: the conditions do not determine the path and parameters"),
    "no descent": (3, "Newton's steps do not converge: give a guess y, more starts or more nodes"),
    "iterations": (3, "Newton's steps do not converge in the iterations allowed"),
    "saddle": (4, "only saddle points of the action were found: give more starts"),
}


def boundary_value(
    fun: Callable[..., Any],
    x: Any,
    y: Any = None,
    p: Mapping[str, float] | None = None,
    *,
    ya: Any = None,
    yb: Any = None,
    ya_std: Any = None,
    yb_std: Any = None,
    data: Any = None,
    data_std: Any = None,
    estimate: Mapping[str, tuple[float, float]] | None = None,
    rf: float = np.inf,
    method: str = "trapezoid",
    starts: int = 1,
    seed: int = 1,
    spread: Any = None,
    tol: float | None = None,
    max_nodes: int = 20_001,
    max_iterations: int = 60,
) -> BoundaryValue:
    """Solve dy/dx = fun(x, y, p) between conditions at the ends and data in between; in this process.

    Args:
        fun: The right-hand side ``fun(x, y)`` or ``fun(x, y, p)``, y of shape (D,), ``p.name`` or
            ``p["name"]``; ordinary operators and NumPy functions, traced as other models are.
        x: Nodes, shape (N,), equally far apart.
        y: First guess, shape (D, N); by default straight between the ends.
        p: Known parameters, name -> value; `BoundarySolution.jacobian` differentiates by them.
        ya: Values of the states at the first node, shape (D,), NaN where they are free.
        yb: The same at the last node.
        ya_std: Standard deviations of `ya`, shape (D,) or one number; None where `ya` is exact.
        yb_std: The same of `yb`.
        data: Values at the nodes, shape (D, N), NaN where there are none.
        data_std: Their standard deviations, one number or shape (D, N).
        estimate: Unknown parameters, name -> range of the first guess.
        rf: Precision of the model's rate per time; infinity if it is obeyed exactly.
        method: "trapezoid", "implicit-midpoint", "hermite-simpson", "heun" or "rk4".
        starts: First guesses: the guess itself, then random ones around it.
        seed: Every random number follows from it.
        spread: How far random guesses lie from the first, one number or shape (D,); by default the range of
            what is given, at least 1.
        tol: Steps are halved until the error estimate, relative to 1 + largest |y|, is below it; None: once.
        max_nodes: Most nodes.
        max_iterations: Most Newton steps of a start.

    Raises:
        InputError: Arguments that do not fit, a right-hand side that is not finite on any start.
    """
    known = _parameters("p", p)
    ranges = _ranges(estimate, known)
    _checked(rf, starts, tol, max_nodes, max_iterations)
    dimension = _dimension(y=y, ya=ya, yb=yb, data=data)
    ends = {"ya": (ya, ya_std), "yb": (yb, yb_std)}
    conditions = Conditions.of(x, dimension, ends, data, data_std)
    span = known_method(method, len(conditions.x) - 1)
    model = model_of(fun, dimension, known, {name: float(np.mean(pair)) for name, pair in ranges.items()})
    guess = _straight(conditions) if y is None else numbers("y", y, (dimension, len(conditions.x))).T
    wide = _spread(conditions, spread)

    def equations(conditions: Conditions) -> Equations:
        problem, exact = conditions.problem(model, method)
        held = np.array([*exact.ravel(), *(name in known for name in model.parameter_names)], dtype=bool)
        return Equations(Action(problem), rf, held)

    own = equations(conditions)
    made = _starts(own, conditions, guess, wide, ranges, known, starts, seed)
    ended = [_led(own, one, max_iterations) for one in made]
    endings = [one.ending for one in ended]
    if all(ending == "not finite" for ending in endings):
        what = f"it is not finite with {method} on any of the {starts} starts"
        raise InputError(
            Mistake("fun", what, "give a guess y where it is finite, more nodes, or method='trapezoid'")
        )
    names = tuple(ranges)
    distinct = _distinct([BoundarySolution(own, one, names) for one in ended if one.ending == "converged"])
    order = ORDERS[method][0 if np.isinf(rf) else 1]
    finished, short = [], False
    coarse = conditions.coarser(span)
    half = None if coarse is None else equations(coarse)
    chain = [(conditions, own)]
    for one in distinct:
        if half is not None:
            _compare(one, half.solve(_thinned(one, half), max_iterations), order)
        level = 0
        while tol is not None and not _within(one, tol):
            at = chain[level][0]
            if 2 * len(at.x) - 1 > max_nodes:
                short = True
                break
            level += 1
            if level == len(chain):
                finer = at.finer()
                chain.append((finer, equations(finer)))
            after = chain[level][1].solve(_prolonged(one, chain[level][1]), max_iterations)
            if after.ending != "converged":
                short = True
                break
            better = BoundarySolution(chain[level][1], after, names)
            better.count = one.count
            better.error_estimate = np.abs(better.y[:, ::2] - one.y).max(axis=1) / (2**order - 1)
            one = better
        finished.append(one)
    minima = sorted((one for one in finished if one.minimum), key=lambda one: one.action)
    saddles = tuple(one for one in finished if not one.minimum)
    if minima:
        status, message = 0, f"{len(minima)} found by {starts} starts"
        if short:
            status, message = 1, "the tolerance was not reached with the nodes allowed"
    else:
        reasons: list[str] = ["saddle"] if saddles else [one for one in endings if one in NOT_FOUND]
        status, message = NOT_FOUND[max(set(reasons), key=reasons.count)]
    return BoundaryValue(tuple(minima), saddles, status, message, tuple(endings))


def _parameters(place: str, given: Any) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(Mistake(place, f"{given!r} is not a dict", f"give {place}={{'name': 1.0}}"))
    return {name: float(numbers(f"{place}[{name!r}]", value, ())) for name, value in given.items()}


def _ranges(estimate: Any, known: Mapping[str, float]) -> dict[str, Array]:
    if estimate is not None and not isinstance(estimate, Mapping):
        what = f"{estimate!r} is not a dict"
        raise InputError(Mistake("estimate", what, "give estimate={'name': (low, high)}"))
    found = {name: numbers(f"estimate[{name!r}]", pair, (2,)) for name, pair in (estimate or {}).items()}
    for name in found:
        if name in known:
            raise InputError(Mistake("estimate", f"{name!r} stands in p as well", "keep one of the two"))
    return found


def _checked(rf: float, starts: int, tol: float | None, max_nodes: int, max_iterations: int) -> None:
    """Options that are numbers."""
    for name, value in (("rf", rf), ("tol", 1.0 if tol is None else tol)):
        if not isinstance(value, int | float | np.number) or not value > 0.0:
            raise InputError(Mistake(name, f"{value!r} is not a number above 0", f"give {name} above 0"))
    for name, value in (("starts", starts), ("max_nodes", max_nodes), ("max_iterations", max_iterations)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise InputError(Mistake(name, f"{value!r} is not a whole number above 0", "give 1 or more"))


def _dimension(**given: Any) -> int:
    """D, from the first argument that tells it."""
    for name, value in given.items():
        if value is not None:
            shape = np.shape(value)
            if not shape or shape[0] < 1:
                what = f"it has shape {shape}"
                raise InputError(Mistake(name, what, "its first axis counts the states"))
            return int(shape[0])
    what = "nothing is given at either end, and no data between"
    raise InputError(Mistake("ya, yb", what, "give ya, yb or data, NaN where a state is free"))


def _straight(conditions: Conditions) -> Array:
    """Between all that is given, straight; 0 where nothing is."""
    given = np.where(np.isfinite(conditions.exact), conditions.exact, conditions.data)
    found = np.zeros(given.shape)
    for k, column in enumerate(given.T):
        there = np.isfinite(column)
        if there.any():
            found[:, k] = np.interp(conditions.x, conditions.x[there], column[there])
    return found


def _spread(conditions: Conditions, spread: Any) -> Array:
    given = np.where(np.isfinite(conditions.exact), conditions.exact, conditions.data)
    if spread is not None:
        return numbers("spread", spread, (given.shape[1],))
    filled = np.where(np.isfinite(given), given, 0.0)
    return np.maximum(np.ptp(filled, axis=0), 1.0)


def _starts(
    equations: Equations,
    conditions: Conditions,
    guess: Array,
    wide: Array,
    ranges: Mapping[str, Array],
    known: Mapping[str, float],
    starts: int,
    seed: int,
) -> list[Array]:
    """Flat paths: the guess, and others that differ from it by random sine waves and parameters."""
    problem, made = equations.action.problem, []
    phase = np.linspace(0.0, np.pi, len(guess))[:, None] * np.arange(1, WAVES + 1)
    for number in range(starts):
        rng = np.random.default_rng([seed, number])
        states = guess.copy()
        values = {name: float(pair.mean()) for name, pair in ranges.items()}
        if number:
            sines, cosines = rng.uniform(-1.0, 1.0, (2, WAVES, guess.shape[1]))
            states += wide * (np.sin(phase) @ sines + np.cos(phase) @ cosines) / np.sqrt(WAVES)
            values = {name: float(rng.uniform(*np.sort(pair))) for name, pair in ranges.items()}
        states = np.where(np.isfinite(conditions.exact), conditions.exact, states)
        constants = np.array([{**known, **values}[name] for name in problem.layout.shared])
        made.append(problem.join([states], constants))
    return made


def _led(equations: Equations, path: Array, most: int) -> Stationary:
    """Newton's steps; where they fail, from the ends of those at lower Rf."""
    found = equations.solve(path, most)
    if found.ending in ("converged", "not finite"):
        return found
    window = equations.action.problem.windows[0]
    held = np.zeros(equations.action.size, dtype=bool)
    held[equations.held] = True
    begin, spent = path, found.iterations
    for rf in RUNGS / window.dt:
        if rf >= equations.rf:
            break
        lower = Equations(equations.action, float(rf), held).solve(begin, most)
        spent += lower.iterations
        if lower.ending == "converged":
            begin = lower.path
    again = equations.solve(begin, most)
    ending = again.ending if again.ending == "converged" else found.ending
    return Stationary(again.path, again.multipliers, ending, spent + again.iterations)


def _distinct(found: list[BoundarySolution]) -> list[BoundarySolution]:
    kept: list[BoundarySolution] = []
    for one in found:
        size = 1.0 + np.abs(one.path).max()
        same = [k for k in kept if np.abs(k.path - one.path).max() <= ALIKE * size]
        if same:
            same[0].count += 1
        else:
            kept.append(one)
    return kept


def _thinned(one: BoundarySolution, equations: Equations) -> Array:
    problem = equations.action.problem
    return problem.join([np.ascontiguousarray(one.y[:, ::2].T)], one.path[-len(problem.constants) :]
                        if problem.constants else np.zeros(0))  # fmt: skip


def _prolonged(one: BoundarySolution, equations: Equations) -> Array:
    problem = equations.action.problem
    constants = one.path[-len(problem.constants) :] if problem.constants else np.zeros(0)
    states = np.empty((len(problem.windows[0].t), problem.dimension))
    states[::2] = one.y.T
    states[1::2] = 0.5 * (one.y[:, 1:] + one.y[:, :-1]).T
    return problem.join([states], constants)


def _compare(one: BoundarySolution, half: Stationary, order: int) -> None:
    """Estimate the error by the solution with half as many steps."""
    if half.ending == "converged":
        y = half.path[: one.y[:, ::2].size].reshape(-1, len(one.y)).T
        one.error_estimate = np.abs(one.y[:, ::2] - y).max(axis=1) / (2**order - 1)


def _within(one: BoundarySolution, tol: float) -> bool:
    size = 1.0 + np.abs(one.y).max(axis=1)
    return bool((one.error_estimate <= tol * size).all())
