"""Stimuli of twin experiments: known inputs u(t) of a model.

The currents of the neuron papers: constant, a sine, random steps, and a chaotic one, a component of Lorenz's
model of 1963 slowed down to the neuron's time scale, which drives a neuron through all of its states
(B. A. Toth et al., Biol. Cybern. 105, 217-237, 2011).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

Array = npt.NDArray[np.float64]
Span = tuple[float, float]
_STEPS, _CHAOS = 0x73746570, 0x6368616F  # separate the random numbers of the makers
_REACH = 20.0  # x of Lorenz's model with its own parameters stays within ±20


@dataclass(frozen=True)
class Signal:
    """A function of time.

    Attributes:
        function: Its value at a time, continuous from the right.
        kinks: Times at which it or its slope jumps; an integrator must not step over them.
    """

    function: Callable[[float], Any]
    kinks: tuple[float, ...] = ()

    def __call__(self, t: float) -> float:
        """Value at time `t`."""
        return float(self.function(t))

    def at(self, t: Array) -> Array:
        """Values at times `t`, of the same shape."""
        return np.array([self(time) for time in t.ravel()]).reshape(t.shape)


def interpolated(t: Array, values: Array) -> Signal:
    """Interpolate values linearly between increasing times `t`, both of shape (N,); constant outside."""
    return Signal(lambda time: np.interp(time, t, values), tuple(float(time) for time in t))


def constant(value: float) -> Signal:
    """Return the same value at all times."""
    return Signal(lambda time: value)


def sine(amplitude: float, period: float, mean: float = 0.0, phase: float = 0.0) -> Signal:
    """``mean + amplitude sin(2π (t/period + phase))``."""
    return Signal(lambda time: mean + amplitude * math.sin(2.0 * math.pi * (time / period + phase)))


def steps(limits: tuple[float, float], duration: float, *, seed: int, span: Span) -> Signal:
    """Values drawn uniformly from `limits`, each held for `duration`, from one multiple of it to the next.

    Args:
        limits: Lowest and highest value.
        duration: How long each value is held, positive.
        seed: The value of a stretch depends on it and on the stretch alone, not on `span`.
        span: First and last time that is asked for.
    """
    first, last = (math.floor(time / duration) for time in span)
    levels = [
        np.random.default_rng([seed, _STEPS, index % 2**32]).uniform(*limits)
        for index in range(first, last + 1)
    ]
    edges = duration * np.arange(first, last + 1)

    def level(time: float) -> float:
        index = int(np.searchsorted(edges, time, side="right")) - 1
        return float(levels[min(max(index, 0), len(levels) - 1)])

    return Signal(level, tuple(edges.tolist()))


def chaotic(limits: tuple[float, float], timescale: float, *, seed: int, span: Span) -> Signal:
    """Lorenz 1963's x(t/timescale), which stays within ±20, stretched to `limits`.

    Args:
        limits: Values that x = -20 and x = 20 are brought to.
        timescale: How many of the model's time units one unit of Lorenz's time takes; x turns in about 0.75.
        seed: Chooses the trajectory.
        span: First and last time that is asked for; the trajectory begins at the first.
    """
    low, high = limits
    begin, end = span
    start = np.array([1.0, 1.0, 25.0]) + np.random.default_rng([seed, _CHAOS]).uniform(-1.0, 1.0, 3)

    def rate(_: float, s: Array) -> list[float]:
        return [10.0 * (s[1] - s[0]), s[0] * (28.0 - s[2]) - s[1], s[0] * s[1] - 8.0 / 3.0 * s[2]]

    length = max((end - begin) / timescale, 1e-6)
    settled = solve_ivp(rate, (0.0, 20.0), start, method="DOP853", rtol=1e-10, atol=1e-10).y[:, -1]
    path = solve_ivp(
        rate, (0.0, length), settled, method="DOP853", rtol=1e-10, atol=1e-10, dense_output=True
    ).sol

    def value(time: float) -> float:
        x = float(path(min(max((time - begin) / timescale, 0.0), length))[0])
        return low + (high - low) * (x + _REACH) / (2.0 * _REACH)

    return Signal(value)
