"""Estimated parameters of every start against its final action."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from hpcda.analysis.bars import parameter_bars
from hpcda.analysis.figures.style import (
    BLUE,
    INK,
    PAGE,
    color,
    figure,
    final_limits,
    level_of,
    save,
    unit_label,
)
from hpcda.analysis.rundata import Result
from hpcda.formatting import counted

PANELS = 12


def draw_parameters(run: Result, path: Path) -> Path:
    """Draw parameters: one panel each, colored by level, with truth and the candidate's error bar.

    Args:
        run: The run; it must estimate a shared parameter.
        path: PNG file to write.
    """
    header = run.file.header
    names = header.parameter[:PANELS]
    columns = min(len(names), 3 if len(names) != 4 else 2)
    rows = -(-len(names) // columns)
    with figure(PAGE if columns > 1 else 4.6, 0.9 + 2.0 * rows) as made:
        grid: Any = made.subplots(rows, columns, sharey=True, squeeze=False)
        handles: dict[str, Any] = {}
        for place, axes in enumerate(grid.ravel()):
            if place >= len(names):
                axes.set_visible(False)
                continue
            handles |= plot_parameter(run, names[place], axes)
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


def plot_parameter(run: Result, name: str, axes: Any) -> dict[str, Any]:
    """Draw one parameter of all starts into axes, against their final actions.

    Args:
        run: The run.
        name: The parameter.
        axes: Where to draw.

    Returns:
        Label -> artist, for a legend.

    Raises:
        ValueError: There is no such parameter.
    """
    header, outcome, levels = run.file.header, run.outcome, level_of(run)
    place = header.parameter.index(name)
    bars = None if run.bars is None else parameter_bars(run.problem, run.bars)
    handles: dict[str, Any] = {}
    for level in sorted(set(levels[levels >= 0].tolist()), reverse=True):
        which = levels == level
        handles["starts by level"] = axes.plot(
            outcome.parameters[which, place], outcome.action[which], "o", ms=3.5, mew=0,
            color=color(level), alpha=0.8, zorder=3 - 0.01 * level,
        )[0]  # fmt: skip
    if name in header.true_parameters:
        true = header.true_parameters[name]
        handles["truth"] = axes.axvline(true, color=INK, lw=0.9, ls=(0, (4, 2)), zorder=2)
    bar = None if bars is None else bars[name]
    note = "open" if bar is not None and bar["kind"] == "open" else ""
    if bar is not None and not note:
        handles["candidate ± 2 standard deviations"] = axes.axvspan(
            bar["low"], bar["high"], color=BLUE, alpha=0.2, lw=0, zorder=1
        )
    elif bar is None and run.no_bars is not None:
        note = "no error bar"
    if note:
        axes.text(0.98, 0.97, note, transform=axes.transAxes, fontsize=7, color="#666666",
                  ha="right", va="top")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(5))
    final_limits(axes, run, outcome.action[levels >= 0])
    axes.set_xlabel(unit_label(name, header.parameter_unit[place]))
    return handles
