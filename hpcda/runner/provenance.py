"""Provenance of a run: versions, host, command, files outside the package."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import socket
import sys
from importlib.metadata import version
from typing import Any

import numpy as np

import hpcda
from hpcda.job import AnyJob
from hpcda.runner.world import mpi_of
from hpcda.store import File


def files_of(job: AnyJob) -> tuple[File, ...]:
    """The files outside the package that a job names, with what they hold."""
    return tuple(
        File(name, one.sha256, one.content.decode("utf-8", "replace"))
        for name, one in zip(job.extensions, job.extension_files, strict=True)
    )


def provenance(world: Any) -> dict[str, str]:
    """Versions, host, date, command, ranks, threads."""
    threads = {
        name: os.environ.get(name, "unset")
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    return {
        "hpcda": hpcda.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": version("h5py"),
        "mpi": mpi_of(world),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "ranks": str(world.size),
        "ranks_per_start": str(world.size // world.groups),
        "threads": " ".join(f"{name}={value}" for name, value in threads.items()),
    }
