"""The arguments of `hpcda.boundary_value`, checked and made into a problem with held unknowns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.discretizations import SCHEMES
from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Array, Estimated, Problem, Window

UNIFORM = 1e-8
"""Part of a step by which steps may differ."""


def numbers(place: str, value: Any, shape: tuple[int, ...], gaps: bool = False) -> Array:
    """An array of a shape.

    Raises:
        InputError: It is none, or holds what is not finite; with `gaps` NaN is allowed.
    """
    try:
        found = np.array(value, dtype=np.float64)
        found = np.full(shape, found) if found.ndim == 0 else found
        if found.shape != shape:
            raise ValueError(shape)
    except (TypeError, ValueError):
        what = f"it has shape {np.shape(value)}, not {shape}"
        raise InputError(Mistake(place, what, f"give an array of shape {shape}")) from None
    wrong = ~np.isfinite(found) & ~(gaps & np.isnan(found))
    if wrong.any():
        where = tuple(int(one) for one in np.argwhere(wrong)[0])
        remedy = "give finite numbers" + (", NaN where nothing is given" if gaps else "")
        raise InputError(Mistake(place, f"{found[where]} stands at {where}", remedy))
    return found


@dataclass(frozen=True)
class Conditions:
    """What is given on one mesh.

    Attributes:
        x: Mesh, shape (N,).
        exact: Exact values, NaN elsewhere, shape (N, D).
        data: Values with noise, NaN elsewhere, shape (N, D).
        std: Their standard deviations, shape (N, D).
    """

    x: Array
    exact: Array
    data: Array
    std: Array

    @classmethod
    def of(
        cls, x: Any, dimension: int, ends: Mapping[str, tuple[Any, Any]], data: Any, data_std: Any
    ) -> Conditions:
        """Check them; `ends` holds values and deviations by the names ya and yb."""
        x = numbers("x", x, np.shape(x))
        if x.ndim != 1 or len(x) < 3:
            raise InputError(Mistake("x", f"it has shape {x.shape}", "give at least three nodes"))
        steps = np.diff(x)
        if not (steps > 0.0).all() or np.ptp(steps) > UNIFORM * steps.mean() + 1e-14 * np.abs(x).max():
            what = f"its steps go from {steps.min():g} to {steps.max():g}"
            raise InputError(Mistake("x", what, "give equal steps above 0, as np.linspace(a, b, n)"))
        shape = len(x), dimension
        exact, values, std = np.full(shape, np.nan), np.full(shape, np.nan), np.ones(shape)
        if data is not None:
            values = numbers("data", data, shape[::-1], gaps=True).T.copy()
            std = deviations("data_std", data_std, shape[::-1]).T.copy()
        for (name, (value, own)), row in zip(ends.items(), (0, -1), strict=True):
            if value is None:
                continue
            given = numbers(name, value, (dimension,), gaps=True)
            there = np.isfinite(given)
            if (there & np.isfinite(values[row])).any():
                raise InputError(Mistake(name, "data gives the same state there", "keep one of the two"))
            if own is None:
                exact[row, there] = given[there]
            else:
                values[row, there] = given[there]
                std[row, there] = deviations(f"{name}_std", own, (dimension,))[there]
        if not np.isfinite(exact).any() and not np.isfinite(values).any():
            what = "nothing is given at either end, and no data between"
            raise InputError(Mistake("ya, yb", what, "give ya, yb or data, NaN where a state is free"))
        return cls(x, exact, values, std)

    def finer(self) -> Conditions:
        """The same on twice as many steps."""
        x = np.linspace(self.x[0], self.x[-1], 2 * len(self.x) - 1)
        made = []
        for one, empty in ((self.exact, np.nan), (self.data, np.nan), (self.std, 1.0)):
            spread = np.full((len(x), one.shape[1]), empty)
            spread[::2] = one
            made.append(spread)
        return Conditions(x, *made)

    def coarser(self, span: int) -> Conditions | None:
        """The same on half as many steps; None where data or intervals do not fit."""
        between = self.data[1::2]
        if (len(self.x) - 1) % (2 * span) or np.isfinite(between).any():
            return None
        return Conditions(self.x[::2], self.exact[::2], self.data[::2], self.std[::2])

    def problem(self, model: Model, method: str) -> tuple[Problem, npt.NDArray[np.bool_]]:
        """The problem, all parameters among its unknowns, and which states are held, shape (N, D)."""
        data = np.where(np.isfinite(self.exact), np.nan, self.data)
        window = Window(self.x, data, self.std, np.zeros((len(self.x), 0)))
        free = np.tile([-np.inf, np.inf], (model.dimension, 1))
        return Problem(
            model=model,
            discretization=method,
            windows=(window,),
            observed={name: name for name in model.state_names},
            parameters=tuple(Estimated(name, (-1.0, 1.0)) for name in model.parameter_names),
            state_start=np.tile([-1.0, 1.0], (model.dimension, 1)),
            state_bounds=free,
            model_error_weight=np.ones(model.dimension),
            model_error="per time",
        ), np.isfinite(self.exact)


def deviations(place: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Standard deviations, above 0."""
    if value is None:
        raise InputError(Mistake(place, "it is missing", "give the standard deviation of the values"))
    found = numbers(place, value, shape)
    if not (found > 0.0).all():
        raise InputError(Mistake(place, f"{found.min():g} is not above 0", "give numbers above 0"))
    return found


def model_of(
    fun: Callable[..., Any], dimension: int, known: Mapping[str, float], estimated: Mapping[str, float]
) -> Model:
    """The model of ``fun(x, y)`` or ``fun(x, y, p)``, traced as other models are."""
    if not callable(fun):
        raise InputError(Mistake("fun", f"{fun!r} is not a function", "give fun(x, y) or fun(x, y, p)"))
    count = len(inspect.signature(fun).parameters)
    values = {**known, **estimated}
    if count not in (2, 3) or (values and count == 2):
        what = f"it takes {count} arguments" + (", and there are parameters" if values else "")
        raise InputError(Mistake("fun", what, "give fun(x, y), or fun(x, y, p) with parameters"))

    def equations(y: Any, p: Any, u: Any, t: Any) -> Any:
        return fun(t, y) if count == 2 else fun(t, y, p)

    states = tuple(State(f"y{k}") for k in range(dimension))
    return Model("fun", states, tuple(Parameter(name, value) for name, value in values.items()), equations)


def known_method(method: str, steps: int) -> int:
    """The steps of an interval of a discretization.

    Raises:
        InputError: There is none of the name for flows, or the steps do not divide.
    """
    flows = sorted(name for name in SCHEMES if SCHEMES[name].kind != "map")
    if method not in flows:
        raise InputError(Mistake("method", f"{method!r} is none", f"take one of {', '.join(flows)}"))
    span: int = SCHEMES[method].span
    if steps % span:
        what = f"{steps} steps do not divide into intervals of {span}, as {method} needs"
        raise InputError(
            Mistake("x", what, f"give a multiple of {span} steps, {steps + span - steps % span}")
        )
    return span
