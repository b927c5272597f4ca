"""What each idea of the ladder brings: factorizations, CPU time and hits with it and without.

    .venv/bin/python tests/benchmarks/ladder.py [--problems colpitts,nakl] [--starts 32] [--out FOLDER]

All starts of a problem climb the ladder of tests/benchmarks/peers.py once a variant, from the same paths:

    multipliers   second derivatives weighted by the linear model's multipliers (default), by Rf s r, or
                  left out
    tolerance     rungs before the last ended at 1e-5 of the action (default), 1e-3 or 1e-12
    predictor     a step along the tangent, by one factorization at the old Rf, or along the last two minima
    spacing       every k-th rung; or "adaptive", twice as far after a rung of 1 or 2 factorizations, half
                  as far after more than 4, which passes all rungs but those that are "kept". "back": where
                  the first step is longer than `longest` ("sooner": a third of it), or after 8
                  factorizations, the start returns to the rung that it came from and goes half as far
    steps         the first step's longest length; the pause of second derivatives where a matrix is
                  indefinite

The columns: factorizations a start, those after the first rung, and all without those whose matrix a
predictor could have taken over from the last rung; CPU ms; rungs at which it stopped; hits, the starts
whose last action is within 1e-3 of the lowest of all variants; same, the starts that end where the
default's do; levels, distinct last actions, and how many of them the default has; branch, the share of
rungs that are at the minimum where the same start is with tight rungs; excess, the 99 % quantile of what
such rungs' actions exceed it by; lowest, the largest difference of the lowest level at a rung where all
stopped from that of tight rungs; between, the 95 % quantile of the error of cubic interpolation (dA/d ln Rf
is the model-error part) at rungs passed.

A second table tells how much of the way from a minimum to that at Rf alpha^k one step leaves, as a median:
Newton's with the multipliers, Newton's with Rf s r, the tangents in 1/Rf and in ln Rf; and the difference
of both Newton steps from the tangent in 1/Rf. One core, one thread: set OMP_NUM_THREADS=1. FOLDER gets
ladder.txt, ladder.json and ladder.png.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ladder_parts.climbs import climb, row
from ladder_parts.first_step import first_steps
from ladder_parts.variants import VARIANTS
from peers_parts.problems import CASES, SHARED

from hpcda.action import Action
from hpcda.search import WAYS, SearchContext, begin

PROBLEMS = ("lorenz96-10-trap", "lorenz96-20-trap", "minaone-1", "colpitts", "nakl")
FEW = {"nakl": 8}
HEAD = (
    f"{'':26s} {'fact.':>6s} {'after':>6s} {'guess-':>6s} {'ms':>7s} {'rungs':>5s} {'hits':>5s} {'same':>4s} "
    f"{'levels':>7s} {'branch':>6s} {'excess':>8s} {'lowest':>8s} {'between':>8s}"
)
STEP_HEAD = (
    f"{'k':>26s} {'pairs':>6s} {'lifted':>8s} {'Rf s r':>8s} {'1/Rf':>8s} {'ln Rf':>8s} "
    f"{'lifted-tangent':>14s} {'Rf s r-tangent':>14s}"
)


def line(one: dict[str, Any], starts: int) -> str:
    """A row of the first table."""
    return (
        f"{one['variant']:26s} {one['factorizations']:6.1f} {one['after_first']:6.1f} "
        f"{one['without_guesses']:6.1f} {one['milliseconds']:7.2f} {one['recorded']:5.1f} "
        f"{one['hits']:2d}/{starts:<2d} {one['same_final']:4d} {one['levels']:3d}/{one['shared_levels']:<3d} "
        f"{one['same_branch']:6.2f} {one['excess']:8.1e} {one['lowest_level']:8.1e} {one['between']:8.1e}"
    )


def step_line(one: dict[str, Any]) -> str:
    """A row of the second."""
    names = ("lifted", "residual", "tangent", "ln")
    return (
        f"{one['jump']:26d} {one['pairs']:6d} "
        + " ".join(f"{one.get(name, np.nan):8.3f}" for name in names)
        + f" {one.get('beside', np.nan):14.3f} {one.get('beside_residual', np.nan):14.3f}"
    )


def measure(
    name: str, starts: int, seed: int, folder: Path, wanted: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """All variants on a problem: the results, and the lines of both tables."""
    case = CASES[name]
    problem = case.problem(folder / "twins")
    action, ladder = Action(problem), case.ladder(case.rungs)
    first = [
        begin(SearchContext(problem, ladder), WAYS["uniform"], seed, start).path for start in range(starts)
    ]
    climbs = {}
    for variant in wanted:
        one = climb(VARIANTS[variant], action, ladder, first, paths=variant == "tight rungs")
        climbs[variant] = one
        mean = one.factorizations.sum() / starts
        print(f"  {variant}: {mean:.1f} factorizations, {one.seconds:.2f} s", file=sys.stderr, flush=True)
    exact = climbs["tight rungs"]
    lowest = min(
        float(np.nanmin(one.action[:, -1])) for one in climbs.values() if np.isfinite(one.action[:, -1]).any()
    )
    rows = [row(variant, one, climbs["default"], exact, lowest, ladder.rf) for variant, one in climbs.items()]
    steps = first_steps(action, ladder, exact)
    title = (
        f"{name}: {problem.size} unknowns, {ladder.rungs} rungs of {ladder.alpha:.3g}, lowest {lowest:.6g}"
    )
    lines = [title, HEAD, *(line(one, starts) for one in rows), STEP_HEAD, *map(step_line, steps), ""]
    result = {"problem": name, "starts": starts, "lowest": lowest, "rows": rows, "first_steps": steps}
    return result, lines


def picture(results: list[dict[str, Any]], file: Path) -> None:
    """Factorizations and hits of every variant, in units of the default's."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = [one["variant"] for one in results[0]["rows"]]
    figure, axes = plt.subplots(
        1, 2, figsize=(10, 0.28 * len(names) + 1.5), sharey=True, layout="constrained"
    )
    for number, result in enumerate(results):
        rows = result["rows"]
        y = np.arange(len(rows)) + 0.12 * (number - (len(results) - 1) / 2)
        base = rows[names.index("default")]["factorizations"]
        axes[0].plot([one["factorizations"] / base for one in rows], y, "o", ms=4, label=result["problem"])
        axes[1].plot([one["hits"] / result["starts"] for one in rows], y, "o", ms=4)
    axes[0].axvline(1.0, color="0.7", lw=0.8, zorder=0)
    axes[0].set_xscale("log")
    axes[0].set_xlabel("factorizations a start, in units of the default's")
    axes[1].set_xlabel("share of starts at the lowest level")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    for one in axes:
        one.grid(axis="y", color="0.92")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> None:
    """Print and write the tables and the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--problems", default=",".join(PROBLEMS), help=f"which, with commas: any of {', '.join(CASES)}")
    add("--variants", help=f"which, with ';' beside default and tight rungs: {'; '.join(VARIANTS)}")
    add("--starts", type=int, default=32, help="first paths a problem (32; at most 8 for nakl)")
    add("--seed", type=int, default=1, help="seed of the first paths (1)")
    add("--out", type=Path, default=Path("runs/ladder"), help="folder of the results (runs/ladder)")
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    chosen = arguments.variants.split(";") if arguments.variants else list(VARIANTS)
    wanted = list(dict.fromkeys(["default", "tight rungs", *chosen]))
    results, table = [], []
    for name in arguments.problems.split(","):
        if name.startswith("minaone") and not (SHARED / "data" / "lorenz96-minaone").is_dir():
            print(f"{name}: skipped, no data in {SHARED}")
            continue
        starts = min(arguments.starts, FEW.get(name, arguments.starts))
        result, lines = measure(name, starts, arguments.seed, out, wanted)
        results.append(result)
        table += lines
        print("\n".join(lines), flush=True)
        (out / "ladder.txt").write_text("\n".join(table) + "\n", encoding="utf-8")
        (out / "ladder.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
        picture(results, out / "ladder.png")


if __name__ == "__main__":
    main()
