"""Synthetic data and their truth as csv files, with the [data] table that reads them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.build.job import table_place, windows
from hpcda.build.model import tried_model
from hpcda.errors import InputError, Mistake
from hpcda.job import Job
from hpcda.job.inputs import TwinTable
from hpcda.job.text import to_toml

Array = npt.NDArray[np.float64]


def export_twin(job: Job, stem: str, folder: Path) -> tuple[list[Path], str]:
    """Write the data and the truth of every [twin] table of a job.

    Rows stand at the samples; where the path has points between them and there is a stimulus, at every point,
    so that nothing of the stimulus is lost.

    Args:
        job: A job with [twin].
        stem: Beginning of the files' names: ``stem-data.csv``, ``stem-truth.csv``.
        folder: Where they are written.

    Returns:
        The files, and the [data] tables that read them, as TOML.

    Raises:
        InputError: The job has no [twin], or mistakes; files of these names exist already.
    """
    if not job.twin:
        raise InputError(Mistake("twin", "is missing", "add a table [twin] that defines the synthetic data"))
    if job.action.steps_per_sample == "auto":
        job = job.with_steps(1)
    mistakes: list[Mistake] = []
    model = tried_model(job.model.name, job.model.options, Path(job.folder), job.given.models)
    grids, truths = windows(job, model, mistakes)
    if mistakes:
        raise InputError(mistakes)
    steps = job.steps
    every = 1 if model.stimuli else steps
    files: list[Path] = []
    tables: list[dict[str, Any]] = []
    written: list[tuple[Path, dict[str, Array]]] = []
    for k, (entry, grid, truth) in enumerate(zip(job.twin, grids, truths, strict=True)):
        ending = "" if len(grids) == 1 else f"-{k}"
        data, true = folder / f"{stem}-data{ending}.csv", folder / f"{stem}-truth{ending}.csv"
        names = _names(entry, model.stimulus_names, table_place("twin", k, len(grids)))
        columns = {"t": grid.t[::every]} | {names[key]: v[::every] for key, v in grid.data.items()}
        columns |= {name: grid.series[::every, i] for i, name in enumerate(model.stimulus_names)}
        written.append((data, columns))
        written.append(
            (true, {"t": truth.t} | {n: truth.states[:, i] for i, n in enumerate(model.state_names)})
        )
        files += [data, true]
        tables.append(
            {
                "file": data.name,
                "time": "t",
                "observed": names,
                "noise_std": entry.noise_std,
                "hold_back": entry.hold_back * (steps // every),
            }
            | ({"stimulus": {name: name for name in model.stimulus_names}} if model.stimuli else {})
            | ({"gaps": True} if every < steps else {})
            | {"truth": {"file": true.name, "parameters": truth.parameters}}
        )
    for file in files:
        if file.exists():
            raise InputError(Mistake(str(file), "exists already", "remove it, or give --output DIR"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, columns in written:
            _write(file, columns)
    except OSError as error:
        raise InputError(Mistake(str(folder), f"cannot be written: {error}", "give --output DIR")) from None
    text = to_toml({"data": tables[0] if len(tables) == 1 else tables})
    if every < steps:
        text += "\n[action]\nsteps_per_sample = 1      # the files hold every point of the path\n"
    return files, text


def _names(entry: TwinTable, stimuli: tuple[str, ...], place: str) -> dict[str, str]:
    """The column of each measured quantity, all different."""
    names = {key: str(column) for key, column in entry.observed.items()}
    taken = ["t", *names.values(), *stimuli]
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise InputError(
            Mistake(f"{place}.observed", f"two columns have the name {twice[0]!r}", "give other columns")
        )
    return names


def _write(file: Path, columns: dict[str, Array]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*(values.tolist() for values in columns.values()), strict=True):
            writer.writerow(["" if value != value else repr(value) for value in row])
