"""A window of synthetic data: a known truth, measured partially and with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcda.build.doubts import looks_missing, too_large
from hpcda.build.grid import Grid, points_inside
from hpcda.build.model import collected, moved, tried_model
from hpcda.build.noise import deviations, loss_of, noise_mistakes, scale_of, sensor_names
from hpcda.build.truth import Truth
from hpcda.build.units import time_unit_note
from hpcda.build.unknowns import unknown_names
from hpcda.data import read_table
from hpcda.errors import InputError, Mistake
from hpcda.job import Job
from hpcda.job.inputs import TwinTable
from hpcda.job.kinds import Chaotic, FromFile, ScaleTable, Shape, Sine, Steps
from hpcda.job.mistakes import dotted
from hpcda.models.expression import Expression
from hpcda.models.model import Model
from hpcda.models.pointwise import at_each_time
from hpcda.models.signals import Signal, interpolated, make_signal
from hpcda.models.twin import initial_state, noise, parameter_values, simulate, spin_up
from hpcda.patience import Patience

Array = npt.NDArray[np.float64]
MOST_TURNS, MOST_SPIN_UP = 1e5, 1e7
_INITIAL = 0x696E6974  # separates the random numbers of the beginning from those of the noise


def twin_window(
    job: Job, entry: TwinTable, number: int, place: str, model: Model, mistakes: list[Mistake]
) -> tuple[Grid, Truth] | None:
    """The window of a [twin] table and its truth; None, with the reasons in `mistakes`, where it is wrong."""
    before = len(mistakes)
    true = model if entry.model is None else collected(mistakes, _true_model, job, entry, place)
    steps = job.steps
    grid: tuple[int, int] | None = collected(
        mistakes,
        points_inside,
        entry.samples + entry.hold_back,
        entry.hold_back,
        steps,
        f"{place}.samples",
    )
    if true is None:
        return None
    _name_mistakes(job, entry, place, model, true, mistakes)
    spacing = entry.dt
    if spacing is None:
        spacing = float(steps)
        if true.kind == "flow":
            mistakes.append(
                Mistake(
                    f"{place}.dt", "is missing", "give the time from one sample to the next, such as 0.025"
                )
            )
    if entry.spin_up > MOST_SPIN_UP * spacing / steps:
        problem = f"{entry.spin_up:g} is more than {MOST_SPIN_UP:g} steps of the path"
        mistakes.append(Mistake(f"{place}.spin_up", problem, "give a shorter time"))
    expressions: dict[str, Expression] = {}
    sensors = sensor_names(job, model)
    mistakes += noise_mistakes(entry, place)
    for key in entry.observed:
        at = f"{place}.{dotted(('observed', key))}"
        known = (*true.parameter_names, *sensors)
        expression = collected(mistakes, Expression, key, true.state_names, at, known)
        if expression is not None:
            expressions[key] = expression
            missing = [n for n in expression.parameters if n in sensors and n not in entry.parameters]
            mistakes += [
                Mistake(f"{place}.parameters", f"gives no true value of {name}, which appears in {key}",
                        f"add, for example, {name} = 1.0")
                for name in missing
            ]  # fmt: skip
            if true is not model:
                known = (*model.parameter_names, *sensors)
                collected(mistakes, Expression, key, model.state_names, at, known)
    if grid is None or len(mistakes) > before:
        return None
    inside, total = grid
    t = spacing / steps * np.arange(total)
    signals: dict[str, Signal] | None = collected(mistakes, _signals, job, entry, place, t, true)
    if signals is None:
        return None
    driven = {name: signals[name] for name in true.stimulus_names}
    given = true.expanded(entry.parameters)
    own = {name: value for name, value in given.items() if name in true.parameter_names}
    values = {name: value for name, value in given.items() if name in sensors}
    values |= parameter_values(true, own)
    start = _initial(entry, number, true)
    states: Array | None = collected(mistakes, _states, entry, place, true, own, start, t, driven)
    if states is None:
        return None
    by_name = {name: states[:, k] for k, name in enumerate(true.state_names)}
    data, std = _measure(entry, number, expressions, true, states, values, steps)
    wrong = [key for key, measured in data.items() if not np.isfinite(measured[::steps]).all()]
    mistakes += [
        Mistake(
            f"{place}.{dotted(('observed', key))}",
            "is not finite on the true path",
            "measure another quantity",
        )
        for key in wrong
    ]
    if wrong:
        return None
    driven_by = [np.array([signals[name](time) for time in t]) for name in model.stimulus_names]
    absent = np.full(total, np.nan)
    truth = Truth(t, np.column_stack([by_name.get(name, absent) for name in model.state_names]), values)
    return Grid(t, data, std, np.column_stack([np.zeros((total, 0)), *driven_by]), inside), truth


def _true_model(job: Job, entry: TwinTable, place: str) -> Model:
    if entry.model is None:
        raise AssertionError
    try:
        return tried_model(entry.model.name, entry.model.options, Path(job.folder), job.given.models)
    except InputError as error:
        raise moved(error, "model", f"{place}.model") from None


def _name_mistakes(
    job: Job, entry: TwinTable, place: str, model: Model, true: Model, mistakes: list[Mistake]
) -> None:
    """Names that neither model has, and stimuli that are missing."""
    known = (*true.parameter_names, *sensor_names(job, model))
    mistakes += unknown_names(
        true.expanded(entry.parameters), known, (place, "parameters"), "parameter", true
    )
    if isinstance(entry.initial, dict):
        mistakes += unknown_names(entry.initial, true.state_names, (place, "initial"), "state", true)
    needed = dict.fromkeys((*model.stimulus_names, *true.stimulus_names))
    mistakes += unknown_names(entry.stimulus, needed, (place, "stimulus"), "stimulus", true)
    mistakes += [
        Mistake(
            f"{place}.{dotted(('stimulus', name))}",
            "is missing",
            'define it, such as { kind = "constant", value = 10.0 }, or name a file',
        )
        for name in needed
        if name not in entry.stimulus
    ]


def _initial(entry: TwinTable, number: int, true: Model) -> Array:
    if entry.initial != "random":
        return initial_state(true, entry.initial)
    ranges = np.array([state.range for state in true.states])
    rng = np.random.default_rng([entry.seed, _INITIAL, number])
    return np.asarray(rng.uniform(ranges[:, 0], ranges[:, 1]), dtype=np.float64)


def _states(
    entry: TwinTable,
    place: str,
    true: Model,
    parameters: dict[str, float],
    start: Array,
    t: Array,
    driven: dict[str, Signal],
) -> Array:
    """True states at times t, shape (M, D), after the spin-up, which ends at t[0] = 0."""
    try:
        spacing = float(t[1] - t[0])
        patience = Patience(f"the twin of {true.name}", entry.max_seconds)
        warm = spin_up(true, parameters, start, entry.spin_up, driven, dt=spacing, patience=patience)
        return simulate(true, parameters, warm, t, driven, patience=patience)
    except InputError as error:
        raise moved(error, "twin", place) from None


def _measure(
    entry: TwinTable,
    number: int,
    expressions: dict[str, Expression],
    true: Model,
    states: Array,
    parameters: dict[str, float],
    steps: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Noisy data at every sample, NaN between them, and the scales of their noise."""
    total = len(states)
    levels = np.array([_true_scale(entry, key) for key in expressions])
    samples = states[::steps]
    known = np.tile(list(parameters.values()), (len(samples), 1))
    names = (*true.state_names, *parameters)
    exact = at_each_time(list(expressions.values()), names, np.hstack([samples, known]))
    measured = exact + noise(exact.shape, np.nan_to_num(levels), entry.seed, number)
    data = {key: np.full(total, np.nan) for key in expressions}
    scales: dict[str, Array] = {}
    for column, key in enumerate(expressions):
        loss, options = loss_of(entry, key)
        values, level = measured[:, column], np.full(len(samples), levels[column])
        if loss.name != "gaussian":
            rng = np.random.default_rng((entry.seed, number, column))
            values = loss.draw(rng, exact[:, column], level, options)
        data[key][::steps] = values
        given = deviations(entry, key, values, level)
        scales[key] = np.full(total, given[0])
        scales[key][::steps] = given
    return data, scales


