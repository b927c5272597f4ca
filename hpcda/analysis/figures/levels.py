"""The action level plot: log A of every start against β (Ye et al., Phys. Rev. E 92, 052901, 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from hpcda.analysis.figures.style import (
    BAND,
    FAILED,
    INK,
    LEVELS,
    PAGE,
    color,
    few_ticks,
    figure,
    level_of,
    linear_limits,
    logarithmic,
    save,
    short,
)
from hpcda.analysis.rundata import Result
from hpcda.formatting import counted

Array = npt.NDArray[np.float64]
LABELS = 8
"""Levels that are named at the right."""


def draw_levels(run: Result, path: Path) -> Path:
    """Draw action levels: β below, Rf above, levels counted at the right, the χ² band behind.

    Args:
        run: The run.
        path: PNG file to write.
    """
    with figure(PAGE, 4.3) as made:
        plot_levels(run, made.add_subplot())
        return save(made, path)


def plot_levels(run: Result, axes: Any) -> None:
    """Draw action levels into axes; see `draw_levels`."""
    header = run.file.header
    table, levels = run.file.table("action"), level_of(run)
    ends = table[:, -1] if np.isfinite(table[:, -1]).any() else table
    decades = logarithmic(ends)
    table = np.where(table > 0, table, np.nan) if decades else table
    beta = header.beta.astype(float)
    if decades:
        axes.set_yscale("log")
    _band(axes, run)
    for level in sorted(set(levels.tolist()), reverse=True):
        _lines(axes, beta, table[levels == level], level)
    _ends(axes, beta, table, levels)
    axes.set_xlim(beta[0], beta[-1] if len(beta) > 1 else beta[0] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(*(_limits(table, run) if decades else linear_limits(ends, run)))
    _without_model_error(axes, run)
    axes.set_xlabel(r"$\beta$")
    axes.set_ylabel("action $A$")
    if decades:
        few_ticks(axes)
    _precision(axes, run)
    _labels(axes, run)


def _lines(axes: Any, beta: Array, table: Array, level: int) -> None:
    """One line a start; starts that share a level share its color."""
    many = len(table)
    segments = [np.column_stack([beta, row])[np.isfinite(row)] for row in table]
    style = {"colors": FAILED if level < 0 else color(level), "linewidths": 1.1 if level == 0 else 0.9}
    opacity = float(np.clip(12 / max(many, 1), 0.12, 0.85))
    axes.add_collection(
        LineCollection([s for s in segments if len(s) > 1], alpha=opacity, zorder=2 - 0.01 * level, **style)
    )


def _ends(axes: Any, beta: Array, table: Array, levels: npt.NDArray[np.int64]) -> None:
    """A mark where each level ends, a cross where a start ended early."""
    for level in sorted(set(levels[levels >= 0].tolist()), reverse=True):
        lowest = np.nanmin(table[levels == level, -1])
        axes.plot(beta[-1:], [lowest], "o", ms=4.5, color=color(level), clip_on=False, zorder=4)
    early = [
        (beta[k[-1]], row[k[-1]]) for row in table[levels < 0] if len(k := np.flatnonzero(np.isfinite(row)))
    ]
    if early:
        axes.plot(*np.array(early).T, "x", ms=5, mew=1.2, color="#777777", clip_on=False, zorder=3)


def _without_model_error(axes: Any, run: Result) -> None:
    """A dash at the limit A(∞) of each level that is named."""
    for level, minimum in enumerate(run.levels[:LABELS]):
        if axes.get_ylim()[0] <= minimum.limit < axes.get_ylim()[1]:
            axes.plot(
                [1.0, 1.02], [minimum.limit] * 2, lw=1.4, color=color(level), clip_on=False, zorder=4,
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip


def _band(axes: Any, run: Result) -> None:
    """Where an action that consists of noise alone lies, less what the unknowns absorb, if any is left."""
    if not run.band.highest > 0:
        return
    low = max(run.band.lowest, 0.01 * run.band.data)
    axes.axhspan(low, run.band.highest, color=BAND, lw=0, zorder=0)
    axes.annotate(
        r"$\chi^2$ band: what noise alone gives", (1.0, low), xycoords=("axes fraction", "data"),
        xytext=(-5, -3), textcoords="offset points", ha="right", va="top",
        fontsize=7.5, color="#666666", zorder=1,
    )  # fmt: skip


def _limits(table: Array, run: Result) -> tuple[float, float]:
    """All ends, and what is near the band: the first rungs of an annealing may lie many decades below it."""
    final = table[:, -1][np.isfinite(table[:, -1])]
    known = table[np.isfinite(table)]
    some = known.size > 0
    top = max([run.band.highest, *final[:1], *(known.max(keepdims=True) if some else [])])
    low = min([run.band.lowest, *(known.min(keepdims=True) if some else [])])
    low = min([max(low, top * 1e-6, run.band.data / 2.0 * 1e-3), *final])
    return 0.6 * low, 1.8 * top


def _precision(axes: Any, run: Result) -> None:
    """Rf on the top axis, at whole decades, and at infinity."""
    rf, beta = run.file.header.rf, run.file.header.beta.astype(float)
    finite = np.isfinite(rf)
    top = axes.secondary_xaxis("top")
    top.spines["top"].set_visible(True)
    ticks, labels = [*beta[~finite]], [r"$\infty$"] * int((~finite).sum())
    if finite.any():
        logs = np.log10(rf[finite])
        decades = np.arange(np.ceil(logs.min() - 1e-9), np.floor(logs.max() + 1e-9) + 1)
        step = max(1, int(np.ceil(len(decades) / 8)))
        chosen = decades[::step]
        ticks = [*np.interp(chosen, logs, beta[finite]), *ticks]
        labels = [*(f"$10^{{{int(d)}}}$" for d in chosen), *labels]
    top.set_xticks(ticks)
    top.set_xticklabels(labels)
    top.set_xlabel("$R_f$")


def _labels(axes: Any, run: Result) -> None:
    """Count, action and reduced level of the lowest levels, moved apart where they would overlap."""
    minima = run.levels
    shown = minima[:LABELS]
    axes.text(
        1.055, 1.02, "starts · action (reduced)", transform=axes.transAxes, fontsize=7.5, color="#666666"
    )
    if not shown:
        axes.text(1.055, 0.5, "no start reached\nthe end", transform=axes.transAxes, fontsize=8)
        return
    actions, ends = np.array([m.action for m in shown]), np.array(axes.get_ylim())
    if axes.get_yscale() == "log":
        actions, ends = np.log(np.maximum(actions, 1e-300)), np.log(ends)
    wanted = (actions - ends[0]) / (ends[1] - ends[0])
    places = 0.95 * moved_apart(np.clip(wanted / 0.95, 0.0, 1.0), 0.065)
    for number, (minimum, place, true) in enumerate(zip(shown, places, np.clip(wanted, 0, 1), strict=True)):
        text = f"{minimum.count} · {short(minimum.action)} ({minimum.reduced:.3g})"
        axes.annotate(
            text, (1.0, true), (1.055, place), xycoords="axes fraction", textcoords="axes fraction",
            va="center", fontsize=8, fontweight="bold" if number == 0 else "normal", annotation_clip=False,
            color=color(number) if number < len(LEVELS) else INK,
            arrowprops={"arrowstyle": "-", "lw": 0.6, "color": color(number), "shrinkA": 1, "shrinkB": 3,
                        "relpos": (0.0, 0.5)},
        )  # fmt: skip
    rest = minima[LABELS:]
    if rest:
        text = f"+ {counted(len(rest), 'level')} above, {counted(sum(m.count for m in rest), 'start')}"
        axes.text(
            1.055,
            min(places[-1] + 0.06, 0.99),
            text,
            transform=axes.transAxes,
            fontsize=7.5,
            color="#666666",
            va="center",
        )


def moved_apart(wanted: Array, distance: float) -> Array:
    """Rising places as close to the wanted ones as a smallest distance allows, within 0 and 1.

    Args:
        wanted: Rising, shape (n,).
        distance: Smallest distance of two neighbors; made smaller where n of them do not fit.
    """
    distance = min(distance, 1.0 / max(len(wanted) - 1, 1))
    steps = distance * np.arange(len(wanted))
    free = wanted - steps
    # isotonic regression by pooling neighbors that are out of order
    pools: list[tuple[float, int]] = []
    for value in free:
        mean, count = float(value), 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    flat = np.concatenate([np.full(count, mean) for mean, count in pools]) if pools else np.zeros(0)
    placed: Array = np.clip(flat, 0.0, max(0.0, 1.0 - distance * (len(wanted) - 1))) + steps
    return placed
