"""Prediction beyond the window: the model run on from the last estimated state.

The test of an estimate that the field accepts (J. Ye et al., Nonlin. Processes Geophys. 22, 205, 2015): data
kept back after the window are predicted with nothing but the model. Flows are integrated by DOP853 (E.
Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, II.5), maps are iterated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from hpcda.models.expression import Expression
from hpcda.models.model import Model

Array = npt.NDArray[np.float64]
TOLERANCE = 1e-9
LARGEST = 1e8
FIRST_TIMES, FIRST_VALUES = 5, 10
"""The first samples are those of so many times, and of more where that makes fewer values."""
MOST = 1e3
"""An error counts as at most so many standard deviations of the noise, so that a mean can be told."""
MISSED = 3.0
"""A prediction is lost where its error exceeds this many standard deviations of the noise."""


def observe(expressions: Sequence[str], names: Sequence[str], states: Array) -> Array:
    """h(x): the measured quantities of states, shape (N, D), as an array of shape (N, L)."""
    by_name = {name: states[:, i] for i, name in enumerate(names)}
    columns = [np.broadcast_to(Expression(text, names)(by_name), len(states)) for text in expressions]
    return np.stack(columns, axis=1) if columns else np.zeros((len(states), 0))


def observed_states(expressions: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of the D states a measured quantity depends on, shape (D,)."""
    used = {name for text in expressions for name in Expression(text, names).states}
    return np.array([name in used for name in names])


def run_on(
    model: Model,
    x: Array,
    parameters: dict[str, float],
    t: Array,
    series: Array,
    names: Sequence[str],
    dt: float,
) -> Array:
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

    Returns:
        Shape (M, D); NaN from where the states grow without bound.
    """
    stimuli = set(model.stimulus_names)

    def known(time: float) -> tuple[dict[str, float], dict[str, float]]:
        values = {name: float(np.interp(time, t, series[:, k])) for k, name in enumerate(names)}
        u = {name: value for name, value in values.items() if name in stimuli}
        return {**parameters, **{name: value for name, value in values.items() if name not in stimuli}}, u

    def equations(time: float, state: Array) -> Array:
        p, u = known(time)
        return np.array(model(state, p, u, time), dtype=np.float64)

    result = np.full((len(t), model.dimension), np.nan)
    result[0] = x
    with np.errstate(all="ignore"):
        if model.kind == "map":
            state, done = np.array(x), 0
            for n, when in enumerate(np.rint((t - t[0]) / dt).astype(int)):
                while done < when and np.isfinite(state).all():
                    state = equations(float(t[0] + done * dt), state)
                    done += 1
                result[n] = np.where(np.abs(state) < LARGEST, state, np.nan)
            return result

        def lost(_: float, state: Array) -> float:
            size = float(np.abs(state).max())
            return LARGEST - size if np.isfinite(size) else -1.0

        lost.terminal = True  # type: ignore[attr-defined]
        longest = float(np.diff(t).min()) if series.shape[1] and len(t) > 1 else np.inf
        solution = solve_ivp(
            equations, (t[0], t[-1]), x, method="DOP853", t_eval=t, rtol=TOLERANCE, atol=TOLERANCE,
            events=lost, max_step=longest,
        )  # fmt: skip
        result[: solution.y.shape[1]] = solution.y.T
    return result


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
