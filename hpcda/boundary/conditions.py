"""What a boundary value problem is given: the model of a plain function, conditions, ranges; checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.discretizations import SCHEMES, hermite_simpson, trapezoid
from hpcda.action.native import Equations
from hpcda.boundary.system import Held
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Array, Estimated, Problem, Window

FINEST = 10_000
"""Largest denominator of the part of the interval at which a condition may stand."""
NEAR = 1e-9


@dataclass(frozen=True)
class Given:
    """A boundary value problem, checked.

    Attributes:
        model: The model: estimated parameters, then known ones.
        t: Times of the conditions, shape (M,).
        y: Their values, NaN where there is none, shape (M, D).
        std: Their standard deviations, shape (M, D).
        rf: Rf per time.
        discretization: Its name.
        estimated: Entries of the estimated parameters.
        ranges: Range of the first guess of each state, shape (D, 2).
        priors: Mean and standard deviation of every parameter, infinite where there is none, shape (P, 2).
    """

    model: Model
    t: Array
    y: Array
    std: Array
    rf: float
    discretization: str
    estimated: tuple[str, ...]
    ranges: Array
    priors: Array

    @cached_property
    def equations(self) -> Equations:
        """The equations, traced and differentiated, all parameters among the unknowns."""
        model = self.model
        t = np.linspace(self.t[0], self.t[-1], SCHEMES[self.discretization].span + 1)
        nothing = np.full((len(t), 1), np.nan)
        return Equations(
            Problem(
                model=model,
                discretization=self.discretization,
                windows=(Window(t, nothing, np.ones_like(nothing), np.zeros((len(t), 0))),),
                observed={model.state_names[0]: model.state_names[0]},
                parameters=tuple(Estimated(one.name, one.start) for one in model.parameters),
                state_start=self.ranges,
                state_bounds=np.tile([-np.inf, np.inf], (model.dimension, 1)),
                model_error_weight=np.ones(model.dimension),
                model_error="per time",
            )
        )

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which parameters are estimated, shape (P,)."""
        return np.array([name in set(self.estimated) for name in self.model.parameter_names], dtype=bool)

    @property
    def guess(self) -> Array:
        """First guess of every parameter, shape (P,)."""
        return np.array([one.default for one in self.model.parameters])

    @property
    def fewest(self) -> int:
        """The fewest intervals at whose ends all conditions stand."""
        parts = [Fraction(float(part)).limit_denominator(FINEST) for part in self._parts]
        return lcm(*(part.denominator for part in parts))

    @property
    def _parts(self) -> Array:
        return np.asarray((self.t - self.t[0]) / (self.t[-1] - self.t[0]))

    def held(self, intervals: int) -> Held:
        """The conditions as points of a mesh of so many equal intervals.

        Raises:
            InputError: A condition stands between its points.
        """
        at = self._parts * intervals
        off = np.abs(at - np.round(at)) > NEAR * intervals
        if off.any():
            k = int(np.argmax(off))
            h = (self.t[-1] - self.t[0]) / intervals
            what = f"{intervals} steps of {h:.6g} do not come to t[{k}] = {self.t[k]:g}"
            raise InputError(Mistake("steps", what, f"give a multiple of {self.fewest}, or leave steps out"))
        return self._at(np.round(at).astype(np.int64))

    def held_at(self, ends: Array) -> Held:
        """The conditions as points of a mesh whose intervals end at given times, those of all among them."""
        return self._at(np.abs(ends[:, None] - self.t).argmin(axis=0))

    def _at(self, intervals: npt.NDArray[np.int64]) -> Held:
        """The conditions, of each time at the begin of an interval."""
        row, state = np.nonzero(np.isfinite(self.y))
        point = intervals[row] * SCHEMES[self.discretization].span
        return Held(point, state, self.y[row, state], self.std[row, state])