def _true_scale(entry: TwinTable, key: str) -> float:
    scale = scale_of(entry, key)
    if isinstance(scale, ScaleTable):
        assert scale.truth is not None
        return scale.truth
    return scale if isinstance(scale, float) else np.nan


def _signals(job: Job, entry: TwinTable, place: str, t: Array, true: Model) -> dict[str, Signal]:
    """Every stimulus as a function of time."""
    mistakes: list[Mistake] = []
    signals: dict[str, Signal] = {}
    for name, shape in entry.stimulus.items():
        at = f"{place}.{dotted(('stimulus', name))}"
        span = (-entry.spin_up, float(t[-1]))
        if isinstance(shape, FromFile):
            signal = collected(mistakes, _from_file, job, shape, at, t, true)
        elif span[1] - span[0] > MOST_TURNS * _timescale(shape):
            key = {"steps": "width", "sine": "period"}.get(shape.kind, "timescale")
            problem = f"{_timescale(shape):g} is too short for the twin's {span[1] - span[0]:g}"
            mistakes.append(Mistake(f"{at}.{key}", problem, "give a longer one, in the model's time unit"))
            continue
        else:
            options = shape.model_dump(exclude={"kind"}, exclude_none=True)
            signal = collected(mistakes, make_signal, shape.kind, options, span)
        if signal is not None:
            signals[name] = signal
    if mistakes:
        raise InputError(mistakes)
    return signals


