"""What storing costs: writing, checksums, bytes a start, inspecting, and opening to the table of actions.

    .venv/bin/python tests/benchmarks/store.py [--starts 10000] [--rungs 40] [--ranks 4]

The shards are written by the run's own writer, in batches of eight starts; times are those of the processor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))
from hpcda.action import Parts  # noqa: E402
from hpcda.annealing import Reason, Rung, Task  # noqa: E402
from hpcda.store import RunFile, Shard, build_index, current, ensemble, paths  # noqa: E402
from hpcda.store.inspection import inspect  # noqa: E402
from tests.unit.synthetic_run import make_layout  # noqa: E402

LANES = 8


def write(folder: Path, starts: int, rungs: int, ranks: int) -> float:
    """Write a run; processor seconds."""
    layout = make_layout(starts=starts, rungs=rungs)
    rng = np.random.default_rng(0)
    path = rng.standard_normal(layout.problem.size)
    began = time.process_time()
    for rank in range(ranks):
        own = range(rank, starts, ranks)
        with Shard.create(folder, rank, layout) as file:
            for first in range(0, len(own), LANES):
                rows = [file.begin(Task(start, "quiet")) for start in own[first : first + LANES]]
                for rung in range(rungs):
                    parts = Parts(0.7 * (rung + 1), 0.3, 0.0)
                    one = Rung(path, parts, 1e-9, 5, 0, Reason.CONVERGED_GRADIENT, rung, 0.01)
                    file.rungs([(row, one, path[-1:]) for row in rows])
                for row in rows:
                    file.finish(row, path)
    return time.process_time() - began


def timed(action: object) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    action()  # type: ignore[operator]
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=10_000)
    parser.add_argument("--rungs", type=int, default=40)
    parser.add_argument("--ranks", type=int, default=4)
    arguments = parser.parse_args()
    shape = (arguments.starts, arguments.rungs, arguments.ranks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        seconds = write(run, *shape)
        each = 1e6 / (arguments.starts * arguments.rungs)
        with ExitStack() as stack:
            for module, check in ((ensemble, "rung_check"), (current, "path_check"), (paths, "path_check")):
                stack.enter_context(patch.object(module, check, lambda *_: 1))
            without = write(folder / "without", *shape)
        size = sum(file.stat().st_size for file in run.rglob("*.h5"))
        path = 8 * make_layout().problem.size
        print(f"writing     {seconds:8.2f} s, {seconds * each:.1f} µs a rung and start")
        print(f"  checksums{seconds - without:8.2f} s, {(seconds - without) * each:.1f} µs a rung and start")
        print(f"bytes       {size / arguments.starts:8.0f} a start, {path} of them its path")
        print(f"indexing    {timed(lambda: build_index(run)):8.3f} s")
        print(f"opening     {timed(lambda: RunFile(run)):8.3f} s")
        print(f"  and actions{timed(lambda: RunFile(run).table('action')):7.3f} s")
        shards = sorted((run / "shards").glob("*.h5"))
        print(f"inspecting  {timed(lambda: [inspect(one) for one in shards]):8.3f} s, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
