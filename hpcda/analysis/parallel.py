"""Mapping over parts of an ensemble: Dask workers as processes, since HDF5 has one lock a process.

Spawned workers import the main module: a script that calls `analyze` at its top level must do so under
``if __name__ == "__main__":``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Variables
from contextlib import contextmanager
from typing import Any

Mapping = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]
AT_HOME = 8
"""Worker processes that are started unasked on a machine that others may use too."""
PATIENCE = "10s"
"""How long a scheduler may take to answer."""


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_processes(environment: Variables[str, str] = os.environ) -> int:
    """Worker processes that are started unasked.

    In a Slurm job as many as this node gives to it, whether or not the site binds it to cores: those of this
    task within a step, else the job's. Elsewhere those of the machine, at most `AT_HOME`.
    """
    if "SLURM_JOB_ID" not in environment:
        return min(AT_HOME, usable_cores())
    within_step = "SLURM_STEP_ID" in environment and "SLURM_CPUS_PER_TASK" in environment
    given = environment.get("SLURM_CPUS_PER_TASK" if within_step else "SLURM_CPUS_ON_NODE", "")
    return max(1, int(given)) if given.isdigit() else usable_cores()


@contextmanager
def workers(scheduler: str | None = None, processes: int | None = None) -> Iterator[Mapping]:
    """A function that maps another one over argument tuples, in order, on Dask workers.

    Args:
        scheduler: Address of a running Dask scheduler; its workers must see the run's files.
        processes: Number of local worker processes when no scheduler is named, by default
            `default_processes`; 0 runs everything in this process.

    Yields:
        ``map(function, arguments) -> results``.

    Raises:
        OSError: The scheduler cannot be reached.
    """
    if scheduler is None and processes == 0:
        yield lambda function, arguments: [function(*argument) for argument in arguments]
        return
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.daemon": True,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.work-stealing": True,
        "distributed.admin.low-level-log-length": 0,
    }
    quiet = logging.getLogger("distributed")
    level = quiet.level
    with dask.config.set(settings):
        if scheduler is not None:
            client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
            try:
                yield _through(client)
            finally:
                client.close()
            return
        count = processes or default_processes()
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.ERROR,
            host="127.0.0.1",
        )
        try:
            client = Client(cluster, set_as_default=False)
            try:
                yield _through(client)
            finally:
                client.close()
        finally:
            cluster.close()
            quiet.setLevel(level)


def _through(client: Any) -> Mapping:
    def mapped(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        futures = [client.submit(function, *argument, pure=False) for argument in arguments]
        results: list[Any] = client.gather(futures)
        return results

    return mapped
