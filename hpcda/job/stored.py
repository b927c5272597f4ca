"""The job of a run, and the copies of its files that lie beside it: `extensions/0-my_way.py`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hpcda.errors import InputError, Mistake
from hpcda.extensions import KEY
from hpcda.job.any import AnyJob
from hpcda.job.load import load_job, read_tables

FILE, FOLDER = "job.toml", "extensions"
_REMEDY = "bring it back"


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
            remedy = f"put it back as it was ({kept} is a copy), or begin a new run with --output DIR"
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


def job_as_it_was(directory: Path) -> AnyJob:
    """The job of a run with its own copies of files, whatever has become of those that they were made from.

    Raises:
        InputError: It cannot be read.
    """
    tables = read_tables(directory / FILE, "job", _REMEDY)
    files = [Path(str(name)) for name in tables.get(KEY, ())]
    copies = [copy_of(directory.absolute(), number, file) for number, file in enumerate(files)]
    if not copies:
        return load_job(directory / FILE)
    kept = [os.fspath(copy if copy.is_file() else file) for copy, file in zip(copies, files, strict=True)]
    return load_job({**tables, KEY: kept})
