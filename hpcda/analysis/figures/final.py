"""Final actions of all starts: in rising order (waterfall) and counted (histogram)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcda.analysis.figures.style import (
    PAGE,
    Drawn,
    colour,
    figure,
    final_limits,
    level_of,
    logarithmic,
    save,
)
from hpcda.words import counted


def draw_final_actions(run: Drawn, path: Path) -> Path:
    """Draw the final actions of the starts that came to the end.

    Args:
        run: The run.
        path: PNG file to write.
    """
    outcome = run.outcome
    levels = level_of(run)
    rows = np.flatnonzero((levels >= 0) & (outcome.action > 0))
    rows = rows[np.lexsort((outcome.start[rows], levels[rows]))]
    action, level = outcome.action[rows], levels[rows]
    count = len(run.minima)
    with figure(PAGE, 3.0) as made:
        left, right = made.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
        for axes in (left, right):
            final_limits(axes, run, action)
        size = float(np.clip(250 / max(len(rows), 1), 1.5, 5.0))
        for number in sorted(set(level.tolist()), reverse=True):
            at = np.flatnonzero(level == number)
            left.plot(at + 1, action[at], "o", ms=size, color=colour(number), mew=0)
        left.set_xlabel("starts in rising order")
        left.set_ylabel("final action $A$")
        right.set_xlabel("number of starts")
        if len(rows):
            low, high = right.get_ylim()
            edges = np.geomspace(low, high, 41) if logarithmic(action) else np.linspace(low, high, 41)
            bottom = np.zeros(40)
            for number in sorted(set(level.tolist())):
                counts, _ = np.histogram(action[level == number], edges)
                height = np.diff(edges)
                right.barh(edges[:-1], counts, height, left=bottom, align="edge", color=colour(number), lw=0)
                bottom += counts
            right.set_xlim(0, 1.06 * bottom.max())
            right.xaxis.get_major_locator().set_params(integer=True)
        left.xaxis.get_major_locator().set_params(integer=True)
        left.set_title(f"{len(rows)} of {counted(len(outcome.start), 'start')} came to the end", fontsize=8.5)
        right.set_title(counted(count, "distinct minimum", "distinct minima"), fontsize=8.5)
        if run.band.highest > 0:
            right.text(0.98, run.band.highest, r"$\chi^2$ band", transform=right.get_yaxis_transform(),
                       ha="right", va="bottom", fontsize=7.5, color="#666666")  # fmt: skip
        return save(made, path)
