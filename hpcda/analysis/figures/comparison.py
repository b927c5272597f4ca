"""Figures that compare runs: action levels and held-out errors against the job key that differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hpcda.analysis.comparison import RESULTS
from hpcda.analysis.figures.style import BAND, PAGE, color, figure, save, short, unit_label
from hpcda.errors import InputError, Mistake
from hpcda.names import nearest
from hpcda.problem import Array

WIDE = 20.0
"""Ratio of the largest and the smallest value from which an axis is logarithmic."""


def draw_comparison(table: xr.Dataset, path: Path, over: str | None = None) -> Path:
    """Draw levels, and errors of held-out pairs or their accuracy, over a key.

    Lines are runs alike in the other keys that vary; runs that differ in `seed` alone are points of a line.

    Args:
        table: What `hpcda.analysis.comparison.compare` returned.
        path: The PNG file.
        over: The key or result on the horizontal axis; by default the key of numbers with most values, or,
            where the jobs differ in no number, the key of words with most values, or the runs themselves.

    Raises:
        InputError: There is no such key, it holds no numbers, or no run came to a minimum.
    """
    keys = [key for key in table.attrs["varied"] if len(np.unique(table[key].values.astype(str))) > 1]
    over = _over(table, keys, over)
    others = [key for key in keys if key != over and not key.endswith("seed") and not _tied(table, over, key)]
    rows = [key for key in ("reduced", "action", "held_back", "accuracy") if key in table]
    if "reduced" in rows:
        rows.remove("action")
    if not rows:
        raise InputError(Mistake("runs", "none of them has come to a minimum", "run their jobs again"))
    groups, (x, words) = _groups(table, others), _axis(table, over)
    with figure(0.8 * PAGE, 0.38 * PAGE * len(rows)) as made:
        axes = np.atleast_1d(made.subplots(len(rows), 1, sharex=True))
        for axis, row in zip(axes, rows, strict=True):
            _lines(axis, table, x, row, groups)
        axes[-1].set_xlabel(RESULTS.get(over, over))
        if words:
            axes[-1].set_xticks(np.arange(len(words)), words)
        else:
            _scale(axes[-1].xaxis, x)
        if len(groups) > 1:
            axes[0].legend(title=", ".join(others), fontsize=7, title_fontsize=7, ncols=1 + len(groups) // 8)
        return save(made, path)


def _median(values: Array) -> float:
    """Median of the known values, NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _over(table: xr.Dataset, keys: Sequence[str], over: str | None) -> str:
    numbers = [key for key in table.data_vars if table[key].dtype.kind == "f"]
    if over is not None:
        if over not in numbers:
            problem = (
                "holds no numbers"
                if over in table
                else "is neither a key in which the jobs differ nor a result"
            )
            raise InputError(Mistake(f"--over {over}", problem, nearest(over, list(map(str, numbers)))))
        return over
    known = [key for key in keys if key in numbers and not key.endswith("seed")]
    known = known or [key for key in keys if key in numbers]
    known = known or list(keys) or ["run"]
    return max(known, key=lambda key: len(np.unique(table[key].values.astype(str))))


def _axis(table: xr.Dataset, over: str) -> tuple[Array, list[str]]:
    """Where every run stands on the horizontal axis, shape (runs,), and, of words, what stands there."""
    values = table[over].values
    if values.dtype.kind == "f":
        return values, []
    words = list(dict.fromkeys(map(str, values)))
    return np.array([float(words.index(str(one))) for one in values]), words


def _tied(table: xr.Dataset, over: str, key: str) -> bool:
    """Whether a key follows from the one on the axis."""
    values = {(str(x), str(y)) for x, y in zip(table[over].values, table[key].values, strict=True)}
    return len(values) == len(np.unique(table[over].values.astype(str)))


def _groups(table: xr.Dataset, keys: Sequence[str]) -> dict[str, list[int]]:
    """Runs that are alike in keys: label -> their places."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place in range(table.sizes["run"]):
        groups.setdefault(tuple(table[key].values[place] for key in keys), []).append(place)
    ordered = sorted(groups.items(), key=lambda group: tuple(map(_sortable, group[0])))
    return {", ".join(map(_words, values)): places for values, places in ordered}


def _sortable(value: Any) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")


def _words(value: Any) -> str:
    return value if isinstance(value, str) else short(float(value))


def _lines(axis: Any, table: xr.Dataset, x: Array, row: str, groups: dict[str, list[int]]) -> None:
    y = table[row].values
    for number, (label, places) in enumerate(groups.items()):
        order = np.array(places)[np.argsort(x[places], kind="stable")]
        at = np.unique(x[order])
        middle = [_median(y[order][x[order] == one]) for one in at]
        axis.plot(at, middle, color=color(number), lw=1.1, label=label)
        axis.plot(x[order], y[order], "o", ms=3.2, mew=0, color=color(number))
        if row == "held_back":
            usual = table["constant"].values[order]
            means = [_median(usual[x[order] == one]) for one in at]
            axis.plot(at, means, color=color(number), lw=0.8, ls=":", marker="_", ms=7)
    if row == "held_back":
        axis.set_title("dotted: prediction by the training mean, or by the training frequencies", fontsize=7)
    if row == "reduced":
        axis.axhline(1.0, color=BAND, lw=3.0, zorder=0)
    _scale(axis.yaxis, y)
    axis.set_ylabel(unit_label(RESULTS[row], table[row].attrs.get("units", "")))


def _scale(axis: Any, values: Array) -> None:
    """A logarithmic scale where values are above 0 and far apart."""
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0.0 and known.max() > WIDE * known.min():
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
