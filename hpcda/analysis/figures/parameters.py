"""Estimated parameters of every start against its final action."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from hpcda.analysis.figures.style import (
    BLUE,
    INK,
    PAGE,
    colour,
    figure,
    final_limits,
    level_of,
    save,
    unit_label,
)
from hpcda.analysis.rundata import Run
from hpcda.words import counted

PANELS = 12


def draw_parameters(run: Run, path: Path) -> Path:
    """Draw parameters: one panel each, coloured by level, with truth and error bar where known.

    Args:
        run: The run; it must estimate a shared parameter.
        path: PNG file to write.
    """
    header, outcome, levels = run.file.header, run.outcome, level_of(run)
    names = header.parameter[:PANELS]
    columns = min(len(names), 3 if len(names) != 4 else 2)
    rows = -(-len(names) // columns)
    spread = _spread(run)
    with figure(PAGE if columns > 1 else 4.6, 0.9 + 2.0 * rows) as made:
        grid: Any = made.subplots(rows, columns, sharey=True, squeeze=False)
        handles: dict[str, Any] = {}
        for place, axes in enumerate(grid.ravel()):
            if place >= len(names):
                axes.set_visible(False)
                continue
            axes.set_yscale("log")
            for level in sorted(set(levels[levels >= 0].tolist()), reverse=True):
                which = levels == level
                handles.setdefault(
                    "starts by level",
                    axes.plot(outcome.parameters[which, place], outcome.action[which], "o", ms=3.5, mew=0,
                              color=colour(level), alpha=0.8, zorder=3 - 0.01 * level)[0],
                )  # fmt: skip
                if level == 0:
                    handles["starts by level"] = axes.lines[-1]
            if names[place] in header.true_parameters:
                true = header.true_parameters[names[place]]
                handles["truth"] = axes.axvline(true, color=INK, lw=0.9, ls=(0, (4, 2)), zorder=2)
            if spread is not None:
                mean, std = spread[0][place], spread[1][place]
                handles["± 2 standard deviations"] = axes.axvspan(mean - 2 * std, mean + 2 * std, color=BLUE,
                                                                      alpha=0.2, lw=0, zorder=1)  # fmt: skip
            axes.xaxis.set_major_locator(MaxNLocator(5))
            final_limits(axes, run, outcome.action[levels >= 0])
            axes.set_xlabel(unit_label(names[place], header.parameter_unit[place]))
            if place % columns == 0:
                axes.set_ylabel("final action $A$")
        made.legend(list(handles.values()), list(handles), loc="outside upper center",
                    ncols=3, columnspacing=1.2, handlelength=1.6)  # fmt: skip
        if len(header.parameter) > PANELS:
            made.supxlabel(
                f"{counted(len(header.parameter) - PANELS, 'more is', 'more are')} in summary.json",
                fontsize=7.5,
                color="#666666",
            )
        return save(made, path)


def _spread(run: Run) -> tuple[Any, Any] | None:
    """Mean and standard deviation of the parameters, None where there is no distribution."""
    mixture = run.known_mixture
    if mixture is None:
        return None
    return mixture.mean[-run.file.header.parameter_start.shape[0] :], np.sqrt(
        np.diagonal(mixture.parameter_covariance)
    )
