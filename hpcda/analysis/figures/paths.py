"""Estimated states with error bars, data, prediction beyond the window, and the truth where it is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.analysis.figures.style import BLUE, INK, ORANGE, PAGE, figure, save, unit_label
from hpcda.analysis.laplace import Bar
from hpcda.analysis.prediction import Prediction
from hpcda.analysis.rundata import Result
from hpcda.errors import InputError
from hpcda.formatting import counted
from hpcda.results.windows import StoredWindow

Array = npt.NDArray[np.float64]
PANELS = 12
"""Panels of one figure."""


def panels_of(run: Result) -> tuple[list[tuple[str, int | None, int | None]], int]:
    """Panels (name, state, measured quantity): what is measured first, then the other states.

    Returns:
        The panels, and the number of states that are left out.
    """
    header = run.file.header
    direct = {text: k for k, text in enumerate(header.expression) if text in header.state}
    seen = [(name, k, direct[name]) for k, name in enumerate(header.state) if name in direct]
    unseen = [(name, k, None) for k, name in enumerate(header.state) if name not in direct]
    derived = [
        (header.observed[k], None, k) for k, text in enumerate(header.expression) if text not in header.state
    ]
    half = PANELS - min(len(unseen), PANELS // 2)
    first = (derived + seen)[:half]
    panels: list[tuple[str, int | None, int | None]] = [*first, *unseen[: PANELS - len(first)]]
    left = len(header.state) - sum(state is not None for _, state, _ in panels)
    return panels, left


def draw_paths(run: Result, path: Path, window: int = 0) -> Path:
    """Draw the candidate in one window, with its own error bars, which end at the bounds.

    Args:
        run: The run; its candidate's path must have been kept.
        path: PNG file to write.
        window: Number of the window.
    """
    header = run.file.header
    panels, left = panels_of(run)
    columns = 1 if len(panels) <= 3 else 2
    rows = -(-len(panels) // columns)
    with figure(PAGE, 1.0 + (1.25 if columns == 2 else 1.5) * rows) as made:
        grid: Any = made.subplots(rows, columns, sharex=True, squeeze=False)
        handles: dict[str, Any] = {}
        for place, axes in enumerate(grid.T.ravel()):
            if place >= len(panels):
                axes.set_visible(False)
                continue
            name, state, quantity = panels[place]
            handles |= _plot(axes, run, window, name, state, quantity)
        for axes in grid[-1]:
            axes.set_xlabel(unit_label("time", header.time_unit))
        if len(panels) < rows * columns:
            grid[rows - 2, -1].set_xlabel(unit_label("time", header.time_unit))
            grid[rows - 2, -1].tick_params(labelbottom=True)
        order = ["data", "held-out data", "truth", "estimate", "± 2 standard deviations", "prediction"]
        shown = [key for key in order if key in handles]
        made.legend([handles[key] for key in shown], shown, loc="outside upper center",
                    ncols=min(len(shown), 6), columnspacing=1.2, handlelength=1.6)  # fmt: skip
        if left:
            made.supxlabel(
                f"{counted(left, 'more state is', 'more states are')} in candidate.csv",
                fontsize=7.5,
                color="#666666",
            )
        return save(made, path)


def plot_path(run: Result, name: str, axes: Any, window: int = 0) -> dict[str, Any]:
    """Draw a state, or what is measured, of the candidate into axes, with error bars, data and prediction.

    Args:
        run: The run; its candidate's path must have been kept.
        name: A state, or a key of what is observed.
        axes: Where to draw.
        window: Number of the window.

    Returns:
        Label -> artist, for a legend.

    Raises:
        ValueError: There is no such state or measured quantity.
    """
    header = run.file.header
    direct = {text: k for k, text in enumerate(header.expression)}
    if name in header.state:
        handles = _plot(axes, run, window, name, header.state.index(name), direct.get(name))
    else:
        handles = _plot(axes, run, window, name, None, header.observed.index(name))
    axes.set_xlabel(unit_label("time", header.time_unit))
    return handles


def _plot(
    axes: Any, run: Result, window: int, name: str, state: int | None, quantity: int | None
) -> dict[str, Any]:
    """One panel: a state, measured or not, or a measured quantity that is no state."""
    header, stored = run.file.header, run.windows[window]
    handles: dict[str, Any] = {}
    prediction, bars = _prediction(run, window), _bars(run, window)
    if state is not None:
        values = run.kept_path()[0][window][:, state]
    else:
        assert quantity is not None
        values = run.fitted(window)[:, quantity]
    band = bars[:, :, state] if bars is not None and state is not None else None
    _panel(axes, run, window, values, band, prediction, state, quantity, handles)
    axes.set_ylabel(unit_label(name, header.state_unit[state] if state is not None else "1"))
    if quantity is None:
        axes.text(0.995, 1.0, "not measured", transform=axes.transAxes, fontsize=7, color="#666666",
                  ha="right", va="bottom")  # fmt: skip
    _frame(axes, stored, values, prediction, state, quantity)
    return handles


def _panel(
    axes: Any,
    run: Result,
    window: int,
    values: Array,
    band: Array | None,
    prediction: Prediction | None,
    state: int | None,
    quantity: int | None,
    handles: dict[str, Any],
) -> None:
    stored = run.windows[window]
    if len(stored.truth_t) and state is not None and np.isfinite(stored.truth[:, state]).any():
        line = axes.plot(stored.truth_t, stored.truth[:, state], color=INK, lw=0.9, ls=(0, (4, 2)), zorder=4)
        handles["truth"] = line[0]
    if band is not None:
        handles["± 2 standard deviations"] = axes.fill_between(
            stored.t, band[0], band[1], color=BLUE, alpha=0.25, lw=0
        )
    handles["estimate"] = axes.plot(stored.t, values, color=BLUE, lw=1.5, zorder=3)[0]
    if quantity is not None:
        known = np.isfinite(stored.data[:, quantity])
        style = {"ls": "", "marker": "o", "ms": 2.6, "mew": 0.6, "zorder": 2}
        dots = axes.plot(stored.t[known], stored.data[known, quantity], color="#888888", **style)
        handles["data"] = dots[0]
        if len(stored.beyond_t) > 1:
            later = axes.plot(
                stored.beyond_t[1:], stored.beyond_data[1:, quantity], mec="#888888", mfc="white", **style
            )
            handles["held-out data"] = later[0]
    if prediction is not None:
        source = prediction.states[:, state] if state is not None else prediction.observed[:, quantity]
        handles["prediction"] = axes.plot(prediction.t, source, color=ORANGE, lw=1.5, zorder=3)[0]
        axes.axvline(stored.t[-1], color="#999999", lw=0.7, ls=":", zorder=1)


def _frame(
    axes: Any,
    stored: StoredWindow,
    values: Array,
    prediction: Prediction | None,
    state: int | None,
    quantity: int | None,
) -> None:
    """Limits from estimate, data and truth, so that a prediction that runs away does not flatten all else."""
    parts = [values]
    if quantity is not None:
        parts += [stored.data[:, quantity], stored.beyond_data[:, quantity]]
    if state is not None:
        parts.append(stored.truth[:, state])
    known = np.concatenate(parts)
    known = known[np.isfinite(known)]
    low, high = float(known.min()), float(known.max())
    if prediction is not None and state is not None:
        inside = prediction.states[:, state]
        reach = 0.3 * (high - low)
        inside = inside[(inside > low - reach) & (inside < high + reach)]
        low, high = min([low, *inside]), max([high, *inside])
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.margins(x=0.01)


def _prediction(run: Result, window: int) -> Prediction | None:
    """The prediction of the held-out data; None where there are none or the problem is lost."""
    if not len(run.windows[window].beyond_t):
        return None
    try:
        return run.predicted(window=window)
    except InputError:
        return None


def _bars(run: Result, window: int) -> Array | None:
    """Lower and upper end of the candidate's error bars, NaN of what is open, shape (2, N, D)."""
    if run.bars is None:
        return None
    open_, states = run.bars.kinds == Bar.OPEN, len(run.file.header.state)
    ends = [np.where(open_, np.nan, end) for end in (run.bars.low, run.bars.high)]
    return np.stack([run.problem.split(end)[0][window][:, :states] for end in ends])
