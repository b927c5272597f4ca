"""Does memory grow with the number of starts? Peak and running memory of one rank over many starts.

    .venv/bin/python tests/benchmarks/memory.py [JOB.toml] [--starts 1000]

Prints the resident memory after each tenth of the starts and the peak, in MB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from pathlib import Path

import hpcda
from hpcda import runner
from hpcda.job import Job

ROOT = Path(__file__).parents[2]


def resident() -> float:
    """Resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", nargs="?", type=Path, default=ROOT / "jobs" / "lorenz96" / "short.toml")
    parser.add_argument("--starts", type=int, default=1000)
    arguments = parser.parse_args()
    job = hpcda.load_job(arguments.job)
    job = Job.model_validate(
        {
            **job.model_dump(by_alias=True),
            "ensemble": {**job.ensemble.model_dump(), "starts": arguments.starts},
        }
    )
    samples: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                try:
                    done = json.loads((directory / "progress.json").read_text())["done"]
                except (OSError, ValueError):
                    continue
                samples.append((done, resident()))

        thread = threading.Thread(target=watch)
        thread.start()
        began = time.perf_counter()
        runner.run(job, output=directory, quiet=True)
        seconds = time.perf_counter() - began
        over.set()
        thread.join()
        size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    shown = 0
    for done, memory in samples:
        if done >= shown:
            print(f"{done:7.0f} starts  {memory:8.1f} MB")
            shown = done + arguments.starts / 10
    print(f"{arguments.starts:7d} starts  {resident():8.1f} MB at the end, {seconds:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"peak {peak:.1f} MB; {size / arguments.starts:.0f} bytes of disk a start")


if __name__ == "__main__":
    main()
