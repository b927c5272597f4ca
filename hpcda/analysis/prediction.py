"""Prediction beyond the window: the model integrated from the last estimated state.

The test of an estimate that the field accepts (J. Ye et al., Nonlin. Processes Geophys. 22, 205, 2015): data
kept back after the window are predicted with nothing but the model (`hpcda.models.flow`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.models.expression import Expression, names_in
from hpcda.models.flow import Course, Flow
from hpcda.models.model import Model
from hpcda.patience import Patience
from hpcda.problem import Problem
from hpcda.results.header import Header
from hpcda.results.windows import StoredWindow

Array = npt.NDArray[np.float64]
TOLERANCE = 1e-10
LARGEST = 1e7
"""A prediction grows without bound where a state exceeds so many widths of its range."""
SECONDS = 30.0
"""Time that one prediction may take where the caller does not say."""
FIRST_TIMES, FIRST_VALUES = 5, 10
"""The first samples are those of so many times, and of more where that makes fewer values."""
MOST = 1e3
"""An error counts as at most so many standard deviations of the noise, so that a mean can be told."""
MISSED = 3.0
"""A prediction is lost where its error exceeds this many standard deviations of the noise."""


def observe(
    expressions: Sequence[str],
    names: Sequence[str],
    states: Array,
    parameters: Mapping[str, Any] | None = None,
) -> Array:
    """h(x): the measured quantities of states, as an array of shape (N, L).

    Args:
        expressions: The quantities.
        names: Names of the D states.
        states: Shape (N, D).
        parameters: Parameters by name, each a number or of shape (N,).
    """
    known = dict(parameters or {})
    values = {**known, **{name: states[:, i] for i, name in enumerate(names)}}
    columns = [
        np.broadcast_to(Expression(text, names, parameters=tuple(known))(values), len(states))
        for text in expressions
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(states), 0))


def observed_states(expressions: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of the D states a measured quantity depends on, shape (D,)."""
    used = {name for text in expressions for name in names_in(text)}
    return np.array([name in used for name in names])


def from_end(t: npt.ArrayLike, end: float, dt: float) -> tuple[Array, slice]:
    """Times from the end of a window on.

    Args:
        t: The times that are asked for, rising, shape (M,), or one time.
        end: The last time of the window, of which the state is known.
        dt: A step of the path.

    Returns:
        Times that begin with `end`, and which of them were asked for.

    Raises:
        InputError: They do not rise, or begin before the end.
    """
    times = np.atleast_1d(np.asarray(t, dtype=np.float64))
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0.0).any():
        remedy = "give finite times that rise, shape (M,)"
        raise InputError(Mistake("predict", "t is no series of rising times", remedy))
    if times[0] < end - 1e-6 * dt:
        what = f"t begins with {times[0]:.12g}, before the end of the window, {end:.12g}"
        raise InputError(Mistake("predict", what, "give later times; within the window it is result.path()"))
    if times[0] <= end + 1e-6 * dt:
        return times, slice(None)
    return np.concatenate([[end], times]), slice(1, None)


def run_on(
    model: Model,
    x: Array,
    parameters: dict[str, float],
    t: Array,
    series: Array,
    names: Sequence[str],
    dt: float,
    patience: Patience | None = None,
) -> Course:
    """States of the model from x at t[0] on.

    Args:
        model: A flow or a map.
        x: State at t[0], shape (D,).
        parameters: Every constant parameter by name.
        t: Times, shape (M,).
        series: Stimuli and fixed parameters that depend on time, shape (M, U); interpolated linearly between
            times.
        names: Names of the columns of `series`.
        dt: Time of one iteration of a map.
        patience: Tells of a long prediction and ends it; `SECONDS` where it is not given.

    Returns:
        States of shape (M, D), NaN from where they exceed `LARGEST` widths of their ranges or cannot be
        followed, and why they end.
    """
    patience = patience or Patience(f"predicting {model.name}", SECONDS)
    flow = Flow(model, names)
    if model.kind == "flow":
        return flow.run(x, t, parameters, series, tolerance=TOLERANCE, largest=LARGEST, patience=patience)
    iterations = np.rint((t - t[0]) / dt).astype(int)
    every = t[0] + dt * np.arange(iterations[-1] + 1)
    known = np.column_stack(
        [np.zeros((len(every), 0)), *(np.interp(every, t, column) for column in series.T)]
    )
    course = flow.run(x, every, parameters, known, largest=LARGEST, patience=patience)
    return replace(course, states=course.states[iterations])


@dataclass(frozen=True)
class Prediction:
    """Prediction of one window.

    Attributes:
        t: Times, shape (M,), the first one the last of the window.
        states: Predicted states, shape (M, D); NaN where they grew without bound.
        observed: Predicted measured quantities, shape (M, L).
        data: Data kept back, shape (M, L), NaN where there is none.
    """

    t: Array
    states: Array
    observed: Array
    data: Array


