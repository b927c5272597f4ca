"""The files outside the package that a run depends on: the same on all ranks, kept with the run, unchanged.

They are copied beside job.toml, `extensions/0-my_way.py`, so that a run says what it was made with, and goes
on with nothing else.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpcda.errors import InputError, Mistake
from hpcda.extensions import KEY, Extension
from hpcda.job import Job, load_job
from hpcda.job.load import read_tables

FOLDER = "extensions"


def agreed(comm: Any, files: Sequence[Extension]) -> None:
    """Refuse files that are not the same on all ranks of `comm`; every rank calls it.

    Raises:
        InputError: The first that is not.
    """
    read = comm.allgather([one.sha256 for one in files])
    for number, file in enumerate(files):
        for rank, sums in enumerate(read):
            if sums[number] != read[0][number]:
                problem = f"{file.file} holds another text on rank {rank} than on rank 0"
                remedy = "let all nodes see the same file: put it where they share a file system"
                raise InputError(Mistake(f"{KEY}[{number}]", problem, remedy))


def refuse_edited(directory: Path, files: Sequence[Path]) -> None:
    """Refuse to go on with a run one of whose files has changed; files that are not there are left to others.

    Args:
        directory: Directory of the run.
        files: The files, in the order of the job.

    Raises:
        InputError: All that have.
    """
    mistakes = []
    for number, file in enumerate(files):
        kept = _copy(directory, number, file)
        if kept.is_file() and file.is_file() and kept.read_bytes() != file.read_bytes():
            problem = f"{file} has changed since this run began"
            remedy = f"put it back as it was ({kept} is a copy), or begin a new run with --output DIR"
            mistakes.append(Mistake(f"{KEY}[{number}]", problem, remedy))
    if mistakes:
        raise InputError(mistakes)


def keep(directory: Path, job: Job) -> None:
    """Copy the files of a job into the directory of its run, each whole or not at all; on rank 0.

    Raises:
        OSError: It cannot be written.
    """
    for number, file in enumerate(job.extension_files):
        target = _copy(directory, number, file.file)
        if target.is_file() and target.read_bytes() == file.content:
            continue
        target.parent.mkdir(exist_ok=True)
        draft = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}")
        draft.write_bytes(file.content)
        draft.replace(target)


def stored_job(file: Path) -> Job:
    """The job of a run, loaded unless one of its files has changed.

    Args:
        file: Its job.toml.

    Raises:
        InputError: It cannot be read, or one of its files has changed or gone.
    """
    tables = read_tables(file, "job", "bring it back")
    folder = Path(str(tables.get("folder", "")))
    refuse_edited(file.parent, [folder / str(name) for name in tables.get(KEY, ())])
    return load_job(file)


def _copy(directory: Path, number: int, file: Path) -> Path:
    return directory / FOLDER / f"{number}-{file.name}"
