"""Mapping over parts of an ensemble: Dask workers as processes, since HDF5 has one lock a process.

Spawned workers import the main module: a script that calls `analyze` at its top level must do so under
``if __name__ == "__main__":``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Mapping = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def workers(scheduler: str | None = None, processes: int | None = None) -> Iterator[Mapping]:
    """A function that maps another one over argument tuples, in order, on Dask workers.

    Args:
        scheduler: Address of a running Dask scheduler; its workers must see the run's files.
        processes: Number of local worker processes when no scheduler is named, by default as many as there
            are cores, at most eight; 0 runs everything in this process.

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
            client = Client(scheduler, timeout="10s", set_as_default=False)
            try:
                yield _through(client)
            finally:
                client.close()
            return
        count = processes or min(8, usable_cores())
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
