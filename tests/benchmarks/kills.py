"""Kill runs with SIGKILL at random moments, take them up again, and compare them with runs left alone.

    python tests/benchmarks/kills.py --runs 100 --ranks 2

One rank or all of them are killed, up to three times a run, nine times in ten while the ensemble is at work;
every life but the first has a random number of ranks. A committed rung is lost where it is gone after the
last life, and run again where the time that it took has changed. The last column is the longest time from a
kill until all ranks were gone.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.lives.kills import CASES, Count, check


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100, help="how many runs are killed")
    parser.add_argument("--ranks", type=int, default=2, help="ranks of the first life of each")
    parser.add_argument("--seed", type=int, default=0, help="decides when, who and how often")
    parser.add_argument("--folder", type=Path, help="where the runs go; those that differ stay there")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hpcda-kills-"))
    counts = {case: Count() for case in CASES}
    began = time.monotonic()
    for number in range(given.runs):
        case = list(CASES)[number % len(CASES)]
        rng = random.Random(f"{given.seed} {number}")
        check(case, folder / case.replace(" ", "-"), given.ranks, rng, counts[case])
        kills, bad = (sum(one) for one in zip(*((c.kills, c.bad) for c in counts.values()), strict=True))
        told = f"{number + 1} of {given.runs} runs, {kills} kills, {bad} faults"
        print(f"{told}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    heads = (
        f"{'runs':>6}{'kills':>7}{'unreadable':>12}{'lost':>6}{'run again':>11}{'different':>11}{'end, s':>8}"
    )
    print(f"{'case':18}{heads}")
    for case, one in counts.items():
        numbers = f"{one.runs:6}{one.kills:7}{one.unreadable:12}{one.lost:6}{one.again:11}{one.different:11}"
        print(f"{case:18}{numbers}{one.slowest:8.1f}")
    print(f"{time.monotonic() - began:.0f} s; {folder}")
    return int(any(one.bad for one in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
