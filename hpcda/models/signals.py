"""Stimuli of twin experiments: known inputs u(t) of a model.

The currents of the neuron papers: constant, a sine, random steps, and a chaotic one, a component of Lorenz's
model of 1963 slowed down to the neuron's time scale, which drives a neuron through all of its states
(B. A. Toth et al., Biol. Cybern. 105, 217-237, 2011).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

Array = npt.NDArray[np.float64]
Span = tuple[float, float]
_STEPS, _CHAOS = 0x73746570, 0x6368616F  # separate the random numbers of the makers
_SPREAD = 7.9  # standard deviation of x in Lorenz's model


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


def sine(amplitude: float, period: float, offset: float = 0.0, phase: float = 0.0) -> Signal:
    """``offset + amplitude sin(2π t/period + phase)``, `phase` in radians."""
    return Signal(lambda time: offset + amplitude * math.sin(2.0 * math.pi * time / period + phase))


def steps(
    width: float,
    levels: Sequence[float] | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    seed: int = 0,
    count: int = 64,
    *,
    span: Span,
) -> Signal:
    """``offset + scale·level``, the first level from time 0 for `width`, then the next; over and over.

    Args:
        width: How long each level is held, positive.
        levels: The levels; `count` of them are drawn uniformly from [-1, 1] where none are given.
        scale: Factor of the levels, in the stimulus's unit.
        offset: Added to all, in the stimulus's unit.
        seed: Chooses the levels that are drawn.
        count: How many are drawn before they repeat.
        span: First and last time that is asked for.
    """
    if levels is None:
        levels = np.random.default_rng([seed, _STEPS]).uniform(-1.0, 1.0, count).tolist()
    values = [offset + scale * level for level in levels]
    first, last = (math.floor(time / width) for time in span)
    edges = width * np.arange(first, last + 2)

    def level(time: float) -> float:
        return float(values[(first + int(np.searchsorted(edges, time, side="right")) - 1) % len(values)])

    return Signal(level, tuple(edges.tolist()))


def chaotic(
    scale: float, offset: float = 0.0, timescale: float = 20.0, seed: int = 0, *, span: Span
) -> Signal:
    """``offset + scale·x(t/timescale)/7.9`` with x of Lorenz 1963, of mean 0 and standard deviation 7.9.

    Args:
        scale: Standard deviation of the signal over a long time, in the stimulus's unit.
        offset: Mean of the signal over a long time.
        timescale: How many of the model's time units one unit of Lorenz's time takes; x turns in about 0.75.
        seed: Chooses the trajectory.
        span: First and last time that is asked for; the trajectory begins at the first.
    """
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
        return offset + scale * x / _SPREAD

    return Signal(value)


def make_signal(kind: str, arguments: Mapping[str, Any], span: Span) -> Signal:
    """Build the stimulus of a job, ``make_signal("sine", {"amplitude": 10.0, "period": 50.0}, (0.0, 40.0))``.

    Args:
        kind: One of `KINDS`.
        arguments: Those of the maker of that name in this module.
        span: First and last time that is asked for, spin-up included.
    """
    maker = _MAKERS[kind]
    return maker(**arguments, span=span) if maker in (steps, chaotic) else maker(**arguments)


_MAKERS: dict[str, Callable[..., Signal]] = {
    "constant": constant,
    "sine": sine,
    "steps": steps,
    "chaotic": chaotic,
}
KINDS = tuple(_MAKERS)
