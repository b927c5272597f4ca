"""Momenta of the candidate in time, and its energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpcda.analysis.figures.style import LEVELS, PAGE, figure, save, unit_label
from hpcda.analysis.momenta import Moved, inverse_unit, spreads
from hpcda.analysis.rundata import Result
from hpcda.formatting import counted

LINES = len(LEVELS)
"""States that are drawn: those of the largest momentum."""


def draw_momenta(run: Result, path: Path, window: int = 0) -> Path:
    """Draw momenta and, of a flow, the energy of the candidate in one window.

    Args:
        run: The run; its candidate's path must have been kept.
        path: PNG file to write.
        window: Number of the window.
    """
    assert run.candidate is not None
    found = run._moved(run.candidate.start)
    rows = 1 if found.energies is None else 2
    with figure(PAGE, 0.4 + 2.1 * rows) as made:
        grid: Any = made.subplots(rows, 1, sharex=True, squeeze=False)
        plot_momentum(run, found, grid[0, 0], window)
        if rows == 2:
            grid[0, 0].set_xlabel("")
            plot_energy(run, found, grid[1, 0], window)
        made.align_ylabels(list(grid[:, 0]))
        return save(made, path)


def plot_momentum(run: Result, found: Moved, axes: Any, window: int = 0, name: str | None = None) -> None:
    """Draw the momentum of one state, or of those whose momentum is largest relative to the state's spread.

    Where states have different units, momenta are drawn times the spread (standard deviation) of the state.

    Args:
        run: The run.
        found: The path with its momenta.
        axes: Where to draw.
        window: Number of the window.
        name: The state; by default those of the largest momentum.
    """
    header, own, t = run.file.header, found.motion.windows[window], run.windows[window].t
    spread = spreads(run, found, window)
    size = np.abs(own.middle).max(axis=0) * spread
    order = np.argsort(-size, kind="stable")[:LINES] if name is None else [header.state.index(name)]
    mixed = name is None and len({header.state_unit[state] for state in order}) > 1
    for line, state in enumerate(order):
        # Both sides of a point, so that a jump at a datum is a vertical line.
        sides = np.column_stack([own.arriving[:, state], own.leaving[:, state]])
        sides *= spread[state] if mixed else 1.0
        axes.plot(
            np.repeat(t, 2)[1:-1], sides.ravel()[1:-1], color=LEVELS[line], lw=1.1, label=header.state[state]
        )
    axes.axhline(0.0, color="#999999", lw=0.6, zorder=0)
    left = len(header.state) - len(order)
    unit = "1" if mixed else inverse_unit(header.state_unit[order[0]])
    label = f"momentum of {name}" if name else "momentum × spread" if mixed else "momentum $p$"
    axes.set_ylabel(unit_label(label, unit))
    axes.set_xlabel(unit_label("time", header.time_unit))
    axes.margins(x=0.01)
    if name is None:
        title = f"{counted(left, 'state')} of smaller momentum not shown" if left else None
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            title=title and _wrapped(title),
            title_fontsize=7.5,
            alignment="left",
        )


def plot_energy(run: Result, found: Moved, axes: Any, window: int = 0) -> None:
    """Draw the energy along the path.

    Args:
        run: The run.
        found: The path with its momenta.
        axes: Where to draw.
        window: Number of the window.
    """
    assert found.energies is not None
    own, t = found.energies[window], run.windows[window].t
    sides = np.column_stack([own.arriving, own.leaving]).ravel()
    axes.plot(np.repeat(t, 2)[1:-1], sides[1:-1], color=LEVELS[0], lw=1.1)
    axes.axhline(0.0, color="#999999", lw=0.6, zorder=0)
    axes.set_ylabel(unit_label("energy $H$", inverse_unit(run.file.header.time_unit)))
    axes.set_xlabel(unit_label("time", run.file.header.time_unit))
    axes.margins(x=0.01)


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 18))
