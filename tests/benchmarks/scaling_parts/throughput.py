"""The real thing on one machine: starts a second on 1 and 2 ranks, and the queue's cost a take.

python -m scaling_parts.throughput run|queue JSON       (one rank of a world that mpirun has started)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .measured import ROOT

HERE = Path(__file__).parents[1]


def world(ranks: int, task: str, options: dict[str, Any], launcher: str) -> dict[str, Any]:
    """What rank 0 prints of `task` on `ranks` ranks.

    Raises:
        RuntimeError: It failed; with what it wrote.
    """
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    search = os.pathsep.join([str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*launcher.split(), "-n", str(ranks), sys.executable, "-m", __name__, task, json.dumps(options)],
        env={**os.environ, **one_thread, "PYTHONPATH": search}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{task} on {ranks} ranks failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def throughput(job: Path, starts: int, repeats: int, launcher: str) -> dict[str, Any]:
    """Starts a second on 1 and 2 ranks by turns, medians of `repeats`; efficiency; seconds waited."""
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(repeats):
        for ranks, found in runs.items():
            found.append(world(ranks, "run", {"job": str(job), "starts": ranks * starts}, launcher))
    rates = {ranks: [ranks * starts / one["seconds"] for one in found] for ranks, found in runs.items()}
    middle = {ranks: float(np.median(values)) for ranks, values in rates.items()}
    return {
        "job": str(job), "starts_a_rank": starts, "rates": rates, "median": middle,
        "efficiency": middle[2] / (2 * middle[1]), "idle": [one["idle"] for one in runs[2]],
    }  # fmt: skip


def _run(options: dict[str, Any]) -> None:
    """An ensemble; the seconds that ranks work between a barrier and the last one's end, and then wait."""
    from mpi4py import MPI

    from hpcda.job import Job, load_job
    from hpcda.runner import lifecycle

    comm, times = MPI.COMM_WORLD, {}
    inner = lifecycle._ensemble

    def timed(*arguments: Any) -> str:
        comm.Barrier()
        times["began"] = time.perf_counter()
        told = inner(*arguments)
        times["ended"] = time.perf_counter()
        return told

    lifecycle._ensemble = timed
    job = load_job(options["job"])
    tables = job.model_dump(by_alias=True)
    tables["ensemble"]["starts"] = options["starts"]
    with tempfile.TemporaryDirectory() as folder:
        where = comm.bcast(folder, root=0)
        lifecycle.run(Job.model_validate(tables), output=Path(where) / "run", quiet=True)
        comm.Barrier()
    spans = comm.gather(times["ended"] - times["began"], root=0)
    if comm.rank == 0:
        longest = max(spans)
        print(json.dumps({"seconds": longest, "idle": [longest - span for span in spans]}))


def _queue(options: dict[str, Any]) -> None:
    """Seconds of a take: of every rank alone while the others sleep in a barrier, and of all at once."""
    from mpi4py import MPI

    from hpcda.mpi import Queue, World

    comm, takes = MPI.COMM_WORLD, int(options["takes"])
    alone, together = [], 0.0
    with World() as here:
        queue = Queue(here.comm, here.group, 10**9)
        for turn in range(comm.size):
            began = time.perf_counter()
            for _ in range(takes if turn == comm.rank else 0):
                queue.take()
            if turn == comm.rank:
                alone.append((time.perf_counter() - began) / takes)
            here.wait()
        comm.Barrier()
        began = time.perf_counter()
        for _ in range(takes):
            queue.take()
        together = (time.perf_counter() - began) / takes
        here.wait()
        queue.close()
    every = comm.gather((alone[0], together), root=0)
    if comm.rank == 0:
        print(json.dumps({"alone": [a for a, _ in every], "together": [b for _, b in every]}))


if __name__ == "__main__":
    {"run": _run, "queue": _queue}[sys.argv[1]](json.loads(sys.argv[2]))