def checked(
    fun: Any,
    t: Any,
    y: Any,
    noise_std: Any,
    p: Mapping[str, Any],
    known: Mapping[str, Any],
    p_range: Mapping[str, Any],
    p_prior: Mapping[str, Any],
    rf: Any,
    discretization: str,
    x_range: Any,
) -> Given:
    """The problem of the arguments of `hpcda.boundary_value`.

    Raises:
        InputError: See there; all mistakes at once.
    """
    times = _numbers("t", t, "the times of the conditions, shape (M,), such as [0.0, 1.0]")
    if times.ndim != 1 or len(times) < 2 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        what = f"{_shown(t)} is no ascending sequence of at least two finite times"
        raise InputError(
            Mistake("t", what, "give the first time, those of conditions between, the last time")
        )
    values = _numbers("y", y, "values of all states at the times t, NaN where nothing is known")
    if values.ndim != 2 or len(values) != len(times) or not values.shape[1]:
        what = f"has shape {values.shape}, t has shape {times.shape}"
        remedy = f"give shape ({len(times)}, D), one row a time, NaN for states that are not known there"
        raise InputError(Mistake("y", what, remedy))
    mistakes = []
    if np.isinf(values).any():
        k, d = np.argwhere(np.isinf(values))[0]
        mistakes.append(Mistake("y", f"y[{k}, {d}] is {values[k, d]}", "give a number, or NaN for none"))
    std = _std(noise_std, values, mistakes)
    if np.isnan(values[[0, -1]]).all():
        what = f"nothing is known at either end, t = {times[0]:g} and t = {times[-1]:g}"
        remedy = "give a condition at the first or the last time, or begin and end where there is one"
        mistakes.append(Mistake("y", what, remedy))
    precision = np.asarray(rf)
    if precision.ndim or precision.dtype.kind not in "iuf" or not precision > 0.0:
        mistakes.append(Mistake("rf", f"{_shown(rf)} is not above 0", "give a number above 0, or np.inf"))
    names = [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"]
    if discretization == "auto":
        discretization = (hermite_simpson if np.isinf(precision) else trapezoid).SCHEME.name
    if discretization not in names:
        what = f"{discretization!r} is no discretization of dx/dt = f(t, x)"
        mistakes.append(Mistake("discretization", what, f"choose one of {', '.join(names)}"))
    dimension = values.shape[1]
    ranges = _ranges(x_range, values, dimension, mistakes)
    parameters = _parameters(p, known, p_range, mistakes)
    if not callable(fun):
        mistakes.append(Mistake("fun", f"{_shown(fun)} is no function", "give fun(t, x) or fun(t, x, p)"))
    if mistakes:
        raise InputError(mistakes)
    states = tuple(State(f"x{d}", range=tuple(ranges[d])) for d in range(dimension))
    model = Model("fun", states, parameters, _equations(fun, bool(parameters)))
    estimated = tuple(entry for name in p for entry in model.entries_of(name))
    priors = _priors(model, estimated, p_prior)
    _refuse_open(values, std, float(precision), len(estimated), priors)
    return Given(model, times, values, std, float(precision), discretization, estimated, ranges, priors)


def _equations(fun: Callable[..., Any], parameters: bool) -> Callable[..., Any]:
    count = len(inspect.signature(fun).parameters)
    if count not in (2, 3) or (parameters and count == 2):
        what = f"fun takes {counted(count, 'argument')}"
        raise InputError(Mistake("fun", what, "write fun(t, x), or with parameters fun(t, x, p)"))
    if count == 2:
        return lambda x, p, u, t: fun(t, x)
    return lambda x, p, u, t: fun(t, x, p)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _numbers(place: str, given: Any, what: str) -> Array:
    try:
        array = np.asarray(given)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        raise InputError(Mistake(place, f"{_shown(given)} are not numbers in equal rows", f"give {what}"))
    return array.astype(np.float64)


def _std(noise_std: Any, values: Array, mistakes: list[Mistake]) -> Array:
    """Standard deviations of all conditions, shape (M, D)."""
    std = _numbers("noise_std", noise_std, "one standard deviation, or one for every value of y")
    try:
        spread = np.broadcast_to(std, values.shape).copy()
    except ValueError:
        what = f"has shape {std.shape}, y has shape {values.shape}"
        mistakes.append(Mistake("noise_std", what, "give one number, one a state, or one for every value"))
        return np.zeros_like(values)
    wrong = np.isfinite(values) & ~((spread >= 0.0) & np.isfinite(spread))
    if wrong.any():
        k, d = np.argwhere(wrong)[0]
        what = f"that of y[{k}, {d}] is {spread[k, d]}"
        mistakes.append(
            Mistake("noise_std", what, "give a number above 0, or 0 for a condition to be obeyed")
        )
    return spread


def _ranges(x_range: Any, values: Array, dimension: int, mistakes: list[Mistake]) -> Array:
    """Ranges of the first guesses of all states, shape (D, 2)."""
    if x_range is None:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        width = max(high - low, 1.0)
        return np.tile([low - 0.5 * width, high + 0.5 * width], (dimension, 1))
    found = _numbers("x_range", x_range, "(lower, upper) of all states, or one pair a state")
    remedy = f"give (lower, upper), or one pair a state, shape ({dimension}, 2)"
    if found.shape not in ((2,), (dimension, 2)):
        mistakes.append(Mistake("x_range", f"has shape {found.shape}", remedy))
        return np.tile([-1.0, 1.0], (dimension, 1))
    found = np.broadcast_to(found, (dimension, 2)).copy()
    if not np.isfinite(found).all() or not (found[:, 0] < found[:, 1]).all():
        mistakes.append(Mistake("x_range", f"{_shown(x_range)} has an upper end below its lower one", remedy))
    return found


def _parameters(
    p: Mapping[str, Any], known: Mapping[str, Any], p_range: Mapping[str, Any], mistakes: list[Mistake]
) -> tuple[Parameter, ...]:
    """Estimated parameters, then known ones."""
    for place, given in (("p", p), ("known", known), ("p_range", p_range)):
        if not isinstance(given, Mapping):
            raise InputError(Mistake(place, f"{_shown(given)} is not a dict", f'give {place}={{"k": 1.0}}'))
    for name in p:
        if name in known:
            mistakes.append(Mistake("known", f"{name!r} stands under p as well", "keep one of the two"))
    for name in p_range:
        if name not in p:
            what = f"{name!r} is not estimated"
            mistakes.append(Mistake("p_range", what, f"give a first guess as well, p={{{name!r}: 1.0}}"))
    found = []
    for place, given in (("p", p), ("known", known)):
        for name, value in given.items():
            array = _numbers(f"{place}[{name!r}]", value, "a number, or an array of them")
            if not np.isfinite(array).all():
                mistakes.append(
                    Mistake(f"{place}[{name!r}]", f"{_shown(value)} is not finite", "give numbers")
                )
                array = np.zeros(array.shape)
            pair = tuple(np.ravel(p_range[name])) if name in p_range else None
            default = array if array.ndim else float(array)
            found.append(Parameter(name, default, range=pair, shape=array.shape))
    return tuple(found)


def _priors(model: Model, estimated: tuple[str, ...], given: Mapping[str, Any]) -> Array:
    """Mean and standard deviation of every parameter, shape (P, 2)."""
    priors = np.tile([0.0, np.inf], (len(model.parameters), 1))
    for name, prior in given.items():
        entries = [one for one in model.entries_of(name) if one in estimated]
        if not entries:
            raise InputError(Mistake("p_prior", f"{name!r} is not estimated", "name parameters of p"))
        pair = _numbers(f"p_prior[{name!r}]", prior, "mean and standard deviation, such as (0.0, 1.0)")
        if pair.shape != (2,) or not np.isfinite(pair).all() or not pair[1] > 0.0:
            what = f"{_shown(prior)} is no mean and standard deviation above 0"
            raise InputError(Mistake(f"p_prior[{name!r}]", what, "give two numbers, such as (0.0, 1.0)"))
        for entry in entries:
            priors[model.parameter_names.index(entry)] = pair
    return priors


def _refuse_open(values: Array, std: Array, rf: float, estimated: int, priors: Array) -> None:
    """Refuse fewer conditions than unknown numbers, and more exact ones than can be obeyed.

    Raises:
        InputError: See above.
    """
    there = np.isfinite(values)
    conditions = int(there.sum())
    exact = int((there & (std == 0.0)).sum())
    free = values.shape[1] + estimated - int(np.isfinite(priors[:, 1]).sum())
    unknown = f"{values.shape[1]} states and {counted(estimated, 'estimated parameter')}"
    if conditions < free:
        what = f"{counted(conditions, 'condition')} do not determine {unknown}"
        raise InputError(Mistake("y", what, f"give at least {free}, or fewer parameters, or p_prior"))
    if np.isinf(rf) and exact > values.shape[1] + estimated:
        what = f"{exact} exact conditions on {unknown} cannot all be obeyed at Rf = infinity"
        raise InputError(Mistake("noise_std", what, "give some of them a standard deviation above 0"))
