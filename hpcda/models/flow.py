"""Accurate trajectories of a model: flows integrated with error control, maps iterated; compiled.

Flows take steps of the explicit Runge-Kutta pair of order 8 of Dormand and Prince, DOP853 (E. Hairer, S. P.
Nørsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed., Springer 1993, section II.5). The step
size follows the estimated error, and steps end on every time that is asked for. Where most of 1,000 steps are
stiff by the test of Hairer and Wanner (Solving Ordinary Differential Equations II, 2nd ed., Springer 1996,
section IV.2) and 20,000 or more are still to go, steps become implicit: extrapolated linearly implicit Euler
steps with the exact derivative of the equations (section IV.9 there). Both decisions count steps, never time.

The same numbers come out on every processor: all sums have one order, nothing calls BLAS or LAPACK, step
sizes come from + - * / and square roots, and functions in the equations are those of the compiled kernels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.models import dop853
from hpcda.models.model import Model
from hpcda.models.trace import Symbol
from hpcda.models.traced import Traced, differentiated, recorded
from hpcda.native.declared import enumeration, number, structures
from hpcda.native.kernels import source
from hpcda.native.scalar import scalar_library
from hpcda.patience import Patience

Array = npt.NDArray[np.float64]
Known = Callable[[float], Sequence[float]]

TOLERANCE = 1e-12
LIMIT = 60.0
"""Seconds that a run may take where the caller does not say."""
SMALLEST = 1e-6
"""Where errors are relative to the size of a state, it counts as at least so large a part of its range."""
BUDGET = 2e5
"""Evaluations times states after which a run looks at the clock."""
WIDEST = 400
"""States up to which a stiff flow takes implicit steps, whose cost grows with the cube of their number."""
IMPLICIT_TOLERANCE = 1e-11
"""The smallest error that implicit steps are asked for: extrapolation adds up rounding errors."""
_FIRST_COLUMNS = 4
_ROOM = number("flow.c", "ROOM")
_KNOWN = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.POINTER(ctypes.c_double))

_DECLARED = structures("flow.c")
_Flow, _Course, _Run = (_DECLARED[name] for name in ("Flow", "Course", "Run"))
_REACHED, _PAUSED, _UNBOUND, _STUCK, _FAST, _STIFF = enumeration("flow.c", "Ended").values()


class End(Enum):
    """How an integration ended; the value is a phrase for the user."""

    REACHED = "it reached its last time"
    UNBOUND = "the states grow without bound"
    STUCK = "no step is small enough: the states run to infinity, or the equations jump or are not finite"
    FAST = "the states move so fast that more than 10,000,000 steps would be needed"
    LATE = "its time limit was reached"


@dataclass(frozen=True)
class Course:
    """A trajectory.

    Attributes:
        states: Shape (N, D); NaN at times that were not reached.
        end: How it ended.
        time: Time at which it ended.
        evaluations: Evaluations of the equations.
        steps: Steps tried; 0 of a map.
        implicit: Whether the last steps were implicit.
    """

    states: Array
    end: End
    time: float
    evaluations: int
    steps: int
    implicit: bool


class Flow:
    """Integrates one model, traced and compiled.

    Args:
        model: A flow or a map.
        series: Names of known functions of time, in the order of their columns: stimuli, and time-dependent
            parameters. By default the stimuli.

    Attributes:
        model: The model.
        series: Those names.

    Raises:
        InputError: The equations cannot be traced.
    """

    def __init__(self, model: Model, series: Sequence[str] | None = None) -> None:
        self.model = model
        self.series = tuple(model.stimulus_names if series is None else series)
        missing = [name for name in model.stimulus_names if name not in self.series]
        if missing:
            raise ValueError(f"series lacks {', '.join(missing)}")
        self._parameters = [name for name in model.parameter_names if name not in self.series]
        self._graph, self._values = recorded(self._rows)
        self._tableau = [dop853.A, dop853.B, dop853.C, dop853.E3, dop853.E5]
        width = np.array([float(state.range[1]) - float(state.range[0]) for state in model.states])
        self._usual = np.where(width > 0.0, width, 1.0)

    def run(
        self,
        x: npt.ArrayLike,
        t: npt.ArrayLike,
        parameters: Mapping[str, float],
        series: npt.ArrayLike | Known | None = None,
        *,
        tolerance: float = TOLERANCE,
        largest: float = np.inf,
        patience: Patience | None = None,
    ) -> Course:
        """One trajectory.

        Args:
            x: States at the first time, shape (D,).
            t: Times, shape (N,), increasing. No step crosses one of them; a map is iterated once between two.
            parameters: Every parameter by name that is not in `series`.
            series: Values at the times, shape (N, U), linear between them; or a function of time that returns
                U values, continuous from the right and smooth between two of the times. None where U is 0.
            tolerance: Error of a step, relative to the size of each state in the last dozens of steps.
            largest: Size of a state, in widths of its range, that ends the run.
            patience: Tells of a long run and ends it; `LIMIT` seconds where it is not given.

        Returns:
            The trajectory, as far as it came.

        Raises:
            CompilerError: No C compiler, or no place for compiled code.
        """
        begin = np.array(x, dtype=np.float64)
        if begin.shape != (self.model.dimension,):
            raise ValueError(f"{begin.shape} values for {self.model.dimension} states")
        return _Follow(self, begin, None, t, parameters, series, tolerance, largest, patience).course()

    def steps(
        self,
        path: npt.ArrayLike,
        t: npt.ArrayLike,
        parameters: Mapping[str, float],
        series: npt.ArrayLike | None = None,
        *,
        tolerance: float = 1e-10,
        patience: Patience | None = None,
    ) -> Array:
        """Where the model carries each point of a path by the time of the next one (`carry`).

        Returns:
            Shape (N - 1, D): row n is where ``path[n]`` at ``t[n]`` comes to at ``t[n + 1]``; NaN where the
            states grow without bound, cannot be followed, or the time of `patience` was over.
        """
        return self.carry(path, t, parameters, series, tolerance=tolerance, patience=patience).states[1:]

    def carry(
        self,
        path: npt.ArrayLike,
        t: npt.ArrayLike,
        parameters: Mapping[str, float],
        series: npt.ArrayLike | None = None,
        *,
        tolerance: float = 1e-10,
        patience: Patience | None = None,
    ) -> Course:
        """Carry each point of a path by the model to the time of the next one.

        Args:
            path: States at the times, shape (N, D).
            t: Times, shape (N,), increasing.
            parameters: Every parameter by name that is not in `series`.
            series: Stimuli and parameters that depend on time, shape (N, U), linear between the times.
            tolerance: Error of an integration step, relative to the size of each state.
            patience: Tells of a long run and ends it; `LIMIT` seconds where it is not given.

        Returns:
            A course whose row n + 1 is where ``path[n]`` at ``t[n]`` comes to at ``t[n + 1]``; NaN where the
            states grow without bound, cannot be followed, or the time of `patience` was over.
        """
        points = np.ascontiguousarray(path, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != self.model.dimension:
            raise ValueError(f"a path of shape {points.shape} for {self.model.dimension} states")
        return _Follow(self, points[0], points, t, parameters, series, tolerance, np.inf, patience).course()

    def _rows(self, given: Callable[[str, int], Symbol]) -> list[Any]:
        model = self.model
        column = {name: given("s", i) for i, name in enumerate(self.series)}
        p = {name: given("c", i) for i, name in enumerate(self._parameters)}
        p.update((name, column[name]) for name in model.parameter_names if name in column)
        u = {name: column[name] for name in model.stimulus_names}
        return model([given("v", i) for i in range(model.dimension)], p, u, given("t", 0))

    def _constants(self, parameters: Mapping[str, float]) -> Array:
        return np.array([float(parameters[name]) for name in self._parameters], dtype=np.float64)

    @cached_property
    def _with_slopes(self) -> Traced:
        """The equations and their derivative by the states."""
        return differentiated(self._graph, self._values, 1)

    @cached_property
    def _switches(self) -> list[int]:
        """Nodes that tell on which branch of the equations a state lies."""
        graph = self._graph
        found: dict[int, None] = {}
        for node in graph.reach(self._values):
            op, *rest = graph.keys[node]
            if op == "select":
                found[rest[0]] = None
            elif op in ("sign", "floor"):
                found[node] = None
            elif op == "abs":
                found[graph.unary("sign", rest[0])] = None
        return list(found)

    @cached_property
    def _explicit(self) -> Any:
        traced = differentiated(self._graph, self._values, 0)
        return scalar_library([source(traced, "model")], "flow.c")

    @cached_property
    def _implicit(self) -> Any:
        branches = differentiated(self._graph, self._switches, 0)
        kernels = [source(self._with_slopes, "model"), source(branches, "switch")]
        return scalar_library(kernels, "stiff.c")


class _Follow:
    """One run and the memory that the compiled code works in."""

    def __init__(
        self,
        flow: Flow,
        x: Array,
        path: Array | None,
        t: npt.ArrayLike,
        parameters: Mapping[str, float],
        series: npt.ArrayLike | Known | None,
        tolerance: float,
        largest: float,
        patience: Patience | None,
    ) -> None:
        self._flow = flow
        model, states = flow.model, flow.model.dimension
        self._t = np.ascontiguousarray(t, dtype=np.float64)
        if self._t.ndim != 1 or not len(self._t) or not (np.diff(self._t) > 0.0).all():
            raise ValueError("the times do not increase")
        if path is not None and len(path) != len(self._t):
            raise ValueError(f"{len(path)} points at {len(self._t)} times")
        self._patience = patience or Patience(f"integrating {model.name}", LIMIT)
        self._error: BaseException | None = None
        self._path = path
        self._states = np.full((len(self._t), states), np.nan)
        self._states[0] = x
        self._constant = flow._constants(parameters)
        self._least = SMALLEST * flow._usual
        self._most = largest * flow._usual
        self._room = np.zeros(_ROOM * states + len(flow.series) + 1)
        self._room[:states] = x
        self._more = np.zeros(0)
        self._indices: list[npt.NDArray[np.int32]] = []
        self._sizes = _Flow(
            D=states,
            U=len(flow.series),
            map=int(model.kind == "map"),
            tolerance=tolerance,
            constant=self._constant.ctypes.data,
            least=self._least.ctypes.data,
            most=self._most.ctypes.data,
            **{
                name: table.ctypes.data
                for name, table in zip("a b c e3 e5".split(), flow._tableau, strict=True)
            },
        )
        self._columns, known = self._inputs(series)
        self._course = _Course(
            N=len(self._t),
            t=self._t.ctypes.data,
            series=None if self._columns is None else self._columns.ctypes.data,
            known=ctypes.cast(known, ctypes.c_void_p).value,
            path=None if path is None else path.ctypes.data,
        )
        self._run = _Run(room=self._room.ctypes.data, target=_FIRST_COLUMNS)
        self._kept = known

    def _inputs(self, series: npt.ArrayLike | Known | None) -> tuple[Array | None, Any]:
        shape = (len(self._t), len(self._flow.series))
        if callable(series):
            return None, _KNOWN(self._asked(series))
        if series is None and shape[1] == 0:
            series = np.zeros(shape)
        columns = np.ascontiguousarray(series, dtype=np.float64)
        if columns.shape != shape:
            raise ValueError(f"series of shape {columns.shape}, {shape} wanted")
        return columns, _KNOWN()

    def _asked(self, known: Known) -> Callable[[float, Any], None]:
        """The function of time as the compiled code calls it, which no exception may leave."""

        def ask(time: float, out: Any) -> None:
            try:
                for i, value in enumerate(known(time)):
                    out[i] = value
            except BaseException as error:  # raised again once the compiled code has returned
                self._error = self._error or error
                for i in range(len(self._flow.series)):
                    out[i] = np.nan

        return ask

    def course(self) -> Course:
        """Follow it to its end."""
        end = self._followed()
        run = self._run
        states = self._states
        if self._path is None and end is not End.REACHED:
            states[run.at + 1 :] = np.nan
        time = float(self._t[-1] if end is End.REACHED else run.t)
        return Course(states, end, time, run.evaluations, run.all_steps, bool(run.implicit))

    def _followed(self) -> End:
        compiled, run = self._flow._explicit, self._run
        budget = max(100, int(BUDGET / self._flow.model.dimension))
        while True:
            code = compiled.follow(
                ctypes.byref(self._sizes), ctypes.byref(self._course), ctypes.byref(run),
                self._states.ctypes.data, budget,
            )  # fmt: skip
            if self._error is not None:
                raise self._error
            if code == _REACHED:
                return End.REACHED
            if code == _STIFF and self._flow.model.dimension <= WIDEST:
                compiled = self._become_implicit()
            elif code in (_UNBOUND, _STUCK, _FAST):
                end = self._reason(code)
                if self._path is None:
                    return end
                self._states[run.at + 1] = np.nan
                run.at, run.within, run.h, run.slow = run.at + 1, 0, 0.0, 0
            if not self._patience.lasts(f"t = {run.t:.6g} of {self._t[-1]:.6g}"):
                return End.LATE

    def _become_implicit(self) -> Any:
        flow, run = self._flow, self._run
        entries = np.array(flow._with_slopes.jacobian, dtype=np.int32).reshape(-1, 2)
        self._indices = [np.ascontiguousarray(entries[:, side]) for side in (0, 1)]
        self._sizes.entries, self._sizes.switches = len(entries), len(flow._switches)
        self._sizes.tolerance = max(self._sizes.tolerance, IMPLICIT_TOLERANCE)
        self._sizes.row, self._sizes.column = (index.ctypes.data for index in self._indices)
        self._more = np.zeros(flow._implicit.room_of(ctypes.byref(self._sizes)) + 1)
        run.more = self._more.ctypes.data
        run.implicit, run.slow = 1, 0
        return flow._implicit

    def _reason(self, code: int) -> End:
        if code == _STUCK:
            states = self._room[: self._flow.model.dimension]
            usual = np.maximum(self._flow._usual, np.abs(self._states[0]))
            far = np.abs(states) > 1e6 * np.minimum(usual, 1e94)
            return End.UNBOUND if far.any() else End.STUCK
        return End.UNBOUND if code == _UNBOUND else End.FAST
