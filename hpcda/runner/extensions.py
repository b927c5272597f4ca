"""Extension files of a run: identical on all ranks, and copied into the run's directory.

They are copied beside job.toml (`hpcda.job.stored`), so that a run says what it was made with.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpcda.errors import InputError, Mistake
from hpcda.extensions import KEY, Extension
from hpcda.job import AnyJob
from hpcda.job.stored import copy_of


def agreed(comm: Any, files: Sequence[Extension]) -> None:
    """Refuse files that are not the same on all ranks of `comm`; every rank calls it.

    Raises:
        InputError: The first that is not.
    """
    read = comm.allgather([one.sha256 for one in files])
    for number, file in enumerate(files):
        for rank, sums in enumerate(read):
            if sums[number] != read[0][number]:
                problem = f"{file.file} differs between rank {rank} and rank 0"
                remedy = "let all nodes see the same file: put it where they share a file system"
                raise InputError(Mistake(f"{KEY}[{number}]", problem, remedy))


def keep(directory: Path, job: AnyJob) -> None:
    """Copy the files of a job into the directory of its run, each whole or not at all; on rank 0.

    Raises:
        OSError: It cannot be written.
    """
    for number, file in enumerate(job.extension_files):
        target = copy_of(directory, number, file.file)
        if target.is_file() and target.read_bytes() == file.content:
            continue
        target.parent.mkdir(exist_ok=True)
        draft = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}")
        draft.write_bytes(file.content)
        draft.replace(target)
