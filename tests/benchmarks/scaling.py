"""How far does an ensemble scale? Measured on 1 and 2 ranks; replayed on 10² … 10⁵.

    .venv/bin/python tests/benchmarks/scaling.py --out runs/scaling               # all of it
    .venv/bin/python tests/benchmarks/scaling.py --parts simulate --ranks 10000 --shares 10,30
    .venv/bin/python tests/benchmarks/scaling.py --parts measure                  # starts.json anew

"measure" counts the steps of every rung of 500 starts of three problems and times a step of 2, 4 and 8 lanes;
the counts are kept beside the program. "run" runs an ensemble on 1 and 2 ranks by turns, with as many starts
a rank, and times the queue. "simulate" replays the measured starts, drawn at random, through the schedule of
hpcda.annealing.schedule.

Efficiency is the work done, at the throughput of full batches of 8 lanes, divided by ranks times makespan:
it is lost by empty lanes, by slower narrow batches, by waiting for the queue and by idle ranks. "bound" is
the most that any schedule could reach, were every start's length known: the longest start takes its time, in
the fastest step there is. "idle" is the mean part of the makespan for which ranks wait at the end. Policies:
greedy (each free lane takes the next start), fair (and no rank more than its share; narrow batches where
there are few starts), wide (and each rank holds more climbs than lanes, levelled in the end), default (what
hpcda does: and few climbs that are left go over to fewer lanes, whose code is there).

Writes scaling.json, scaling.txt and scaling.png to --out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from scaling_parts import measured
from scaling_parts.simulator import POLICIES, Network, Starts, replay
from scaling_parts.throughput import throughput, world

HEAD = f"{'problem':17s} {'ranks':>7s} {'starts/rank':>11s} {'bound':>6s}"


def simulate(
    starts: Starts, arguments: argparse.Namespace, network: Network, lines: list[str]
) -> list[dict[str, Any]]:
    """Rows of one problem; a line each is printed."""
    rows = []
    for ranks in arguments.ranks:
        for share in arguments.shares:
            if ranks * share > arguments.most:
                continue
            row: dict[str, Any] = {"problem": starts.name, "ranks": ranks, "share": share, "policies": {}}
            texts = []
            for name in arguments.policies:
                policy = POLICIES[name]
                began = time.perf_counter()
                found = replay(starts, ranks, share, policy, network, spread=arguments.spread)
                row["policies"][name] = {**vars(found), "seconds": time.perf_counter() - began}
                texts.append(f"{found.efficiency:8.3f} {1 / found.efficiency:6.2f} {found.idle:5.2f}")
                row["bound"] = found.bound
            rows.append(row)
            say(lines, f"{starts.name:17s} {ranks:7d} {share:11g} {row['bound']:6.3f} {' '.join(texts)}")
    return rows


def say(lines: list[str], line: str) -> None:
    """Print and keep."""
    lines.append(line)
    print(line, flush=True)


def picture(rows: list[dict[str, Any]], file: Path) -> None:
    """Efficiency over ranks of every problem, a line for each number of starts a rank; dashed: greedy."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    problems = list(dict.fromkeys(row["problem"] for row in rows))
    figure, axes = plt.subplots(
        1, len(problems), figsize=(4 * len(problems), 3.6), sharey=True, squeeze=False
    )
    for axis, problem in zip(axes[0], problems, strict=True):
        own = [row for row in rows if row["problem"] == problem]
        for number, share in enumerate(dict.fromkeys(row["share"] for row in own)):
            line = [row for row in own if row["share"] == share]
            ranks = [row["ranks"] for row in line]
            for policy, style in (("default", "o-"), ("greedy", "x--")):
                if any(policy not in row["policies"] for row in line):
                    continue
                values = [row["policies"][policy]["efficiency"] for row in line]
                label = f"{share:g} starts a rank" if policy == "default" else None
                axis.semilogx(ranks, values, style, color=f"C{number}", label=label)
        axis.axhline(0.95, color="gray", linewidth=0.5)
        axis.set(title=problem, xlabel="ranks", ylim=(0, 1))
    axes[0, 0].set_ylabel("efficiency (dashed: greedy)")
    axes[0, -1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    plt.close(figure)


def numbers(text: str) -> list[float]:
    """Numbers between commas."""
    return [float(one) for one in text.split(",")]


def main() -> None:
    """Do the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default="run,simulate", help="of measure, run, simulate")
    parser.add_argument("--out", type=Path, default=None, help="folder of the results")
    parser.add_argument("--ranks", type=numbers, default=[1e2, 1e3, 1e4, 1e5])
    parser.add_argument("--shares", type=numbers, default=[1.0, 3.0, 10.0, 30.0, 100.0])
    parser.add_argument("--most", type=float, default=1e6, help="simulate no more starts than these")
    parser.add_argument("--problems", default=",".join(measured.PROBLEMS))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--latency", type=float, default=10.0, help="microseconds of a take, there and back")
    parser.add_argument(
        "--service",
        type=float,
        default=0.5,
        help="microseconds rank 0 is busy with a take; assumed, for an adapter that serves them",
    )
    parser.add_argument("--spread", type=float, default=0.0, help="relative deviation of the ranks' speeds")
    parser.add_argument("--job", type=Path, default=measured.ROOT / "jobs" / "lorenz96" / "job.toml")
    parser.add_argument("--starts", type=int, default=100, help="starts a rank of the measured runs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--launcher", default="mpirun", help="to which -n RANKS is added")
    arguments = parser.parse_args()
    arguments.ranks = [int(one) for one in arguments.ranks]
    arguments.policies = arguments.policies.split(",")
    parts, lines = arguments.parts.split(","), []
    results: dict[str, Any] = {}
    if "measure" in parts:
        measured.measure(500)
    for one in measured.kept():
        say(
            lines,
            f"{one.name}: {one.totals.mean():.1f} steps a start, deviation {one.totals.std():.1f}, longest "
            f"{one.totals.max()}; a step of 8 lanes {1e6 * one.seconds[8]:.0f} us, of 4 {one.cost(4):.2f}, "
            f"of 2 {one.cost(2):.2f} of that",
        )
    if "run" in parts:
        found = results["run"] = throughput(
            arguments.job, arguments.starts, arguments.repeats, arguments.launcher
        )
        queue = results["queue"] = {
            n: world(n, "queue", {"takes": 20000}, arguments.launcher) for n in (1, 2)
        }
        say(
            lines,
            f"{found['median'][1]:.2f} starts/s on 1 rank, {found['median'][2]:.2f} on 2: efficiency "
            f"{found['efficiency']:.3f}; seconds that ranks wait at the end: "
            + "; ".join(", ".join(f"{idle:.2f}" for idle in one) for one in found["idle"]),
        )
        for ranks, one in queue.items():
            shown = {k: ", ".join(f"{1e6 * value:.2f}" for value in values) for k, values in one.items()}
            say(lines, f"a take on {ranks} ranks: {shown['alone']} us alone, {shown['together']} us at once")
    if "simulate" in parts:
        columns = [f"{name:>8s} {'/ideal':>6s} {'idle':>5s}" for name in arguments.policies]
        say(lines, " ".join([HEAD, *columns]))
        network = Network(1e-6 * arguments.latency, 1e-6 * arguments.service)
        wanted = arguments.problems.split(",")
        rows = [
            row
            for one in measured.kept()
            if one.name in wanted
            for row in simulate(one, arguments, network, lines)
        ]
        results["simulated"] = rows
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "scaling.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
        (arguments.out / "scaling.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if "simulated" in results:
            picture(results["simulated"], arguments.out / "scaling.png")


if __name__ == "__main__":
    main()
