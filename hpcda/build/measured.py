"""A window of measured data: the columns of a file on a uniform grid, every cell checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.build.grid import Grid, points_inside
from hpcda.build.model import collected
from hpcda.build.times import SampleTimes, sample_times
from hpcda.build.unknowns import unknown_names
from hpcda.data import SHOWN, Table, more, read_table
from hpcda.errors import Mistake
from hpcda.job import Job
from hpcda.job.inputs import DataTable
from hpcda.job.kinds import NoiseColumn
from hpcda.job.mistakes import dotted
from hpcda.models.expression import Expression
from hpcda.models.model import Model

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Columns:
    """The columns that the job names: values and names, by the place of the key that names them."""

    values: dict[str, Array]
    names: dict[str, str]


def measured_window(
    job: Job, entry: DataTable, place: str, model: Model, series: tuple[str, ...], mistakes: list[Mistake]
) -> Grid | None:
    """The window of one [data] table; None, with reasons in `mistakes`, where something is wrong with it."""
    before = len(mistakes)
    steps = job.action.steps_per_sample
    for key in entry.observed:
        collected(mistakes, Expression, key, model.state_names, _at(place, "observed", key))
    mistakes += unknown_names(entry.stimulus, model.stimulus_names, (place, "stimulus"), "stimulus", model)
    mistakes += [
        Mistake(
            _at(place, "stimulus", name), "is missing", f"give the column of {model.name}'s stimulus {name}"
        )
        for name in model.stimulus_names
        if name not in entry.stimulus
    ]
    table: Table | None = collected(mistakes, read_table, job.path(entry.file), f"{place}.file")
    if table is None:
        return None
    columns = _columns(job, entry, place, series, table, mistakes)
    if f"{place}.time" not in columns.values:
        return None
    times: SampleTimes | None = collected(
        mistakes, sample_times, entry, place, table, columns.values[f"{place}.time"]
    )
    if times is None:
        return None
    grid: tuple[int, int] | None = collected(
        mistakes, points_inside, times.samples, entry.hold_back, steps, place
    )
    mistakes += _holes(entry, place, table, columns, times)
    mistakes += _noise_mistakes(entry, place, table, columns, times)
    if grid is None or len(mistakes) > before:
        return None
    inside, total = grid
    at = times.positions * steps
    data: dict[str, Array] = {}
    noise: dict[str, Array] = {}
    for key in entry.observed:
        values = columns.values[_at(place, "observed", key)][times.rows]
        data[key] = np.full(total, np.nan)
        data[key][at] = values
        std = _noise(entry, place, key, columns)
        if isinstance(std, float):
            noise[key] = np.full(total, std)
        else:
            std = std[times.rows]
            noise[key] = np.full(
                total, float(np.mean(std[np.isfinite(values)])) if np.isfinite(values).any() else 1.0
            )
            noise[key][at[np.isfinite(values)]] = std[np.isfinite(values)]
    known = [_at(place, "stimulus", name) for name in model.stimulus_names]
    known += [dotted(("model", "parameters", name, "series")) for name in series]
    points = np.arange(total)
    return Grid(
        times.first + times.step / steps * points,
        data,
        noise,
        np.column_stack(
            [np.zeros((total, 0)), *(np.interp(points, at, columns.values[k][times.rows]) for k in known)]
        ),
        inside,
    )


def _at(place: str, table: str, key: str) -> str:
    """The place of one key of a table in the job."""
    return f"{place}.{dotted((table, key))}"


def _columns(
    job: Job, entry: DataTable, place: str, series: tuple[str, ...], table: Table, mistakes: list[Mistake]
) -> _Columns:
    """The columns that the job names."""
    wanted: dict[str, str | int] = {f"{place}.time": entry.time}
    wanted |= {_at(place, "observed", key): column for key, column in entry.observed.items()}
    wanted |= {_at(place, "stimulus", key): column for key, column in entry.stimulus.items()}
    wanted |= _noise_columns(entry, place)
    for name in series:
        column = job.model.parameters[name].series
        if column is not None:
            wanted[dotted(("model", "parameters", name, "series"))] = column
    found: dict[str, Array] = {}
    for key, column in wanted.items():
        values = collected(mistakes, table.numbers, column, key)
        if values is not None:
            found[key] = values
    lengths = {len(values) for values in found.values()}
    if len(lengths) > 1:
        longest = ", ".join(f"{key}: {len(values)}" for key, values in found.items())
        mistakes.append(
            Mistake(
                f"{place}.file", f"its columns differ in length ({longest})", "give columns of one length"
            )
        )
        return _Columns({}, {})
    return _Columns(found, {key: table.key(wanted[key], key) for key in found})


def _noise_columns(entry: DataTable, place: str) -> dict[str, str | int]:
    std = entry.noise_std
    if isinstance(std, NoiseColumn):
        return {f"{place}.noise_std": std.column}
    if not isinstance(std, dict):
        return {}
    return {_at(place, "noise_std", k): one.column for k, one in std.items() if isinstance(one, NoiseColumn)}


def _noise(entry: DataTable, place: str, key: str, columns: _Columns) -> float | Array | Any:
    """Standard deviation of one measured quantity: a number, or one value a row."""
    std = entry.noise_std
    one = std[key] if isinstance(std, dict) else std
    if not isinstance(one, NoiseColumn):
        return float(one)
    return columns.values.get(_at(place, "noise_std", key) if isinstance(std, dict) else f"{place}.noise_std")


def _holes(
    entry: DataTable, place: str, table: Table, columns: _Columns, times: SampleTimes
) -> list[Mistake]:
    """Empty cells where there may be none."""
    mistakes: list[Mistake] = []
    observed = [_at(place, "observed", key) for key in entry.observed]
    noise = _noise_columns(entry, place)
    for key, values in columns.values.items():
        empty = np.flatnonzero(np.isnan(values[times.rows]))
        if key in noise or key == f"{place}.time" or not len(empty) or (key in observed and entry.gaps):
            continue
        if key in observed:
            remedy = f"fill it, or write gaps = true in [{place}] if that is meant"
        else:
            remedy = "fill it: a known series needs a value in every row"
        name = columns.names[key]
        wrong = [
            Mistake(table.where(int(times.rows[k]), name), f"is empty ({key})", remedy) for k in empty[:SHOWN]
        ]
        mistakes += more(wrong, len(empty))
    present = [key for key in observed if key in columns.values]
    inside = times.positions < times.samples - entry.hold_back
    if len(present) == len(observed) and not any(
        np.isfinite(columns.values[k][times.rows][inside]).any() for k in present
    ):
        mistakes.append(
            Mistake(
                f"{place}.observed", "there is not one datum in the window", "give data, or another range"
            )
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
        wrong = times.rows[np.isfinite(values[times.rows]) & ~(std[times.rows] > 0.0)]
        if len(wrong) and source not in mistakes:
            name = columns.names[source]
            mistakes[source] = [
                Mistake(
                    table.where(int(row), name),
                    "is empty beside a datum" if np.isnan(std[row]) else f"{std[row]:g} is not above 0",
                    f"write the standard deviation of the noise ({source})",
                )
                for row in wrong[:SHOWN]
            ]
            counts[source] = len(wrong)
    return [one for source, found in mistakes.items() for one in more(found, counts[source])]
