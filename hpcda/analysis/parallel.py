"""Parallel map over parts of an ensemble: Dask worker processes, as HDF5 runs one call at a time per process.

Local workers are spawned processes behind pipes, which nobody else can open: no socket listens. A scheduler
that is named is somebody's own cluster, with its own doors.

Spawned workers import the main module: a script that calls `analyze` at its top level must do so under
``if __name__ == "__main__":``.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Variables
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

Mapping = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]
AT_HOME = 8
"""Worker processes that are started unasked on a machine that others may use too."""
PATIENCE = "10s"
"""How long a scheduler may take to answer."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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


def in_turn(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Map a function over argument tuples in this process."""
    return [function(*argument) for argument in arguments]


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
    if scheduler is not None:
        from distributed import Client

        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
        try:
            yield _through(client)
        finally:
            client.close()
    elif processes == 0:
        yield in_turn
    else:
        pool = ProcessPoolExecutor(
            processes or default_processes(), multiprocessing.get_context("spawn"), _end_with_parent
        )
        try:
            with _one_thread():
                yield _within(pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _through(client: Any) -> Mapping:
    """A map over the workers of a cluster."""

    def mapped(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        futures = [client.submit(function, *argument, pure=False) for argument in arguments]
        results: list[Any] = client.gather(futures)
        return results

    return mapped


def _within(pool: ProcessPoolExecutor) -> Mapping:
    """A map over the processes of a pool, by Dask's scheduler of processes."""
    from dask.multiprocessing import get

    def mapped(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        graph = {f"part-{k}": (_Task(function, argument),) for k, argument in enumerate(arguments)}
        results: list[Any] = list(get(graph, list(graph), pool=pool, chunksize=1, optimize_graph=False))
        return results

    return mapped


class _Task:
    """A call with its arguments, which Dask does not look into."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> Any:
        return self.function(*self.arguments)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started meanwhile compute with one thread, unless the user said how many."""
    added = [name for name in ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _end_with_parent() -> None:
    """End this worker as soon as the process that started it has ended, in whatever way."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
