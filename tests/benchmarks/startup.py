"""What commands cost that compute next to nothing: seconds of the processor and of the clock.

    python tests/benchmarks/startup.py RUN [--beside FOLDER] [--times N]

RUN is the directory of a small run. With --beside, another source tree runs the same commands in turn, so
that what else the machine does meets both alike; each does so on a copy of the run. Medians are shown.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parents[2]
COMMANDS = {
    "import hpcda": ["-c", "import hpcda"],
    "hpcda --help": ["-m", "hpcda", "--help"],
    "hpcda status": ["-m", "hpcda", "status", "RUN"],
    "hpcda analyze": ["-m", "hpcda", "analyze", "RUN"],
}


def cost(words: list[str], tree: Path) -> tuple[float, float]:
    """Processor and clock seconds of a command and all processes that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment, cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the directory of a small run")
    parser.add_argument("--beside", type=Path, help="another source tree")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    trees = {"this tree": HERE} | ({"beside": given.beside.resolve()} if given.beside else {})
    with tempfile.TemporaryDirectory() as folder:
        for name, words in COMMANDS.items():
            costs: dict[str, list[tuple[float, float]]] = {tree: [] for tree in trees}
            for _ in range(given.times + 1):
                for label, tree in trees.items():
                    copy = Path(folder) / label.replace(" ", "-")
                    if not copy.exists():
                        shutil.copytree(given.run, copy)
                    costs[label].append(cost([str(copy) if word == "RUN" else word for word in words], tree))
            for label, found in costs.items():
                used, clock = (statistics.median(column) for column in zip(*found[1:], strict=True))
                print(f"{name:<14} {label:<10} {used:6.2f} core-s {clock:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
