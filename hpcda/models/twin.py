"""Twin experiments: synthetic data from a model whose states and parameters are known.

States come from `hpcda.models.flow`, to a relative error of 1e-12 a step (1e-11 where the flow is stiff), and
are the same bits on every processor, however chaotic the model. Not promised: functions of time that a caller
gives as a stimulus, constants that a model's own Python computes with NumPy's functions, and the last bit of
one in about 4,000 numbers of the noise, which comes from the C library's logarithm (the tail of the method of
NumPy, the ziggurat).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.models.flow import LIMIT, Course, End, Flow
from hpcda.models.model import Model
from hpcda.models.signals import Signal, interpolated
from hpcda.names import nearest
from hpcda.patience import Patience

Array = npt.NDArray[np.float64]
Input = Signal | Callable[[float], float] | npt.ArrayLike

_NOISE = 0x7477696E  # separates the random numbers of the noise from those of the starts


def parameter_values(model: Model, parameters: Mapping[str, float] | None = None) -> dict[str, float]:
    """Values of all parameters of the model by name: those given, and defaults for the others.

    Raises:
        InputError: A name that the model does not have, or a value that is not finite.
    """
    return _filled("twin.parameters", model.defaults, parameters or {})


def initial_state(model: Model, initial: Mapping[str, float] | None = None) -> Array:
    """Initial states of synthetic data, shape (D,): those given, and `State.initial` for the others.

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
    *,
    patience: Patience | None = None,
) -> Array:
    """States of the model at given times.

    Args:
        model: A flow or a map.
        parameters: Values by name; the model's defaults for the others.
        x0: States at the first time, shape (D,).
        t: Times, shape (N,), increasing; for a map, one iteration apart.
        stimulus: By name: a `Signal`, a function of time, or an array of values at `t`, shape (N,), that is
            interpolated linearly between them. Where the model has one stimulus it may stand without a name.
        patience: Tells of a long integration and ends it; 60 s where it is not given.

    Returns:
        States, shape (N, D), the first row being `x0`.

    Raises:
        InputError: Unknown names, wrong shapes, a missing stimulus, states that grow without bound, equations
            that cannot be traced or integrated, or an integration that takes too long.
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
                f"give one value for each: {names}",
            )
        )
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0.0).any():
        raise InputError(
            Mistake("twin.samples", "the times do not increase", "give times in increasing order")
        )
    inputs = _signals(model, stimulus, times)
    if model.kind == "map":
        stops = times
    else:
        kinks = [kink for signal in inputs.values() for kink in signal.kinks]
        inside = [kink for kink in kinks if times[0] < kink < times[-1]]
        stops = np.unique(np.concatenate([times, np.array(inside, dtype=np.float64)]))
    patience = patience or Patience(f"the twin of {model.name}", LIMIT)
    signals = tuple(inputs.values())

    def known(time: float) -> list[float]:
        return [signal(time) for signal in signals]

    course = Flow(model, tuple(inputs)).run(start, stops, p, known if signals else None, patience=patience)
    if course.end is not End.REACHED:
        _ended(model, course, patience)
    return course.states[np.isin(stops, times)]


def spin_up(
    model: Model,
    parameters: Mapping[str, float] | None,
    x0: npt.ArrayLike,
    duration: float,
    stimulus: Mapping[str, Input] | Input | None = None,
    *,
    dt: float = 1.0,
    end: float = 0.0,
    patience: Patience | None = None,
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
        patience: As for `simulate`.

    Raises:
        InputError: As for `simulate`, or a duration below 0.
    """
    if not 0.0 <= duration < np.inf:
        raise InputError(
            Mistake("twin.spin_up", f"{duration} is not a duration", "write 0 or a positive time")
        )
    if duration == 0.0:
        return np.array(x0, dtype=np.float64)
    steps = max(1, round(duration / dt)) if model.kind == "map" else 1
    span = steps * dt if model.kind == "map" else duration
    times = np.linspace(end - span, end, steps + 1)
    states = simulate(model, parameters, x0, times, stimulus, patience=patience)
    return np.array(states[-1])


def noise(shape: tuple[int, ...], noise_std: npt.ArrayLike, seed: int, window: int = 0) -> Array:
    """Gaussian noise of standard deviation `noise_std`, broadcast to `shape`, from (seed, window) alone."""
    rng = np.random.default_rng([seed, _NOISE, window])
    return np.asarray(rng.standard_normal(shape) * np.asarray(noise_std), dtype=np.float64)


def _filled(place: str, defaults: dict[str, float], given: Mapping[str, float]) -> dict[str, float]:
    mistakes = []
    for name, value in given.items():
        if name not in defaults:
            problem = "the model has nothing of that name"
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
            Mistake(
                "twin.stimulus",
                "it has no name",
                f"give a table with the keys ({', '.join(names) or 'none'})",
            )
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
        remedy = f"give one value per time, {len(t)} in all"
        raise InputError(Mistake(f"twin.stimulus.{name}", f"it has shape {values.shape}", remedy))
    return interpolated(t, values)


def _ended(model: Model, course: Course, patience: Patience) -> NoReturn:
    """Refuse a twin whose integration came to no end."""
    near = f"near t = {course.time:g}"
    calmer = "change twin.parameters, twin.initial or twin.stimulus"
    smooth = (
        "where its equations jump there (np.where, sign, floor), smooth the jump, as np.tanh(x/width) "
        "smooths sign(x)"
    )
    match course.end:
        case End.UNBOUND:
            problem = f"the states of {model.name} grow without bound {near}"
            remedy = f"{calmer} so that the model stays finite"
        case End.FAST:
            problem = f"{model.name} moves too fast {near}: it would take more than 1e7 steps"
            remedy = f"{calmer}, or write a smaller twin.dt; {smooth}"
        case End.LATE:
            problem = f"integrating {model.name} took {patience.limit:g} s and only reached {near}"
            remedy = f"{calmer}, ask for a shorter time, or write a larger twin.max_seconds"
        case _:
            problem = f"{model.name} cannot be integrated {near}: {course.end.value}"
            remedy = f"{calmer} so that the model stays finite; {smooth}"
    raise InputError(Mistake("twin", problem, remedy))
