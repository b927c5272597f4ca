"""Figures of a trained network: outputs against data, confusion of categories, weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from hpcda.analysis.figures.final import draw_final_actions
from hpcda.analysis.figures.style import BLUE, INK, ORANGE, PAGE, figure, save
from hpcda.problem import Array

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult

PANELS = 6
"""Matrices of weights that are drawn."""
MOST = 5000
"""Points of one color that are drawn."""


def draw_network(run: NetworkResult, folder: Path) -> dict[str, Path]:
    """Draw into a folder: final actions, outputs or categories, weights.

    Args:
        run: The run.
        folder: Where the PNG files go.

    Returns:
        Title -> file, in the order of the report.
    """
    figures: dict[str, Path] = {}
    if run.candidate is None:
        return figures
    if run.candidate.has_path:
        if run.categories:
            figures["Categories"] = _categories(run, folder / "categories.png")
        else:
            figures["Outputs"] = _outputs(run, folder / "outputs.png")
        figures["Weights"] = _weights(run, folder / "weights.png")
    figures["Final actions"] = draw_final_actions(run, folder / "final_actions.png")
    return figures


def _outputs(run: NetworkResult, path: Path) -> Path:
    with figure(0.62 * PAGE, 0.56 * PAGE) as made:
        plot_outputs(run, made.subplots())
        return save(made, path)


def plot_outputs(run: NetworkResult, axes: Any) -> None:
    """Draw outputs of the candidate against measured ones into axes."""
    pairs, theta = run.pairs, run.theta()
    groups = [("trained", BLUE, pairs.series, pairs.data)]
    if len(pairs.beyond_t):
        groups.append(("held back", ORANGE, pairs.beyond_series, pairs.beyond_data))
    ends: list[float] = []
    for label, color, inputs, outputs in groups:
        found, measured = run.outputs(inputs, theta).ravel(), outputs.ravel()
        known = np.flatnonzero(np.isfinite(measured))
        known = known[:: max(1, len(known) // MOST)]
        axes.plot(measured[known], found[known], "o", ms=2.2, mew=0, color=color, alpha=0.6, label=label)
        ends += [float(measured[known].min()), float(measured[known].max())]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=INK, lw=0.7)
    axes.set_xlabel("measured output")
    axes.set_ylabel("output of the network")
    axes.legend(loc="upper left", markerscale=2.5)


def _categories(run: NetworkResult, path: Path) -> Path:
    with figure(PAGE, 0.46 * PAGE) as made:
        left, right = made.subplots(1, 2, width_ratios=(1.15, 1))
        plot_confusion(run, left)
        found = run.trained if run.held_back is None else run.held_back
        assert found is not None
        sure, often, count = (np.array(one, dtype=float) for one in zip(*found.reliability, strict=True))
        right.plot([0, 1], [0, 1], "--", color=INK, lw=0.7)
        right.scatter(sure, often, s=12 + 120 * count / count.max(), color=BLUE, alpha=0.8, lw=0)
        right.set_xlim(0, 1.03)
        right.set_ylim(0, 1.03)
        right.set_xlabel("predicted probability")
        right.set_ylabel("fraction that is right")
        return save(made, path)


def _title(run: NetworkResult, n: int) -> str:
    """What the n-th W and b are."""
    field, continuum = run.network.field, run.network.continuum
    if continuum is None:
        return f"$W_{{{n}}}$, $b_{{{n}}}$"
    if n not in field:
        return "in" if n < field.start else "out"
    return "field" if len(field) == 1 else f"t = {continuum.times[n - field.start]:.3g}"


def plot_confusion(run: NetworkResult, axes: Any) -> None:
    """Draw the confusion matrix into axes: categories of pairs, and what they were taken for."""
    found, label = (run.held_back, "held back") if run.held_back is not None else (run.trained, "trained")
    assert found is not None and found.accuracy is not None
    names, counts = list(run.file.header.observed), np.array(found.confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = share[row, column] > 0.5
                axes.text(column, row, str(count), ha="center", va="center", fontsize=6.5,
                          color="white" if dark else INK)  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("category")
    axes.set_title(f"{found.accuracy:.2%} of {found.pairs} pairs {label} are right", fontsize=8.5)


def _weights(run: NetworkResult, path: Path) -> Path:
    layers = run.action.matrices(run.theta())
    shapes: list[Array] = [np.column_stack([matrix, bias]) for matrix, bias in layers]
    most = max(float(np.abs(one).max()) for one in shapes)
    shown, field = list(range(min(len(shapes), PANELS))), run.network.field
    if len(shapes) > PANELS and field:
        among = np.linspace(field.start, field.stop - 1, PANELS - 1 - field.start).round().astype(int)
        shown = [*range(field.start), *among.tolist(), field.stop]
    with figure(PAGE, 2.4) as made:
        panels = np.atleast_1d(made.subplots(1, len(shown)))
        for n, axes in zip(shown, panels, strict=True):
            values = shapes[n]
            image = axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_title(_title(run, n))
            axes.set_xlabel("unit, bias" if field else f"unit of layer {n}, bias")
            bias = values.shape[1] - 1
            axes.set_xticks([*range(0, bias, max(1, bias // 8)), bias])
            axes.set_xticklabels([*map(str, range(0, bias, max(1, bias // 8))), "b"])
            if n == 0:
                axes.set_ylabel("unit of the next layer")
        made.colorbar(image, ax=list(panels), fraction=0.04)
        return save(made, path)
