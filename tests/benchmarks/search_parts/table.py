"""From runs to the tables and the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = dict[str, Any]
"""problem, family, measured, method, seed, limit, solved, seconds, lowest, excess, starts, hits."""


def in_order(runs: list[Run], key: str) -> list[Any]:
    """The values of a key, in order of appearance."""
    return list(dict.fromkeys(run[key] for run in runs))


def of(runs: list[Run], **wanted: Any) -> list[Run]:
    """The runs with these values."""
    return [run for run in runs if all(run[key] == value for key, value in wanted.items())]


def share(runs: list[Run]) -> float:
    """Share of the runs that solved their problem."""
    return float(np.mean([run["solved"] for run in runs])) if runs else float("nan")


def typical(runs: list[Run]) -> float:
    """Median core-seconds to the solution, infinite where most runs had none."""
    times = sorted(run["seconds"] if run["solved"] else np.inf for run in runs)
    return float(times[(len(times) - 1) // 2]) if times else float("nan")


def solved_table(runs: list[Run]) -> str:
    """Methods x families: runs that solved their problem, and median core-seconds to it."""

    def cell(here: list[Run]) -> str:
        seconds = typical(here)
        middle = f"{seconds:.3g} s" if np.isfinite(seconds) else "–"
        return f"{sum(run['solved'] for run in here)}/{len(here)} {middle:>7s}"

    foot = "solved/runs, and median core-seconds to the solution (– where most runs found none)"
    return _table(runs, cell, foot)


def hits_table(runs: list[Run]) -> str:
    """Methods x families: starts that ended in the reference or lower, per core-second."""

    def cell(here: list[Run]) -> str:
        rate = sum(run["hits"] for run in here) / max(sum(run["spent"] for run in here), 1e-9)
        hits, starts = (sum(run[key] for run in here) for key in ("hits", "starts"))
        return f"{rate:.3g} ({hits}/{starts})"

    return _table(runs, cell, "hits per core-second (hits/starts that ended)")


def _table(runs: list[Run], cell: Callable[[list[Run]], str], foot: str) -> str:
    """A line a method, a column a family."""
    families = in_order(runs, "family")
    wide = max(14, *(len(name) + 1 for name in families))
    lines = [" " * 14 + "".join(f"{name:>{wide}s}" for name in families)]
    for method in in_order(runs, "method"):
        groups = [of(runs, method=method, family=family) for family in families]
        lines.append(f"{method:14s}" + "".join(f"{cell(here) if here else '':>{wide}s}" for here in groups))
    return "\n".join([*lines, foot, *lower(runs)])


def lower(runs: list[Run]) -> list[str]:
    """What was found below the references."""
    best: dict[str, Run] = {}
    for run in runs:
        if run["excess"] < -1e-6 and run["lowest"] < best.get(run["problem"], run)["lowest"] + 1e-12:
            best[run["problem"]] = run
    return [
        f"{name}: {run['method']} found {run['lowest']!r}, below the reference: tests.oracles is to be mended"
        for name, run in best.items()
    ]


def picture(runs: list[Run], file: Path) -> None:
    """Share solved against L, one panel a ring of sites, and against core-seconds over all problems."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    methods = in_order(runs, "method")
    rings = [ring for ring in ("lorenz96-20", "lorenz96-10") if any(_of_ring(run, ring) for run in runs)]
    rings = [ring for ring in rings if len({run["measured"] for run in runs if _of_ring(run, ring)}) > 1]
    colors = dict(zip(methods, plt.get_cmap("tab20").colors[::2] + plt.get_cmap("tab20").colors[1::2]))  # noqa: B905
    marks = dict(zip(methods, "osD^v<>Ph*Xdp8H" * 3))  # noqa: B905
    count = len(rings) + 1
    figure, axes = plt.subplots(
        1, count, figsize=(4.6 * count + 1.4, 4.2), layout="constrained", squeeze=False
    )
    for axis, ring in zip(axes[0], rings, strict=False):
        here = [run for run in runs if _of_ring(run, ring)]
        counts = sorted({run["measured"] for run in here}, reverse=True)
        for number, method in enumerate(methods):
            shares = [share(of(here, method=method, measured=count)) for count in counts]
            # Beside each other where they are equal.
            places = np.array(counts) - 0.03 * (number - (len(methods) - 1) / 2)
            axis.plot(places, shares, color=colors[method], marker=marks[method], ms=5, lw=1.4)
        axis.set_xticks(counts)
        axis.invert_xaxis()
        axis.set_xlabel(f"L, measured of {ring.split('-')[1]} sites")
        axis.set_ylabel("share of problems solved")
    last = axes[0][-1]
    limit = max(run["limit"] for run in runs)
    least = min([run["seconds"] for run in runs if run["solved"]], default=0.01)
    for method in methods:
        here = of(runs, method=method)
        times = sorted(run["seconds"] for run in here if run["solved"])
        x = [least / 2, *times, limit]
        y = [0, *(k / len(here) for k in range(1, len(times) + 1)), len(times) / len(here)]
        last.step(x, y, where="post", color=colors[method], lw=1.4)
        last.plot(x[-1], y[-1], color=colors[method], marker=marks[method], ms=5, label=method)
    last.set_xscale("log")
    last.set_xlabel("core-seconds")
    last.set_ylabel(f"share solved of all {len({run['problem'] for run in runs})} problems")
    for axis in axes[0]:
        axis.set_ylim(-0.03, 1.03)
        axis.grid(color="0.92")
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*last.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _of_ring(run: Run, ring: str) -> bool:
    return bool(run["family"].startswith(ring + "-"))
