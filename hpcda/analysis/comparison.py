"""Comparison of several runs: how their jobs differ, and their results."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcda.action.factors import DataLoss
from hpcda.analysis.ended import timing
from hpcda.analysis.network import NetworkResult
from hpcda.analysis.opened import open_run
from hpcda.analysis.rundata import Result
from hpcda.errors import InputError, Mistake
from hpcda.extensions import KEY
from hpcda.formatting import counted
from hpcda.job import load_job
from hpcda.job.changes import flat_tables, plain_tables
from hpcda.job.stored import FILE, stored_tables

if TYPE_CHECKING:
    import xarray as xr

APART = ("folder", "output.directory")
"""Keys of jobs that change nothing of what a run finds."""
RESULTS = {
    "action": "lowest action",
    "measurement": "measurement part of the lowest action",
    "reduced": "reduced level, 1 = noise",
    "count": "starts in it",
    "starts": "starts that ended",
    "verdict": "verdict",
    "core_seconds": "core-seconds",
    "data_per_unknown": "measured values per unknown",
    "trained": "error of training pairs",
    "held_back": "error of held-out pairs",
    "constant": "error of the training mean, or of the training frequencies",
    "accuracy": "fraction of held-out pairs that are right",
}
"""What is told of each run -> in words. Errors are in standard deviations of the noise; those of categories,
and of losses that are not Gaussian, in nats."""


def compare(directories: Sequence[str | os.PathLike[str]]) -> xr.Dataset:
    """Put runs side by side.

    Args:
        directories: Of two runs or more, all of one kind.

    Returns:
        Dim `run`, coordinate the directories as they were given; the keys in which jobs differ, by their
        dotted names, and what came of each run (`RESULTS`, NaN or "" where a run has none). Attribute
        `varied`: the keys. In place of hidden layers of as many units, `hidden_layers` tells their
        number.

    Raises:
        InputError: There are fewer than two, two are the same, or one is no run that has ended.
    """
    names = [os.fspath(one) for one in directories]
    if len(names) < 2:
        raise InputError(Mistake("runs", f"{counted(len(names), 'run')} to compare", "give two or more"))
    places = [Path(name).resolve() for name in names]
    for k, place in enumerate(places):
        if place in places[:k]:
            raise InputError(Mistake("runs", f"{names[k]} is named twice", "list every run once"))
    jobs, rows, units = [], [], set()
    for name in names:
        run = open_run(name)
        jobs.append(_layers(flat_tables(_job_tables(run.file.run_dir))))
        rows.append(_common(run))
        if isinstance(run, NetworkResult):
            rows[-1] |= _scores(run)
            units.add("nats" if isinstance(run.network.output, DataLoss) else "σ of the noise")
    varied = _varied(jobs)
    found = {key: _column([job.get(key) for job in jobs]) for key in varied}
    for key in RESULTS:
        if any(row.get(key) is not None for row in rows):
            found[key] = _column([row.get(key) for row in rows])
    import xarray as xr

    made = xr.Dataset({key: ("run", column) for key, column in found.items()}, coords={"run": names})
    for key, words in RESULTS.items():
        if key in made:
            made[key].attrs["long_name"] = words
    for key in ("trained", "held_back", "constant"):
        if key in made:
            made[key].attrs["units"] = " or ".join(sorted(units))
    return made.assign_attrs(varied=varied)


def _job_tables(directory: Path) -> dict[str, Any]:
    """A run's job with all defaults; as it is stored where it names Python files, which are not executed."""
    tables = stored_tables(directory)
    return tables if tables.get(KEY) else plain_tables(load_job(directory / FILE))


def _scores(run: NetworkResult) -> dict[str, Any]:
    trained, back = run.trained, run.held_back
    found = {"trained": None if trained is None else trained.error}
    if back is not None:
        constant = back.constant if back.rmse_over_noise is None else np.sqrt(2.0 * back.constant)
        found |= {"held_back": back.error, "constant": constant, "accuracy": back.accuracy}
    return found


def _common(run: Result | NetworkResult) -> dict[str, Any]:
    header, lowest = run.file.header, run.candidate
    unknowns = max(header.trajectory_unknowns, 1)
    found: dict[str, Any] = {
        "starts": int(run.outcome.complete.sum()),
        "verdict": run.verdict.code,
        "core_seconds": timing(run)["core_seconds"],
        "data_per_unknown": header.measured / unknowns,
    }
    if lowest is not None:
        found |= {key: getattr(lowest, key) for key in ("action", "measurement", "reduced", "count")}
    return found


def _layers(job: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of a job; hidden layers of as many units as their number, and the units of each."""
    found = dict(job)
    hidden = found.get("network.hidden")
    if hidden is not None and len(set(hidden)) == 1:
        del found["network.hidden"]
        found["hidden_layers"], found["hidden_units"] = len(hidden), hidden[0]
    return found


def _varied(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that differ."""
    keys = dict.fromkeys(key for job in jobs for key in job if key not in APART)
    return [key for key in keys if any(job.get(key) != jobs[0].get(key) for job in jobs)]


def _column(values: Sequence[Any]) -> Any:
    """Values as numbers, NaN where one is missing; where one is no number, as words."""
    if all(isinstance(one, int | float | type(None)) and not isinstance(one, bool) for one in values):
        return np.array([np.nan if one is None else float(one) for one in values])
    return np.array(["" if one is None else str(one) for one in values])


def format_comparison(table: xr.Dataset) -> str:
    """The table for a terminal: a row a run."""
    shown = [*table.attrs["varied"], *(key for key in RESULTS if key in table)]
    rows = [["", *shown]]
    for place, name in enumerate(table["run"].values):
        rows.append([str(name), *(_cell(table[key].values[place]) for key in shown)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *shown]).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:.5g}"


def write_comparison(table: xr.Dataset, path: Path) -> None:
    """Write the table as csv, a row a run.

    Args:
        table: What `compare` returned.
        path: The file; what is there is replaced.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", *table.data_vars])
        for place, name in enumerate(table["run"].values):
            cells = [table[key].values[place] for key in table.data_vars]
            writer.writerow([name, *(one if isinstance(one, str) else repr(float(one)) for one in cells)])