def _timescale(shape: Shape) -> float:
    """Time in which a stimulus changes."""
    match shape:
        case Steps(width=time) | Chaotic(timescale=time) | Sine(period=time):
            return time
    return np.inf


def _from_file(job: Job, shape: FromFile, place: str, t: Array, true: Model) -> Signal:
    table = read_table(job.path(shape.file), f"{place}.file", shape.time, (shape.column,), shape.header)
    name = table.key(shape.column, f"{place}.column")
    times = table.values(shape.time, f"{place}.time", needed=True).numbers
    read = table.values(shape.column, f"{place}.column", shape.missing or (), needed=True)
    values = read.numbers
    time_unit_note(table, table.key(shape.time, place), true, f"{place}.time")
    for column, cells in ((table.key(shape.time, place), times), (name, values)):
        if np.isnan(cells).any():
            row = int(np.flatnonzero(np.isnan(cells))[0])
            meant = column == name and read.meant[row]
            raise InputError(
                Mistake(
                    table.where(row, column),
                    "stands for a missing value" if meant else "is empty",
                    "a stimulus needs a value in every row",
                )
            )
    if len(times) != len(values):
        problem = f"its columns differ in length (time: {len(times)}, column: {len(values)})"
        raise InputError(Mistake(f"{place}.file", problem, "give columns of equal length"))
    marks = read.marks if shape.missing is None else read.marks[:0]
    mistakes = looks_missing(table, name, marks, values, place, needed=True)
    mistakes += too_large(table, name, values, np.arange(len(values)))
    if mistakes:
        raise InputError(mistakes)
    if len(times) < 2 or (np.diff(times) <= 0.0).any():
        raise InputError(Mistake(f"{place}.time", "the times do not increase", "sort the rows by time"))
    slack = 1e-9 * (times[-1] - times[0])
    if times[0] > t[0] + slack or times[-1] < t[-1] - slack:
        problem = f"{table.shown} covers {times[0]:g} to {times[-1]:g}, the twin {t[0]:g} to {t[-1]:g}"
        raise InputError(Mistake(f"{place}.file", problem, "give the stimulus for all of the twin's times"))
    return interpolated(times, values)
