"""A window of measured data: columns of a file on a uniform time grid, every cell checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.discretizations import SCHEMES, default
from hpcda.build.doubts import (
    bound_note,
    far_note,
    looks_missing,
    noise_notes,
    small_note,
    too_large,
)
from hpcda.build.grid import Grid, points_inside, refuse_too_many
from hpcda.build.model import collected
from hpcda.build.noise import deviations, impossible, noise_mistakes, scale_of, sensor_names
from hpcda.build.times import SampleTimes, sample_times
from hpcda.build.units import time_unit_note, unit_note
from hpcda.build.unknowns import FREE, unknown_names
from hpcda.data import SHOWN, Table, Values, more, read_table
from hpcda.data.arrays import RawArray, array_table
from hpcda.errors import InputError, Mistake
from hpcda.job import Job
from hpcda.job.inputs import DataTable
from hpcda.job.kinds import LARGEST, NoiseColumn
from hpcda.job.mistakes import dotted
from hpcda.models.expression import Expression
from hpcda.models.model import Model
from hpcda.source import Source

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Columns:
    """The columns that the job names, by the place of the key that names them.

    Attributes:
        values: Their numbers.
        names: Their names.
        read: Their numbers, and what is known of them.
    """

    values: dict[str, Array]
    names: dict[str, str]
    read: dict[str, Values]


def measured_window(
    job: Job, entry: DataTable, place: str, model: Model, series: tuple[str, ...], mistakes: list[Mistake]
) -> Grid | None:
    """The window of one [data] table; None, with reasons in `mistakes`, where something is wrong with it."""
    before = len(mistakes)
    steps = job.steps
    known_names = (*model.parameter_names, *sensor_names(job, model))
    mistakes += noise_mistakes(entry, place)
    for key in entry.observed:
        collected(mistakes, Expression, key, model.state_names, _at(place, "observed", key), known_names)
    mistakes += unknown_names(entry.stimulus, model.stimulus_names, (place, "stimulus"), "stimulus", model)
    mistakes += [
        Mistake(
            _at(place, "stimulus", name), "is missing", f"give the column of {model.name}'s stimulus {name}"
        )
        for name in model.stimulus_names
        if name not in entry.stimulus
    ]
    wanted = _wanted(job, entry, place, series)
    table: Table | None = collected(mistakes, _read, job, entry, f"{place}.file", tuple(wanted.values()))
    if table is None:
        return None
    columns = _columns(entry, place, wanted, table, mistakes)
    if f"{place}.time" not in columns.values:
        return None
    times: SampleTimes | None = collected(
        mistakes, sample_times, entry, place, table, columns.values[f"{place}.time"]
    )
    if times is None:
        return None
    span = _span(job, model)
    grid: tuple[int, int] | None = collected(
        mistakes, _inside, times, entry.hold_back, steps, span, model, place
    )
    mistakes += _doubtful(entry, place, table, columns, times)
    mistakes += _holes(entry, place, table, columns, times)
    mistakes += _noise_mistakes(entry, place, table, columns, times)
    mistakes += _impossible(entry, place, table, columns, times)
    notes = _notes(job, entry, place, table, columns, times, model, mistakes)
    if grid is None or len(mistakes) > before:
        return None
    inside, total = grid
    at, t = times.points(steps, span)
    data: dict[str, Array] = {}
    noise: dict[str, Array] = {}
    for key in entry.observed:
        values = columns.values[_at(place, "observed", key)][times.rows]
        data[key] = np.full(total, np.nan)
        data[key][at] = values
        std = _noise(entry, place, key, columns)
        rows = np.full(len(values), std) if isinstance(std, float) else std[times.rows]
        rows, seen = deviations(entry, key, values, rows), np.isfinite(values)
        noise[key] = np.full(total, float(np.mean(rows[seen])) if seen.any() else 1.0)
        if isinstance(std, float) and isinstance(scale_of(entry, key), float):
            noise[key][:] = std
        noise[key][at[seen]] = rows[seen]
    numbers = np.full(total, -1, dtype=np.int64)
    numbers[at] = np.array(table.lines, dtype=np.int64)[times.rows] if table.lines else times.rows
    read = tuple(columns.names[_at(place, "observed", key)] for key in entry.observed)
    known = [_at(place, "stimulus", name) for name in model.stimulus_names]
    known += [dotted(("model", "parameters", name, "series")) for name in series]
    points = np.arange(total)
    return Grid(
        t,
        data,
        noise,
        np.column_stack(
            [np.zeros((total, 0)), *(np.interp(points, at, columns.values[k][times.rows]) for k in known)]
        ),
        inside,
        notes,
        Source(table.shown, table.counted_by, numbers, read),
    )


def _span(job: Job, model: Model) -> int:
    """Steps of an interval of the discretization, 1 where it is not known."""
    name = job.action.discretization
    scheme = SCHEMES.get(default(model.kind) if name == "auto" else name)
    return scheme.span if scheme is not None else 1


def _inside(
    times: SampleTimes, hold_back: int, steps: int, span: int, model: Model, place: str
) -> tuple[int, int]:
    """See `points_inside`.

    Raises:
        InputError: See there; or the times of a map are uneven.
    """
    if times.uneven is None:
        return points_inside(times.samples, hold_back, steps, place)
    if model.kind == "map":
        problem = f"{model.name} is a map: all its iterations take the same time"
        raise InputError(Mistake(f"{place}.uneven", problem, "remove it, and give sample_step"))
    points_inside(times.samples, hold_back, 1, place)
    counts = times.between(steps, span)
    refuse_too_many(int(counts.sum()) + 1, place)
    return int(counts[: times.samples - hold_back - 1].sum()) + 1, int(counts.sum()) + 1


def _read(job: Job, entry: DataTable, place: str, wanted: tuple[str | int, ...]) -> Table:
    """The columns of a window: of a file, or of arrays that the job was given."""
    if entry.file in job.given.arrays:
        units = job.given.units.get(entry.file, {})
        arrays = [
            RawArray(name, values, {"units": units[name]} if name in units else {})
            for name, values in job.given.arrays[entry.file].items()
        ]
        return array_table(Path(entry.file), place, arrays, {}, entry.time)
    return read_table(job.path(entry.file), place, entry.time, wanted, entry.header)


def _at(place: str, table: str, key: str) -> str:
    """The place of one key of a table in the job."""
    return f"{place}.{dotted((table, key))}"


def _wanted(job: Job, entry: DataTable, place: str, series: tuple[str, ...]) -> dict[str, str | int]:
    """Place of every key of the job that names a column -> that column."""
    wanted: dict[str, str | int] = {f"{place}.time": entry.time}
    wanted |= {_at(place, "observed", key): column for key, column in entry.observed.items()}
    wanted |= {_at(place, "stimulus", key): column for key, column in entry.stimulus.items()}
    wanted |= _noise_columns(entry, place)
    for name in series:
        column = job.model.parameters[name].series
        if column is not None:
            wanted[dotted(("model", "parameters", name, "series"))] = column
    return wanted


def _columns(
    entry: DataTable, place: str, wanted: dict[str, str | int], table: Table, mistakes: list[Mistake]
) -> _Columns:
    """The columns that the job names."""
    found: dict[str, Values] = {}
    for key, column in wanted.items():
        is_time = key == f"{place}.time"
        marks = () if is_time or entry.missing is None else entry.missing
        values = collected(mistakes, table.values, column, key, marks, _needed(place, key))
        if values is not None:
            found[key] = values
    lengths = {len(one.numbers) for one in found.values()}
    if len(lengths) > 1:
        longest = ", ".join(f"{key}: {len(one.numbers)}" for key, one in found.items())
        shapes = "".join(
            f"; {name or 'the array'} is {' × '.join(map(str, np.shape(one.stored)))}"
            for name, one in table.matrices.items()
        )
        problem = f"its columns differ in length ({longest}{shapes})"
        mistakes.append(Mistake(f"{place}.file", problem, "give columns of equal length"))
        return _Columns({}, {}, {})
    return _Columns(
        {key: one.numbers for key, one in found.items()},
        {key: table.key(wanted[key], key) for key in found},
        found,
    )


def _noise_columns(entry: DataTable, place: str) -> dict[str, str | int]:
    std = entry.noise_std
    if isinstance(std, NoiseColumn):
        return {f"{place}.noise_std": std.column}
    if not isinstance(std, dict):
        return {}
    return {_at(place, "noise_std", k): one.column for k, one in std.items() if isinstance(one, NoiseColumn)}


def _noise(entry: DataTable, place: str, key: str, columns: _Columns) -> float | Array | Any:
    """Standard deviation of one measured quantity: a number, NaN where none is given, or one value a row."""
    std, one = entry.noise_std, scale_of(entry, key)
    if not isinstance(one, NoiseColumn):
        return one if isinstance(one, float) else np.nan
    return columns.values.get(_at(place, "noise_std", key) if isinstance(std, dict) else f"{place}.noise_std")


def _needed(place: str, key: str) -> bool:
    """Whether the column of a key needs a value in every row, as times and known series do."""
    return not key.startswith((f"{place}.observed", f"{place}.noise_std"))


def _doubtful(
    entry: DataTable, place: str, table: Table, columns: _Columns, times: SampleTimes
) -> list[Mistake]:
    """Numbers that look like marks of missing values, and those that are too large for the action."""
    mistakes: list[Mistake] = []
    reported: set[str] = set()
    for key, one in columns.read.items():
        name = columns.names[key]
        if key == f"{place}.time" or name in reported:
            continue
        reported.add(name)
        marks = one.marks[np.isin(one.marks, times.rows)] if entry.missing is None else one.marks[:0]
        mistakes += looks_missing(table, name, marks, one.numbers, place, _needed(place, key))
        mistakes += too_large(table, name, one.numbers, np.setdiff1d(times.rows, marks))
    return mistakes


def _notes(
    job: Job,
    entry: DataTable,
    place: str,
    table: Table,
    columns: _Columns,
    times: SampleTimes,
    model: Model,
    mistakes: list[Mistake],
) -> tuple[str, ...]:
    """What was applied to the data, and what is odd about them, one sentence each."""
    notes: list[str] = []
    for key, one in columns.read.items():
        notes += [f"{table.shown}, column {columns.names[key]!r}: {note}." for note in one.notes]
    time = columns.names[f"{place}.time"]
    notes += [collected(mistakes, time_unit_note, table, time, model, f"{place}.time") or ""]
    units = {state.name: state.unit for state in model.states}
    units |= {stimulus.name: stimulus.unit for stimulus in model.stimuli}
    states = {state.name: state for state in model.states}
    keys = [("observed", name) for name in entry.observed] + [("stimulus", name) for name in entry.stimulus]
    for kind, name in keys:
        at = _at(place, kind, name)
        if at in columns.names and name in units:
            notes += [unit_note(table, columns.names[at], name, units[name])]
    for name in entry.observed:
        at = _at(place, "observed", name)
        std = _noise(entry, place, name, columns)
        if at not in columns.read or std is None:
            continue
        column, one = columns.names[at], columns.read[at]
        values = one.numbers
        spread = np.broadcast_to(np.asarray(std, dtype=np.float64), values.shape)
        notes += small_note(table, column, values, times.rows)
        notes += noise_notes(table, column, name, values[times.rows], spread[times.rows], one.resolution)
        if name in states:
            given = job.model.states.get(name)
            bounds = given.bounds if given is not None and given.bounds is not None else FREE
            notes += bound_note(table, column, values, spread, times.rows, name, bounds)
            notes += far_note(table, column, values, times.rows, name, *states[name].range)
    return tuple(dict.fromkeys(note for note in notes if note))


def _holes(
    entry: DataTable, place: str, table: Table, columns: _Columns, times: SampleTimes
) -> list[Mistake]:
    """Empty cells where there may be none."""
    mistakes: list[Mistake] = []
    observed = [_at(place, "observed", key) for key in entry.observed]
    noise = _noise_columns(entry, place)
    for key, values in columns.values.items():
        empty = np.flatnonzero(np.isnan(values[times.rows]))
        meant = columns.read[key].meant[times.rows]
        if key in observed:
            empty = empty[~meant[empty]]
        if key in noise or key == f"{place}.time" or not len(empty) or (key in observed and entry.gaps):
            continue
        if key in observed:
            remedy = f"fill it, or write gaps = true in [{place}] (in Python gaps=True) if this is intended"
        else:
            remedy = "fill it: a known series needs a value in every row"
        name = columns.names[key]
        wrong = [
            Mistake(
                table.where(int(times.rows[k]), name),
                f"{'stands for a missing value' if meant[k] else 'is empty'} ({key})",
                remedy,
            )
            for k in empty[:SHOWN]
        ]
        mistakes += more(wrong, len(empty))
    present = [key for key in observed if key in columns.values]
    inside = times.positions < times.samples - entry.hold_back
    if len(present) == len(observed) and not any(
        np.isfinite(columns.values[k][times.rows][inside]).any() for k in present
    ):
        mistakes.append(
            Mistake(f"{place}.observed", "the window contains no data", "give data, or choose another range")
        )
    return mistakes


def _noise_mistakes(
    entry: DataTable, place: str, table: Table, columns: _Columns, times: SampleTimes
) -> list[Mistake]:
    """Data whose standard deviation is empty or not above 0."""
    mistakes: dict[str, list[Mistake]] = {}
    counts: dict[str, int] = {}
    for key in entry.observed:
        std, values = _noise(entry, place, key, columns), columns.values.get(_at(place, "observed", key))
        if std is None or values is None or isinstance(std, float):
            continue
        source = _at(place, "noise_std", key) if isinstance(entry.noise_std, dict) else f"{place}.noise_std"
        usable = (std[times.rows] >= 1.0 / LARGEST) & (std[times.rows] <= LARGEST)
        wrong = times.rows[np.isfinite(values[times.rows]) & ~usable]
        if len(wrong) and source not in mistakes:
            name = columns.names[source]
            mistakes[source] = [
                Mistake(
                    table.where(int(row), name),
                    _wrong_noise(float(std[row])),
                    f"write the standard deviation of the noise ({source})",
                )
                for row in wrong[:SHOWN]
            ]
            counts[source] = len(wrong)
    return [one for source, found in mistakes.items() for one in more(found, counts[source])]


def _impossible(
    entry: DataTable, place: str, table: Table, columns: _Columns, times: SampleTimes
) -> list[Mistake]:
    """Data that the loss of their quantity rules out, such as half a count."""
    mistakes: list[Mistake] = []
    for key in entry.observed:
        at = _at(place, "observed", key)
        if at not in columns.values:
            continue
        values = columns.values[at]
        wrong, what = impossible(entry, key, values[times.rows])
        rows = times.rows[wrong]
        found = [
            Mistake(table.where(int(row), columns.names[at]), f"is {values[row]:g}, but {what}", "mend it")
            for row in rows[:SHOWN]
        ]
        mistakes += more(found, len(rows))
    return mistakes


def _wrong_noise(std: float) -> str:
    """What is wrong with a standard deviation."""
    if np.isnan(std):
        return "is empty although its data value is not"
    if std <= 0.0:
        return f"{std:g} is not above 0"
    return f"{std:g} is too {'large' if std > 1.0 else 'small'} to be squared"
