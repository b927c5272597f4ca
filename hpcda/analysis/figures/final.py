"""Final actions of all starts: sorted (waterfall plot) and as a histogram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.analysis.figures.style import (
    PAGE,
    Drawn,
    color,
    figure,
    final_limits,
    level_of,
    logarithmic,
    save,
)
from hpcda.formatting import counted

Numbers = npt.NDArray[Any]


def draw_final_actions(run: Drawn, path: Path) -> Path:
    """Draw the final actions of the starts that came to the end.

    Args:
        run: The run.
        path: PNG file to write.
    """
    with figure(PAGE, 3.0) as made:
        left, right = made.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
        plot_waterfall(run, left)
        plot_histogram(run, right)
        left.set_ylabel("final action $A$")
        return save(made, path)


def _ended(run: Drawn) -> tuple[Numbers, Numbers]:
    """Final actions in rising order, and the level of each."""
    outcome, levels = run.outcome, level_of(run)
    rows = np.flatnonzero((levels >= 0) & (outcome.action > 0))
    rows = rows[np.lexsort((outcome.start[rows], levels[rows]))]
    return outcome.action[rows], levels[rows]


def plot_waterfall(run: Drawn, axes: Any) -> None:
    """Draw final actions in rising order into axes, a dot a start, colored by level."""
    action, level = _ended(run)
    final_limits(axes, run, action)
    size = float(np.clip(250 / max(len(action), 1), 1.5, 5.0))
    for number in sorted(set(level.tolist()), reverse=True):
        at = np.flatnonzero(level == number)
        axes.plot(at + 1, action[at], "o", ms=size, color=color(number), mew=0)
    axes.set_xlabel("starts in rising order")
    axes.xaxis.get_major_locator().set_params(integer=True)
    title = f"{len(action)} of {counted(len(run.outcome.start), 'start')} came to the end"
    axes.set_title(title, fontsize=8.5)


def plot_histogram(run: Drawn, axes: Any) -> None:
    """Count final actions along the axis of actions, which is the vertical one."""
    action, level = _ended(run)
    final_limits(axes, run, action)
    axes.set_xlabel("number of starts")
    if len(action):
        low, high = axes.get_ylim()
        edges = np.geomspace(low, high, 41) if logarithmic(action) else np.linspace(low, high, 41)
        bottom = np.zeros(40)
        for number in sorted(set(level.tolist())):
            counts, _ = np.histogram(action[level == number], edges)
            height = np.diff(edges)
            axes.barh(edges[:-1], counts, height, left=bottom, align="edge", color=color(number), lw=0)
            bottom += counts
        axes.set_xlim(0, 1.06 * bottom.max())
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(counted(len(run.levels), "distinct minimum", "distinct minima"), fontsize=8.5)
    if run.band.highest > 0:
        axes.text(0.98, run.band.highest, r"$\chi^2$ band", transform=axes.get_yaxis_transform(),
                  ha="right", va="bottom", fontsize=7.5, color="#666666")  # fmt: skip
