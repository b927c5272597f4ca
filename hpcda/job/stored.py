"""The job stored in a run's directory, and the copies of extension files: `extensions/0-my_way.py`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcda.errors import InputError, Mistake
from hpcda.extensions import KEY
from hpcda.job.any import AnyJob
from hpcda.job.load import load_job, read_tables

FILE, FOLDER = "job.toml", "extensions"
_REMEDY = "restore it"


def copy_of(directory: Path, number: int, file: Path) -> Path:
    """Where a run keeps its copy of a file of its job.

    Args:
        directory: Directory of the run.
        number: The file's position in the job.
        file: The file.
    """
    return directory / FOLDER / f"{number}-{file.name}"


def refuse_edited(directory: Path, files: Sequence[Path]) -> None:
    """Refuse to go on with a run one of whose files has changed or gone.

    Args:
        directory: Directory of the run.
        files: The files, in the order of the job.

    Raises:
        InputError: All that have.
    """
    mistakes = []
    for number, file in enumerate(files):
        kept = copy_of(directory, number, file)
        if kept.is_file() and not (file.is_file() and kept.read_bytes() == file.read_bytes()):
            problem = (
                f"{file} has changed since this run began" if file.is_file() else f"there is no file {file}"
            )
            remedy = f"restore it ({kept} is a copy), or start a new run with --output DIR"
            mistakes.append(Mistake(f"{KEY}[{number}]", problem, remedy))
    if mistakes:
        raise InputError(mistakes)


def job_to_go_on(directory: Path) -> AnyJob:
    """The job of a run, none of whose files has changed.

    Raises:
        InputError: It cannot be read, or one of its files has changed or gone.
    """
    tables = read_tables(directory / FILE, "job", _REMEDY)
    folder = Path(str(tables.get("folder", "")))
    refuse_edited(directory, [folder / str(name) for name in tables.get(KEY, ())])
    return load_job(directory / FILE)


def job_as_it_was(directory: Path, trust: bool = False) -> AnyJob:
    """The job of a run with its own copies of files, whatever has become of those that they were made from.

    Python files that the job names are executed, here or when its problem is built.

    Args:
        directory: Directory of the run.
        trust: Execute them also where another user wrote them.

    Raises:
        InputError: It cannot be read, or another user's code would be executed.
    """
    tables = stored_tables(directory)
    kept = _extensions(directory, tables)
    if not trust:
        _refuse_foreign(directory / FILE, [*kept, *_model_file(tables)])
    return load_job({**tables, KEY: list(map(os.fspath, kept))} if kept else directory / FILE)


def stored_tables(directory: Path) -> dict[str, Any]:
    """The tables of a run's job as its file holds them; nothing is executed.

    Raises:
        InputError: It cannot be read.
    """
    return read_tables(directory / FILE, "job", _REMEDY)


def _extensions(directory: Path, tables: Mapping[str, Any]) -> list[Path]:
    """The run's copies of the files of its job; where there is none, the file that the job names."""
    named = tables.get(KEY, ())
    files = [Path(str(name)) for name in named] if isinstance(named, list) else []
    copies = [copy_of(directory.absolute(), number, file) for number, file in enumerate(files)]
    return [copy if copy.is_file() else file for copy, file in zip(copies, files, strict=True)]


def _model_file(tables: Mapping[str, Any]) -> list[Path]:
    """The file of the job's model, where it is none of the catalogue's."""
    model = tables.get("model")
    name = str(model.get("name", "")) if isinstance(model, dict) else ""
    path, colon, _ = name.rpartition(":")
    return [Path(str(tables.get("folder", ""))) / Path(path).expanduser()] if colon else []


def _refuse_foreign(job: Path, code: Sequence[Path]) -> None:
    """Refuse to execute files that another user wrote, or that another user's job names.

    Raises:
        InputError: The first of them.
    """
    for file in (job, *code) if code else ():
        try:
            owner = file.stat().st_uid
        except OSError:
            continue  # who loads it says so
        if owner not in (0, os.geteuid()):
            problem = f"belongs to another user (number {owner}), and its code would be executed"
            remedy = "read it and what it names, then say --trust; in Python trust=True"
            raise InputError(Mistake(os.fspath(file), problem, remedy))
