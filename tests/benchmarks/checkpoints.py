"""What it costs that every rung is on the disk before the next one: share of a run's time, bytes a start.

    python tests/benchmarks/checkpoints.py jobs/lorenz96/job.toml --starts 32 1000

Time is that of the processor and that of the clock spent in the shard: beginning rows, committing rungs,
ending starts, closing; the index comes on top. The disk is the one of --folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpcda import runner
from hpcda.job import load_job
from hpcda.store import RunFile, Shard

METHODS = ("begin", "rungs", "finish", "merge", "keep_minima", "close")


class Spent:
    """Seconds spent in the shard, by the processor and by the clock."""

    def __init__(self) -> None:
        self.processor, self.clock, self.commits, self._depth = 0.0, 0.0, 0, 0

    def timed(self, method: Callable[..., Any], counts: bool) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            if self._depth:
                return method(*given, **named)
            self._depth += 1
            self.commits += counts
            processor, clock = time.process_time(), time.perf_counter()
            try:
                return method(*given, **named)
            finally:
                self.processor += time.process_time() - processor
                self.clock += time.perf_counter() - clock
                self._depth -= 1

        return wrapped


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", type=Path, help="a job file")
    parser.add_argument("--starts", type=int, nargs="+", default=[32, 1000], help="how many starts")
    parser.add_argument("--no-merge", action="store_true", help="let every start climb by itself")
    parser.add_argument("--folder", type=Path, help="where the runs go")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hpcda-checkpoints-"))
    spent = Spent()
    for name in METHODS:
        setattr(Shard, name, spent.timed(getattr(Shard, name), name == "rungs"))
    print(
        "starts  rungs climbed  commits  run, CPU s  shard, CPU s   share  shard, s  bytes a start  its paths"
    )
    for starts in given.starts:
        job = load_job(given.job)
        ensemble = job.ensemble.model_copy(update={"starts": starts, "merge": not given.no_merge})
        job = job.model_copy(update={"ensemble": ensemble})
        spent.__init__()  # type: ignore[misc]
        began = time.process_time()
        run = runner.run(job, output=folder / f"{given.job.stem}-{starts}", quiet=True)
        seconds = time.process_time() - began
        found = RunFile(run)
        size = sum(file.stat().st_size for file in run.rglob("*.h5"))
        path = 8 * (sum(found.header.lengths) * len(found.header.unknown) + len(found.header.parameter))
        climbed = int((found.table("iterations") > 0).sum())
        kept = path * len(found.path_start) / len(found.start)
        print(
            f"{len(found.start):6}{climbed:15}{spent.commits:9}{seconds:12.2f}{spent.processor:14.2f}"
            f"{spent.processor / seconds:8.1%}{spent.clock:10.2f}{size / len(found.start):15.0f}{kept:14.0f}"
        )


if __name__ == "__main__":
    main()
