"""Stimuli of twin experiments: known input signals u(t).

The currents of the neuron papers: constant, a sine, random steps, and a chaotic one, a component of Lorenz's
model of 1963 slowed down to the neuron's time scale, which drives a neuron through all of its states
(B. A. Toth et al., Biol. Cybern. 105, 217-237, 2011).

Their values are the same on every processor: nothing here calls BLAS or a function of the C library, but for
the functions of time that a caller gives.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.models import lorenz63
from hpcda.models.flow import LIMIT, End, Flow
from hpcda.patience import Patience

Array = npt.NDArray[np.float64]
Span = tuple[float, float]
_STEPS, _CHAOS = 0x73746570, 0x6368616F  # separate the random numbers of the makers
_SPREAD = 7.9  # standard deviation of x in Lorenz's model
_SPACING, _ORDER, _BLOCK = 0.01, 12, 1024
"""A chaotic signal: power series of this order around points this far apart in Lorenz's time, in blocks."""


@dataclass(frozen=True)
class Signal:
    """A function of time.

    Attributes:
        function: (t) -> value, continuous from the right.
        kinks: Times at which the value or its slope jumps; an integrator must not step over them.
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
    times, heights = [float(time) for time in t], [float(value) for value in values]

    def value(time: float) -> float:
        after = bisect_right(times, time)
        if after == 0 or after == len(times):
            return heights[max(after - 1, 0)]
        left, right = times[after - 1], times[after]
        share = (time - left) / (right - left)
        return heights[after - 1] + share * (heights[after] - heights[after - 1])

    return Signal(value, tuple(times))


def constant(value: float) -> Signal:
    """Return the same value at all times."""
    return Signal(lambda time: value)


def sine(amplitude: float, period: float, offset: float = 0.0, phase: float = 0.0) -> Signal:
    """``offset + amplitude sin(2π t/period + phase)``, `phase` in radians."""
    ahead = phase / (2.0 * math.pi)
    return Signal(lambda time: offset + amplitude * _sine_of(time / period + ahead))


def _sine_of(turns: float) -> float:
    """The sine of an angle in whole turns, by its power series.

    From + - * / and floor alone, which give the same bits everywhere; the sine of the C library does not.
    """
    turns -= math.floor(turns)  # [0, 1)
    quarters = math.floor(4.0 * turns + 0.5)
    angle = 2.0 * math.pi * (turns - 0.25 * quarters)  # within π/4 of a whole number of quarter turns
    square, term, total, power = angle * angle, 1.0, 1.0, 0
    if quarters % 2 == 0:
        term = total = angle
        power = 1
    while power < 17:
        term *= -square / ((power + 1) * (power + 2))
        total += term
        power += 2
    return -total if quarters in (2, 3) else total


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
    """``offset + scale·level``, each level held for `width` from time 0 on, repeated periodically.

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
    edges = [width * number for number in range(first, last + 2)]

    def level(time: float) -> float:
        return float(values[(first + bisect_right(edges, time) - 1) % len(values)])

    return Signal(level, tuple(edges))


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
    length = max((end - begin) / timescale, 1e-6)
    flow = Flow(lorenz63.build())
    settled = _followed(flow, start, np.array([0.0, 20.0]))[-1]
    states = _followed(flow, settled, _SPACING * np.arange(math.ceil(length / _SPACING) + 1))

    @lru_cache(maxsize=4)
    def series(block: int) -> list[list[float]]:
        return _power_series(states[_BLOCK * block : _BLOCK * (block + 1)]).tolist()

    def value(time: float) -> float:
        lorenz = min(max((time - begin) / timescale, 0.0), length)
        nearest = min(round(lorenz / _SPACING), len(states) - 1)
        coefficients = series(nearest // _BLOCK)[nearest % _BLOCK]
        ahead, x = lorenz - _SPACING * nearest, 0.0
        for coefficient in reversed(coefficients):
            x = x * ahead + coefficient
        return offset + scale * x / _SPREAD

    return Signal(value)


def _followed(flow: Flow, x: Array, t: Array) -> Array:
    """States of Lorenz's model, shape (N, 3)."""
    course = flow.run(x, t, flow.model.defaults, patience=Patience("making a chaotic stimulus", LIMIT))
    if course.end is not End.REACHED:
        problem = f"generating it took more than {LIMIT:g} s"
        raise InputError(Mistake("twin.stimulus", problem, "give a longer timescale, or a shorter twin"))
    return course.states


def _power_series(states: Array) -> Array:
    """Coefficients of x(t) in powers of time from states of Lorenz's model, shape (N, _ORDER + 1)."""
    x, y, z = ([column] for column in states.T)
    for k in range(_ORDER):
        xy, xz = x[0] * y[k], x[0] * z[k]
        for i in range(1, k + 1):
            xy, xz = xy + x[i] * y[k - i], xz + x[i] * z[k - i]
        rates = 10.0 * (y[k] - x[k]), 28.0 * x[k] - y[k] - xz, xy - 8.0 / 3.0 * z[k]
        for one, rate in zip((x, y, z), rates, strict=True):
            one.append(rate / (k + 1))
    return np.stack(x, axis=1)


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
