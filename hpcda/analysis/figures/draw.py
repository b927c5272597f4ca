"""Draws all figures for which a run holds the data."""

from __future__ import annotations

from pathlib import Path

from hpcda.analysis.figures.final import draw_final_actions
from hpcda.analysis.figures.levels import draw_levels
from hpcda.analysis.figures.momenta import draw_momenta
from hpcda.analysis.figures.parameters import draw_parameters
from hpcda.analysis.figures.paths import draw_paths
from hpcda.analysis.rundata import Result

WINDOWS = 4
"""Windows that are drawn."""


def draw_all(run: Result, folder: Path) -> dict[str, Path]:
    """Draw into a folder: action levels, paths of the first windows, momenta, final actions, parameters.

    Args:
        run: The run.
        folder: Where the PNG files go.

    Returns:
        Title -> file, in the order of the report.
    """
    figures = {"Action levels": draw_levels(run, folder / "action_levels.png")}
    if run.candidate is not None and run.candidate.has_path:
        count = len(run.windows)
        for number in range(min(count, WINDOWS)):
            several = count > 1
            title = f"Estimated path, window {number}" if several else "Estimated path"
            name = f"paths-{number}.png" if several else "paths.png"
            figures[title] = draw_paths(run, folder / name, number)
        if run.known_momenta:
            title = "Momentum and energy" if run.known_momenta["energy"] else "Momentum"
            figures[title] = draw_momenta(run, folder / "momenta.png")
    if run.levels:
        figures["Final actions"] = draw_final_actions(run, folder / "final_actions.png")
    if run.levels and run.file.header.parameter:
        figures["Parameters"] = draw_parameters(run, folder / "parameters.png")
    return figures