def predict_window(
    problem: Problem,
    header: Header,
    number: int,
    known: StoredWindow,
    last: Array,
    parameters: Array,
    t: npt.ArrayLike | None = None,
) -> tuple[Prediction, Course]:
    """Run the model on from the last unknowns of a path of one window.

    Args:
        problem: The problem.
        header: What is known of the run before its first start.
        number: Number of the window.
        known: The window as it was stored.
        last: The unknowns of its last time, shape (D + V,).
        parameters: The estimated parameters that all times share, shape (P,).
        t: Rising times from the end of the window on, or one time; by default those of the data kept back,
            else as many as the window has, from its end on.

    Returns:
        The prediction, and how the model ran on.

    Raises:
        InputError: The known time series end with the window, or `t` does not rise from its end on.
    """
    names, layout, dimension = header.series, problem.layout, problem.dimension
    data = np.zeros((0, len(problem.observed)))
    dt = problem.windows[number].dt
    asked = slice(None)
    if t is not None:
        times, asked = from_end(t, float(known.t[-1]), dt)
    elif len(known.beyond_t):
        times, data = known.beyond_t, known.beyond_data
    else:
        times = known.t - known.t[0] + known.t[-1]
    series = np.zeros((len(times), len(names)))
    if names:
        if not len(known.beyond_t) or times[-1] > known.beyond_t[-1]:
            remedy = "hold out data (data.hold_back); their stimuli are stored too"
            raise InputError(Mistake("predict", "the known time series end with the window", remedy))
        columns = [np.interp(times, known.beyond_t, column) for column in known.beyond_series.T]
        series = np.stack(columns, axis=1)
    values = {
        **problem.fixed,
        **dict(zip(layout.seen_names, parameters[layout.seen(number)].tolist(), strict=True)),
        **dict(zip(layout.varying, last[dimension:].tolist(), strict=True)),
    }
    course = run_on(problem.model, last[:dimension], values, times, series, names, dt)
    every = dict(zip(names, series.T, strict=True)) | values
    every = {name: every[name] for name in every if name not in problem.model.stimulus_names}
    measured = observe(header.expression, header.state, course.states, every)
    kept_back = data if len(data) else np.full(measured.shape, np.nan)
    return Prediction(times[asked], course.states[asked], measured[asked], kept_back[asked]), course


def rmse(errors: Array) -> float | None:
    """Root of the mean square of the errors; None where all are NaN, infinite where one is infinite."""
    known = errors[~np.isnan(errors)]
    return float(np.sqrt(np.mean(known**2))) if known.size else None


def prediction_errors(prediction: Prediction) -> Array:
    """Prediction minus data, shape (M - 1, L); NaN without data, infinite where the prediction was lost.

    The first time, the last of the window, is left out: its data were assimilated.
    """
    error = prediction.observed[1:] - prediction.data[1:]
    lost = np.isnan(prediction.observed[1:]) & ~np.isnan(prediction.data[1:])
    return np.where(lost, np.inf, error)


def first_errors(prediction: Prediction, noise_std: Array) -> Array:
    """Errors of the first samples after the window over the noise, where chaos has not yet had its time.

    Args:
        prediction: The prediction.
        noise_std: σ of each measured quantity, shape (L,).

    Returns:
        Absolute values, of lost ones the largest that counts, shape (n,); n = 0 without data.
    """
    scaled = np.minimum(np.abs(prediction_errors(prediction) / noise_std), MOST)
    known = ~np.isnan(scaled)
    rows = np.flatnonzero(known.any(axis=1))
    values = np.cumsum(known[rows].sum(axis=1))
    count = max(FIRST_TIMES, int(np.searchsorted(values, FIRST_VALUES)) + 1)
    part = scaled[rows[:count]]
    return np.asarray(part[~np.isnan(part)])


def valid_time(prediction: Prediction, noise_std: Array) -> float | None:
    """How long the prediction holds: time from the end of the window until the data are missed.

    They are missed where the root mean square over the measured quantities of error / σ exceeds three.

    Args:
        prediction: The prediction.
        noise_std: σ of each measured quantity, shape (L,).

    Returns:
        The time, up to the last datum where they never are; None without data.
    """
    scaled = prediction_errors(prediction) / noise_std
    if np.isnan(scaled).all():
        return None
    count = np.maximum((~np.isnan(scaled)).sum(axis=1), 1)
    size = np.sqrt(np.nansum(scaled**2, axis=1) / count)
    missed = np.flatnonzero(size > MISSED)
    known = np.flatnonzero(~np.isnan(scaled).all(axis=1))
    at: Any = missed[0] if len(missed) else known[-1] + 1
    return float(prediction.t[at] - prediction.t[0])
