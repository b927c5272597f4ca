"""The candidate against the number of steps: how far it is from its limit, and how its path changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import NullLocator

from hpcda.analysis.figures.style import BLUE, INK, LEVELS, PAGE, figure, save
from hpcda.analysis.refinement import deviations, distances
from hpcda.analysis.rundata import Result
from hpcda.formatting import counted
from hpcda.search.refinement import CLOSE, Refinement

LINES = len(LEVELS)
"""Quantities that are drawn: those furthest from their limit at the first level."""


def draw_refinement(run: Result, levels: int, path: Path) -> Path:
    """Draw the distance from the limit and, beside it, the change of the path from level to level.

    Args:
        run: The run; its candidate's path must have been kept.
        levels: Levels of the refinement.
        path: PNG file to write.
    """
    found = run.refine(levels)
    with figure(PAGE, 2.8) as made:
        left, right = made.subplots(1, 2)
        plot_distances(run, found, left)
        plot_changes(found, right)
        return save(made, path)


def plot_distances(run: Result, found: Refinement, axes: Any) -> None:
    """Draw how far action and parameters are from their limits, in standard deviations.

    Args:
        run: The run.
        found: Its refinement.
        axes: Where to draw.
    """
    steps = np.array([one.steps for one in found.levels])
    all_of_them = distances(found, deviations(run))
    order = sorted(all_of_them, key=lambda name: -all_of_them[name][0])
    for line, name in enumerate(order[:LINES]):
        axes.plot(steps, all_of_them[name], "o-", ms=3.5, lw=1.1, color=LEVELS[line], label=name)
    if order:
        guide = all_of_them[order[0]][0] * (steps[0] / steps) ** found.order
        axes.plot(steps, guide, ":", color=INK, lw=0.9, label=f"order {found.order}")
        left = len(order) - LINES
        axes.legend(fontsize="small", title=f"{counted(left, 'other')} nearer" if left > 0 else None)
    else:
        axes.text(0.5, 0.5, "no limit is shown", transform=axes.transAxes, ha="center")
    axes.axhline(CLOSE, color="#999999", lw=0.8, zorder=0)
    axes.set_ylabel("distance from the limit (std)")
    _steps_below(axes, steps)


def plot_changes(found: Refinement, axes: Any) -> None:
    """Draw the root mean square change of the states from each level to the next.

    Args:
        found: The refinement.
        axes: Where to draw.
    """
    steps = np.array([one.steps for one in found.levels[1:]])
    axes.plot(steps, found.path_changes, "o-", ms=3.5, lw=1.1, color=BLUE, label="states")
    guide = found.path_changes[0] * (steps[0] / steps) ** found.order
    axes.plot(steps, guide, ":", color=INK, lw=0.9, label=f"order {found.order}")
    axes.legend(fontsize="small")
    axes.set_ylabel("change from half as many (rms)")
    _steps_below(axes, steps)


def _steps_below(axes: Any, steps: Any) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("steps per sample")
