"""The data-assimilation problem: windows of data, the model, and what is estimated.

Where each unknown stands in a flat path is said by `hpcda.problem.layout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hpcda.models.model import Model
from hpcda.problem.layout import Array, Layout
from hpcda.problem.ties import Ties

Numbers = npt.NDArray[Any]


def _to_float64(record: Any, *names: str) -> None:
    """Convert fields given as lists or integers to arrays of floats."""
    for name in names:
        object.__setattr__(record, name, np.asarray(getattr(record, name), dtype=np.float64))


EVEN = 1e-6
"""Part of a step by which times may be off even ones."""


@dataclass(frozen=True)
class Window:
    """A window of data at N times, whose steps may differ.

    Attributes:
        t: Times of the path points, shape (N,), in the model's time unit.
        data: Measured values y_l(n), shape (N, L); NaN where nothing is measured.
        noise_std: Standard deviation of the noise of each value, shape (N, L), in the unit of the data; for
            noise that is not Gaussian its scale, see `hpcda.action.loss.Loss`.
        series: Known time series at the path points, shape (N, U): the stimuli in the model's order, then the
            fixed parameters that the data give as functions of time, in the order of `Problem.series`.
    """

    t: Array
    data: Array
    noise_std: Array
    series: Array

    def __post_init__(self) -> None:
        _to_float64(self, "t", "data", "noise_std", "series")

    @property
    def times(self) -> int:
        """N, the number of path points."""
        return len(self.t)

    @property
    def dt(self) -> float:
        """Spacing of the path points, in the model's time unit; the mean where steps differ."""
        return float((self.t[-1] - self.t[0]) / (len(self.t) - 1))

    @cached_property
    def even(self) -> bool:
        """Whether all steps are one, but for the rounding of times."""
        return bool(np.abs(self.t - self._even).max() <= EVEN * self.dt)

    @property
    def _even(self) -> Array:
        return np.asarray(self.t[0] + self.dt * np.arange(self.times), dtype=np.float64)

    @cached_property
    def grid(self) -> Array:
        """Times as they are computed with, shape (N,): free of the rounding of `t` where steps are even."""
        return self._even if self.even else self.t

    @cached_property
    def steps(self) -> Array:
        """Step from each point to the next, shape (N - 1,)."""
        return np.full(self.times - 1, self.dt) if self.even else np.diff(self.t)


@dataclass(frozen=True)
class Beyond:
    """Data held out after the end of a window, to test the prediction.

    Attributes:
        t: Times, shape (M,); the first is the last time of the window.
        data: Measured values, shape (M, L), NaN where there is none.
        series: Known time series, shape (M, U).
    """

    t: Array
    data: Array
    series: Array

    def __post_init__(self) -> None:
        _to_float64(self, "t", "data", "series")


@dataclass(frozen=True)
class Estimated:
    """An estimated parameter.

    Attributes:
        name: The model's name for it.
        start: Uniform range of the initial guess, in the parameter's unit.
        bounds: Lowest and highest value allowed, ±infinity if there is no bound.
        prior: Mean and standard deviation of a Gaussian prior, or None.
        walk_std: For a time-dependent parameter with a random-walk prior: standard deviation of its change
            per square root of unit time; None if its values at different times are independent.
        per_window: Whether each window has its own value, constant in time.
        shared: For a time-dependent parameter: whether all windows share its values at equal times.
    """

    name: str
    start: tuple[float, float]
    bounds: tuple[float, float] = (-np.inf, np.inf)
    prior: tuple[float, float] | None = None
    walk_std: float | None = None
    per_window: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Walk:
    """The steps of the random walk of a time-dependent parameter in one window.

    Attributes:
        name: The parameter.
        window: Number of the window.
        places: Indices into the flat path of the two ends of each step, shape (steps, 2).
        std: Standard deviation of each step, shape (steps,).
    """

    name: str
    window: int
    places: Numbers
    std: Array


