"""Runs in processes of their own, killed at random moments, taken up again, and compared."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from hpcda import runner
from hpcda.job import load_job
from hpcda.search.ways import passes
from hpcda.store import RunFile
from tests.lives import quickly
from tests.lives.compare import same_ends, same_run
from tests.lives.jobs import WRONG, job
from tests.waiting import PATIENCE, until

COMMITS = 20
"""The first of a shard tell which starts have begun; a run of hundreds of starts makes hundreds."""
SLOW: dict[str, dict[str, Any]] = {"twin": {"samples": 161}, "ladder": {"alpha": 1.5, "rungs": 33}}
CASES: dict[str, tuple[dict[str, Any], Callable[[RunFile, RunFile], None]]] = {
    "plain": (job(SLOW, output={"keep_paths": "all"}), same_run),
    "merged": (job(SLOW, ensemble={"merge": True, "starts": 96}), same_ends),
    "best of a search": (
        job(SLOW, WRONG, ensemble={"merge": False}, output={"keep_paths": "best:3"}),
        same_run,
    ),
    "search": (job(SLOW, WRONG), same_ends),
    "newton": (job(ensemble={"starts": 6}, solver={"minimizer": "newton"}), same_run),
}


def environment() -> dict[str, str]:
    """That of a process which is no rank of this one's world."""
    launchers, own = ("OMPI_", "PMIX_", "PMI_", "PRTE_"), ("OMPI_MCA_btl", "OMPI_MCA_pml", "OMPI_MCA_mpi_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(launchers) or k.startswith(own)}
    return kept | {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMP_NUM_THREADS": "1",
    }


def write_job(tables: Mapping[str, Any], file: Path) -> Path:
    """A job as a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(load_job(tables).resolved_toml())
    return file


class Life:
    """One life of a run: the command, on so many ranks, in processes of their own."""

    def __init__(self, ranks: int, *words: object) -> None:
        launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
        self._process = subprocess.Popen(
            [*launcher, sys.executable, quickly.__file__, *map(str, words)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._launched = ranks > 1

    @property
    def launcher(self) -> int:
        """Number of the process that was started."""
        return self._process.pid

    def ranks(self) -> list[int]:
        """Numbers of the processes that work."""
        if not self._launched:
            return [self._process.pid]
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened, or the life is over."""
        until(lambda: self._process.poll() is not None or happened(), "what the life is to do")

    def at_work(self, run: Path, shards: int = 1) -> None:
        """Wait until so many shards are there, and each has been committed to `COMMITS` times."""
        seen: dict[Path, set[int]] = {}

        def busy() -> bool:
            for file in (run / "shards").glob("rank-*.h5"):
                seen.setdefault(file, set()).add(file.stat().st_mtime_ns)
            return len(seen) >= shards and all(len(times) > COMMITS for times in seen.values())

        self.until(busy)

    def send(self, number: int, to: list[int]) -> None:
        """Send a signal to processes of it that are still there."""
        for process in to:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue

    def end(self, processes: Sequence[int] = ()) -> tuple[int, str, float]:
        """Exit code, what was written, and how long it took until these processes were gone too."""
        began = time.monotonic()
        out, err = self._process.communicate(timeout=PATIENCE)
        until(lambda: all(not Path(f"/proc/{one}").exists() for one in processes), "its ranks end with it")
        return self._process.returncode, out + err, time.monotonic() - began


@dataclass
class Count:
    """What became of the runs of a case."""

    runs: int = 0
    kills: int = 0
    unreadable: int = 0
    lost: int = 0
    again: int = 0
    different: int = 0
    slowest: float = 0.0

    @property
    def bad(self) -> int:
        """Whatever should be 0."""
        return self.unreadable + self.lost + self.again + self.different


def committed(run: Path) -> tuple[bool, dict[tuple[int, int], float]]:
    """Whether a run that was killed can be read, and seconds of all its committed rungs."""
    if not any((run / "shards").glob("rank-*.h5")):
        return True, {}
    try:
        found = RunFile(run)
        seconds, own = found.table("seconds"), found.table("iterations") > 0
    except Exception as error:
        sys.stderr.write(f"{run}: {type(error).__name__}: {error}\n")
        return False, {}
    at = np.argwhere(own)
    return True, {(int(found.start[i]), int(r)): float(seconds[i, r]) for i, r in at}


def check(case: str, folder: Path, ranks: int, rng: random.Random, count: Count, most_kills: int = 3) -> None:
    """Run a case with kills in its way, and compare it with the run that was not killed.

    Args:
        case: Name of the case.
        folder: Where the runs go; the whole one is made where it is not there.
        ranks: Ranks of the first life; later ones have from one to so many.
        rng: Decides when, who and how often.
        count: What is counted.
        most_kills: Kills of one run, at most.
    """
    tables, compare = CASES[case]
    file, whole = write_job(tables, folder / "job.toml"), folder / "whole"
    if not whole.exists():
        with mock.patch.object(passes, "WORK", quickly.WORK):
            runner.run(file, output=whole, quiet=True)
    reference = RunFile(whole)
    span = float(reference.header.clock[0, 1] - reference.header.clock[0, 0])
    run = folder / f"killed-{count.runs}"
    count.runs += 1
    for _ in range(rng.randint(1, most_kills)):
        life = Life(ranks, "run", file, "--output", run, "--resume", "--quiet")
        if rng.random() < 0.9:
            before = len(list((run / "shards").glob("rank-*.h5")))
            life.until(lambda before=before: len(list((run / "shards").glob("rank-*.h5"))) > before)
            time.sleep(rng.uniform(0.0, 0.8 * span))
        else:
            time.sleep(rng.uniform(0.0, 2.0))
        victims = every = life.ranks()
        if rng.random() < 0.5 and victims:
            victims = [rng.choice(victims)]
        life.send(signal.SIGKILL, victims)
        _, _, seconds = life.end(every)
        count.slowest = max(count.slowest, seconds)
        count.kills += 1
        readable, had = committed(run)
        count.unreadable += not readable
        ranks = rng.randint(1, ranks)
    code, said, _ = Life(ranks, "run", file, "--output", run, "--resume", "--quiet").end()
    assert code == 0, said
    now = committed(run)[1]
    count.lost += sum(place not in now for place in had)
    count.again += sum(now[place] != seconds for place, seconds in had.items() if place in now)
    try:
        compare(reference, RunFile(run))
        shutil.rmtree(run)
    except AssertionError as error:
        count.different += 1
        (run / "different.txt").write_text(str(error))
