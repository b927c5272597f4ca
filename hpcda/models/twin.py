"""Twin experiments: data made by a model whose states and parameters are then known.

Flows are integrated by SciPy's DOP853, the explicit Runge-Kutta method of order 8 of E. Hairer, S. P.
Nørsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed., Springer (1993), section II.5, with
relative and absolute tolerance 1e-12; maps are iterated. The equations run here as plain Python, not as the
compiled code of the action, so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model
from hpcda.models.signals import Signal, interpolated
from hpcda.names import nearest
from hpcda.words import counted

Array = npt.NDArray[np.float64]
Input = Signal | Callable[[float], float] | npt.ArrayLike

TOLERANCE = 1e-12
CALLS_WATCHED, CALLS_MOST = 20_000, 1e8
"""How often an integration is watched, and how many evaluations of the equations it may be on its way to."""
_NOISE = 0x7477696E  # separates the random numbers of the noise from those of the starts


def parameter_values(model: Model, parameters: Mapping[str, float] | None = None) -> dict[str, float]:
    """Every parameter of the model: those given, and the model's default for the others.

    Raises:
        InputError: A name that the model does not have, or a value that is not finite.
    """
    return _filled("twin.parameters", model.defaults, parameters or {})


def initial_state(model: Model, initial: Mapping[str, float] | None = None) -> Array:
    """States, shape (D,), where synthetic data begin: those given, and `State.initial` for the others.

    Raises:
        InputError: A name that the model does not have, or a value that is not finite.
    """
    defaults = {state.name: state.initial for state in model.states}
    return np.array(list(_filled("twin.initial", defaults, initial or {}).values()))


def simulate(
    model: Model,
    parameters: Mapping[str, float] | None,
    x0: npt.ArrayLike,
    t: npt.ArrayLike,
    stimulus: Mapping[str, Input] | Input | None = None,
) -> Array:
    """States of the model at given times.

    Args:
        model: A flow or a map.
        parameters: Values by name; the model's defaults for the others.
        x0: States at the first time, shape (D,).
        t: Times, shape (N,), increasing; of a map one iteration lies between two of them.
        stimulus: By name: a `Signal`, a function of time, or an array of values at `t`, shape (N,), that is
            interpolated linearly between them. Where the model has one stimulus it may stand without a name.

    Returns:
        States, shape (N, D), the first row being `x0`.

    Raises:
        InputError: Unknown names, wrong shapes, a missing stimulus, or states that grow without bound.
    """
    p = parameter_values(model, parameters)
    times = np.asarray(t, dtype=np.float64)
    start = np.asarray(x0, dtype=np.float64)
    if start.shape != (model.dimension,):
        names = ", ".join(model.state_names)
        raise InputError(
            Mistake(
                "twin.initial",
                f"{start.shape} values for {counted(model.dimension, 'state')}",
                f"give one each: {names}",
            )
        )
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0.0).any():
        raise InputError(
            Mistake("twin.samples", "the times do not increase", "give times in increasing order")
        )
    inputs = _signals(model, stimulus, times)
    with np.errstate(all="ignore"):
        states = (_iterate if model.kind == "map" else _integrate)(model, p, start, times, inputs)
    finite = np.isfinite(states).all(axis=1)
    if not finite.all():
        _diverged(model, times[int(np.argmin(finite))])
    return states


def spin_up(
    model: Model,
    parameters: Mapping[str, float] | None,
    x0: npt.ArrayLike,
    duration: float,
    stimulus: Mapping[str, Input] | Input | None = None,
    *,
    dt: float = 1.0,
    end: float = 0.0,
) -> Array:
    """The state, shape (D,), after the model has run from `x0` for `duration` (in iterations·dt for a map).

    Args:
        model: A flow or a map.
        parameters: Values by name; the model's defaults for the others.
        x0: States at time ``end - duration``, shape (D,).
        duration: How long, in the model's time unit; 0 gives `x0` back.
        stimulus: As for `simulate`, over the time of the spin-up; no arrays.
        dt: Time of one iteration of a map.
        end: Time at which the spin-up ends.

    Raises:
        InputError: As for `simulate`, or a duration below 0.
    """
    if not 0.0 <= duration < np.inf:
        raise InputError(Mistake("twin.spin_up", f"{duration} is no duration", "write 0 or a positive time"))
    if duration == 0.0:
        return np.array(x0, dtype=np.float64)
    steps = max(1, round(duration / dt)) if model.kind == "map" else 1
    span = steps * dt if model.kind == "map" else duration
    states = simulate(model, parameters, x0, np.linspace(end - span, end, steps + 1), stimulus)
    return np.array(states[-1])


def noise(shape: tuple[int, ...], noise_std: npt.ArrayLike, seed: int, window: int = 0) -> Array:
    """Gaussian noise of standard deviation `noise_std`, broadcast to `shape`, from (seed, window) alone."""
    rng = np.random.default_rng([seed, _NOISE, window])
    return np.asarray(rng.standard_normal(shape) * np.asarray(noise_std), dtype=np.float64)


def _filled(place: str, defaults: dict[str, float], given: Mapping[str, float]) -> dict[str, float]:
    mistakes = []
    for name, value in given.items():
        if name not in defaults:
            problem = "the model names nothing like that"
            mistakes.append(Mistake(f"{place}.{name}", problem, nearest(name, defaults)))
        elif not np.isfinite(value):
            mistakes.append(Mistake(f"{place}.{name}", f"the value {value} is not finite", "write a number"))
    if mistakes:
        raise InputError(mistakes)
    return {name: float(given.get(name, default)) for name, default in defaults.items()}


def _signals(model: Model, stimulus: Mapping[str, Input] | Input | None, t: Array) -> dict[str, Signal]:
    """Every stimulus of the model as a signal."""
    names = model.stimulus_names
    given: Mapping[str, Any]
    if stimulus is None:
        given = {}
    elif isinstance(stimulus, Mapping):
        given = stimulus
    elif len(names) == 1:
        given = {names[0]: stimulus}
    else:
        raise InputError(
            Mistake("twin.stimulus", "it has no name", f"give a table by name ({', '.join(names) or 'none'})")
        )
    mistakes = [
        Mistake(
            f"twin.stimulus.{name}",
            "the model takes no such input",
            f"it takes: {', '.join(names) or 'none'}",
        )
        for name in given
        if name not in names
    ]
    mistakes += [
        Mistake(
            f"twin.stimulus.{name}",
            "it is missing",
            f"say what drives {model.name}, {{ kind = 'constant', … }}",
        )
        for name in names
        if name not in given
    ]
    if mistakes:
        raise InputError(mistakes)
    return {name: _signal(name, given[name], t) for name in names}


def _signal(name: str, value: Any, t: Array) -> Signal:
    if isinstance(value, Signal):
        return value
    if callable(value):
        return Signal(value)
    values = np.asarray(value, dtype=np.float64)
    if values.shape != t.shape:
        remedy = f"give one value a time, {len(t)} of them"
        raise InputError(Mistake(f"twin.stimulus.{name}", f"it has shape {values.shape}", remedy))
    return interpolated(t, values)


def _iterate(model: Model, p: dict[str, float], x: Array, t: Array, inputs: dict[str, Signal]) -> Array:
    """x(n+1) = f(x(n), p, u(n), t(n))."""
    states = np.empty((len(t), model.dimension))
    states[0] = x
    for n in range(len(t) - 1):
        u = {name: signal(t[n]) for name, signal in inputs.items()}
        states[n + 1] = np.array(model(states[n], p, u, t[n]), dtype=np.float64)
    return states


def _integrate(model: Model, p: dict[str, float], x: Array, t: Array, inputs: dict[str, Signal]) -> Array:
    """DOP853 from kink to kink of the stimuli, so that no step crosses one."""
    states = np.empty((len(t), model.dimension))
    states[0] = x
    kinks = _inside((kink for signal in inputs.values() for kink in signal.kinks), t[0], t[-1])
    edges = np.unique(np.concatenate([[t[0]], kinks, [t[-1]]]))
    calls = 0
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        last = np.nextafter(end, begin)

        def rate(time: float, y: Array, begin: float = begin, last: float = last) -> Array:
            nonlocal calls
            calls += 1
            if not np.isfinite(time):  # a step from a slope that is too steep to be squared
                _diverged(model, begin)
            if calls % CALLS_WATCHED == 0 and calls * (t[-1] - t[0]) > CALLS_MOST * (time - t[0]):
                _too_fast(model, time)
            # A signal is continuous from the right: the end of a stretch belongs to the next one.
            u = {name: signal(min(time, last)) for name, signal in inputs.items()}
            return np.array(model(y, p, u, time), dtype=np.float64)

        wanted = (t > begin) & (t <= end)
        at = np.unique(np.append(t[wanted], end))
        solution = solve_ivp(
            rate, (begin, end), x, method="DOP853", t_eval=at, rtol=TOLERANCE, atol=TOLERANCE
        )
        if not solution.success or not np.isfinite(solution.y).all():
            _diverged(model, solution.t[-1] if len(solution.t) else begin)
        states[wanted] = solution.y.T[: int(wanted.sum())]
        x = solution.y[:, -1]
    return states


def _inside(kinks: Iterable[float], begin: float, end: float) -> list[float]:
    return sorted({float(kink) for kink in kinks if begin < kink < end})


def _too_fast(model: Model, time: float) -> None:
    raise InputError(
        Mistake(
            "twin",
            f"{model.name} moves too fast near t = {time:g}: it would take more than 1e8 evaluations",
            "change twin.parameters or twin.stimulus, or write a smaller twin.dt",
        )
    )


def _diverged(model: Model, time: float) -> None:
    raise InputError(
        Mistake(
            "twin",
            f"the states of {model.name} grow without bound near t = {time:g}",
            "change twin.parameters, twin.initial or twin.stimulus so that the model stays finite",
        )
    )
