"""The table and the picture of a comparison: for each problem and solver the common and its best ladder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .verdict import consistent, excess, lowest, row

COLORS = {"hpcda": "C0", "ipopt": "C1", "lbfgs": "C2"}
LABELS = {"hpcda": "hpcda", "ipopt": "CasADi + IPOPT", "lbfgs": "SciPy L-BFGS-B"}
HEAD = (
    f"{'problem':17s} {'solver':6s} {'ladder':7s} {'alpha':>6s} "
    f"{'starts':>7s} {'s/start':>8s} {'quartiles':>17s} {'fact.':>6s} "
    f"{'hits':>5s} {'+pol':>5s} {'TTS99 s':>9s} {'/hpcda':>7s} {'MB':>6s} {'abs.':>6s} {'excess':>9s}"
)


def rows_of(
    cells: list[dict[str, Any]], common: dict[str, int], measured: dict[str, int], paths: Callable
) -> list[dict[str, Any]]:
    """Rows by problem, solver and role ("common", "best"), with all ladders tried in "tried"."""
    rows: list[dict[str, Any]] = []
    for problem in dict.fromkeys(cell["problem"] for cell in cells):
        here = [cell for cell in cells if cell["problem"] == problem]
        best, reference = lowest(here), {}
        for solver in dict.fromkeys(cell["solver"] for cell in here):
            own = [cell for cell in here if cell["solver"] == solver]
            tried = [row(cell, best) for cell in own]
            shared = [
                (one, cell) for one, cell in zip(tried, own, strict=True) if one["rungs"] == common[problem]
            ]
            # Where no ladder finds it, the best after polishing and then the fastest speaks for the solver.
            first = min(tried, key=lambda one: (one["tts99"], one["tts99_if_polished"], one["seconds"]))
            roles = {"common": shared[0][0]} if shared else {}
            roles["best"] = first
            ours = [c for c in here if c["solver"] == "hpcda" and c["rungs"] == common[problem]]
            for role, one in roles.items():
                if solver == "hpcda":
                    reference[role] = one["tts99"]
                base = reference.get(role, float("nan"))
                ratio = one["tts99"] / base  # inf: only hpcda finds it; 0: only the peer does; nan: neither
                worst, pairs = None, 0
                if solver != "hpcda" and ours and shared:
                    worst, pairs = excess(ours[0], shared[0][1], paths)
                rows.append(
                    {
                        **one,
                        "role": role,
                        "ratio": ratio,
                        "excess": worst,
                        "pairs": pairs,
                        "lowest_of_all": best,
                        "consistent": consistent(best, measured[problem]),
                    }
                    | ({"tried": tried} if role == "best" else {})
                )
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [HEAD]
    for one in rows:
        memory = one["memory"]
        extra = "" if one["ended"] == "complete" else f"  {one['message']}"
        excess_text = "" if one["excess"] is None else f"{one['excess']:9.1e}"
        quartiles = f"{one['quartiles'][0]:.3g} – {one['quartiles'][2]:.3g}"
        lines.append(
            f"{one['problem']:17s} {one['solver']:6s} {one['role']:7s} {one['alpha']:6.2f} "
            f"{one['starts']:3d}/{one['wanted']:<3d} {one['seconds']:8.3g} {quartiles:>17s} "
            f"{one['factorizations']:6.0f} {one['hits']:4d}{'*' if one['mixed'] else ' '} "
            f"{one['hits_if_polished']:5d} {one['tts99']:9.3g} {one['ratio']:7.3g} "
            f"{memory['climbing_mb']:6.0f} {memory['peak_mb']:6.0f} {excess_text:>9s}{extra}"
        )
    wrong = {one["problem"]: one["lowest_of_all"] for one in rows if not one["consistent"]}
    for problem, value in wrong.items():
        lines.append(
            f"{problem}: the lowest action of all, {value:.6g}, is above what noise explains: no solver "
            "has found the path, and its times to solution mean nothing."
        )
    return "\n".join(lines)


def picture(rows: list[dict[str, Any]], file: Path) -> None:
    """Time to solution of every problem: full marks for a solver's best ladder, hollow for the common one."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    problems = list(dict.fromkeys(one["problem"] for one in rows))
    finite = [one["tts99"] for one in rows if np.isfinite(one["tts99"])]
    top = 4 * max(finite, default=1.0)
    figure, axes = plt.subplots(figsize=(max(6.0, 2.5 + 0.55 * len(problems)), 5), layout="constrained")
    for number, (solver, color) in enumerate(COLORS.items()):
        for role in ("common", "best"):
            here = [one for one in rows if one["solver"] == solver and one["role"] == role]
            x = [problems.index(one["problem"]) + 0.18 * (number - 1) for one in here]
            y = [one["tts99"] if np.isfinite(one["tts99"]) else top for one in here]
            face = color if role == "best" else "none"
            for missed in (False, True):
                some = [k for k, one in enumerate(here) if np.isfinite(one["tts99"]) != missed]
                axes.scatter(
                    [x[k] for k in some], [y[k] for k in some], s=45, marker="^" if missed else "o",
                    edgecolors=color, facecolors=face,
                    label=LABELS[solver] if role == "best" and here and not missed else None,
                )  # fmt: skip
    axes.axhline(top, color="0.8", lw=0.8, zorder=0)
    words = "no start found the lowest minimum"
    axes.text(len(problems) - 0.5, top * 1.1, words, ha="right", color="0.4", fontsize=8)
    axes.set_yscale("log")
    axes.set_xlim(-0.5, len(problems) - 0.5)
    axes.set_xticks(range(len(problems)), problems, rotation=50, ha="right")
    axes.set_ylabel("time to the lowest minimum with 99 % probability, s")
    axes.set_title("one core; full: each solver's best ladder, hollow: the common one", fontsize=9)
    axes.grid(axis="y", color="0.92")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(file, dpi=150)
    plt.close(figure)