@dataclass(frozen=True)
class Noise:
    """The noise of a measured quantity, if it is not Gaussian with a known standard deviation.

    Attributes:
        loss: Name of its loss, see `hpcda.action.losses`.
        options: The loss's options by name, all of them.
        scale: Name of the estimated parameter that is the noise scale; None if the scale is given with the
            data.
    """

    loss: str
    options: Mapping[str, float] = field(default_factory=dict)
    scale: str | None = None


@dataclass(frozen=True)
class Problem:
    """A data-assimilation problem: model, data and unknowns; it determines the action.

    Attributes:
        model: The model.
        discretization: Name of the discretization, see `hpcda.action.discretizations`.
        windows: The windows of data.
        observed: Name of each of the L measured quantities -> expression of states and parameters ("x0",
            "gain * x0**2 + offset").
        parameters: Estimated parameters that are constant in time, common to all windows or one per window.
        varying: The V estimated parameters that depend on time.
        fixed: Values of the constant parameters that are not estimated.
        series: Names of the fixed parameters that are known functions of time.
        state_start: Uniform range of the initial guess of unmeasured states, shape (D, 2).
        state_bounds: Bounds on the states, shape (D, 2), ±infinity where there is no bound.
        model_error_weight: Weights s_a of the model errors, shape (D,).
        model_error: "per step" if Rf weights the model errors of each step, "per time" if it weights errors
            of the rate, integrated over time; see `hpcda.action.weights`.
        initial_prior: State name -> mean and standard deviation of a Gaussian prior on x(0) of every window.
        steps_per_sample: Time steps of the path between two samples.
        noise: Noise of each measured quantity for which it is not Gaussian with the windows' `noise_std`.
    """

    model: Model
    discretization: str
    windows: tuple[Window, ...]
    observed: dict[str, str]
    parameters: tuple[Estimated, ...] = ()
    varying: tuple[Estimated, ...] = ()
    fixed: dict[str, float] = field(default_factory=dict)
    series: tuple[str, ...] = ()
    state_start: Array = field(default_factory=lambda: np.zeros((0, 2)))
    state_bounds: Array = field(default_factory=lambda: np.zeros((0, 2)))
    model_error_weight: Array = field(default_factory=lambda: np.zeros(0))
    model_error: Literal["per step", "per time"] = "per step"
    initial_prior: dict[str, tuple[float, float]] = field(default_factory=dict)
    steps_per_sample: int = 1
    noise: dict[str, Noise] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _to_float64(self, "state_start", "state_bounds", "model_error_weight")

    @property
    def dimension(self) -> int:
        """D, the number of states."""
        return self.model.dimension

    @cached_property
    def layout(self) -> Layout:
        """Where each unknown stands in a flat path."""
        return Layout(
            states=self.model.state_names,
            varying=tuple(q.name for q in self.varying),
            own=tuple(p.name for p in self.parameters if p.per_window),
            shared=tuple(p.name for p in self.parameters if not p.per_window),
            times=tuple(window.times for window in self.windows),
        )

    @cached_property
    def seen(self) -> tuple[Estimated, ...]:
        """The parameters that the model of one window sees at all its times, as `Layout.seen_names`."""
        return tuple(sorted(self.parameters, key=lambda p: not p.per_window))

    @cached_property
    def constants(self) -> tuple[Estimated, ...]:
        """Of every unknown of the path's tail what it is, in the order of `Layout.constants`."""
        by_name = {p.name: p for p in self.parameters}
        return tuple(by_name[constant.name] for constant in self.layout.constants)

    @property
    def size(self) -> int:
        """Numbers of a flat path: its unknowns, and copies of those that windows share."""
        return self.layout.size

    @cached_property
    def measured(self) -> int:
        """Number of data values."""
        return sum(int(np.isfinite(window.data).sum()) for window in self.windows)

    @cached_property
    def trajectory_unknowns(self) -> int:
        """Numbers that fix a path which obeys the model: states at one time of each window, parameters."""
        times = sum(window.times for window in self.windows)
        of_a_time = times * len(self.varying) - len(self.ties.copies)
        return len(self.windows) * self.dimension + of_a_time + len(self.constants)

    @cached_property
    def prior_terms(self) -> int:
        """Number of squares in the action's prior part: priors, and steps of random walks."""
        of_a_time = sum(len(self.unknowns_of(k)) for k, q in enumerate(self.varying) if q.prior is not None)
        return (
            len(self.windows) * len(self.initial_prior)
            + of_a_time
            + sum(len(walk.places) for walk in self.walks)
            + sum(p.prior is not None for p in self.constants)
        )

    @cached_property
    def ties(self) -> Ties:
        """Which places of a flat path hold the same unknown."""
        windows = range(len(self.windows))
        shared = [self.dimension + k for k, q in enumerate(self.varying) if q.shared]
        return Ties.of(self.size, [[self.layout.points(w)[:, k] for w in windows] for k in shared])

    @property
    def unknowns(self) -> int:
        """Number of unknowns, each counted once."""
        return self.size - len(self.ties.copies)

    def unknowns_of(self, varying: int) -> Numbers:
        """Places of the unknowns that a parameter of one time has, by its number among `varying`."""
        column = self.dimension + varying
        places = [self.layout.points(window)[:, column] for window in range(len(self.windows))]
        return np.unique(self.ties.first[np.concatenate(places)])

    @cached_property
    def walks(self) -> tuple[Walk, ...]:
        """Random walks, window after window; a step that windows share stands with the first of them."""
        found = []
        for number, window in enumerate(self.windows):
            for column, q in enumerate(self.varying, self.dimension):
                if q.walk_std is None:
                    continue
                places = self.layout.points(number)[:, column]
                steps = np.stack([places[:-1], places[1:]], axis=1)
                own = ~self.ties.copied[places[1:]]
                steps = self.ties.first[steps[own]]
                if len(steps):
                    std = q.walk_std * np.sqrt(window.steps[own])
                    found.append(Walk(q.name, number, steps, std))
        return tuple(found)

    def split(self, path: Array) -> tuple[list[Array], Array]:
        """View a flat path as arrays of shape (N, D + V), one a window, and the constants."""
        return self.layout.split(path)

    def join(self, blocks: list[Array], constants: Array) -> Array:
        """The flat path, shape (size,), of one block array a window and the constants."""
        return self.layout.join(blocks, constants)

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bound of every unknown, each of shape (size,)."""
        both = self._spread(self.state_bounds, "bounds")
        return both[:, 0].copy(), both[:, 1].copy()

    @cached_property
    def starts(self) -> Array:
        """Range in which every unknown starts, shape (size, 2)."""
        return self._spread(self.state_start, "start")

    def _spread(self, of_states: Array, name: str) -> Array:
        """Pairs of every unknown, shape (size, 2), from those of the states and of estimated parameters."""
        varying = np.reshape([getattr(q, name) for q in self.varying], (-1, 2))
        tail = np.reshape([getattr(p, name) for p in self.constants], (-1, 2))
        return self.layout.spread(np.vstack([of_states.reshape(-1, 2), varying]), tail).astype(np.float64)

    def cut(self, window: int, begin: int, end: int) -> Problem:
        """The same problem with the times begin ≤ n < end of one window alone.

        A prior on the first point of a window holds where the cut begins with that point.
        """
        whole, times = self.windows[window], slice(begin, end)
        piece = Window(whole.t[times], whole.data[times], whole.noise_std[times], whole.series[times])
        initial = self.initial_prior if begin == 0 else {}
        return replace(self, windows=(piece,), initial_prior=initial)

    @property
    def bounded(self) -> bool:
        """Whether any unknown has a finite bound."""
        lower, upper = self.bounds
        return bool(np.isfinite(lower).any() or np.isfinite(upper).any())
