"""Figures of a run for publication: color-blind safe, readable in print, drawn without a display."""

from hpcda.analysis.figures.draw import draw_all
from hpcda.analysis.figures.final import draw_final_actions
from hpcda.analysis.figures.levels import draw_levels
from hpcda.analysis.figures.momenta import draw_momenta
from hpcda.analysis.figures.networks import draw_network
from hpcda.analysis.figures.parameters import draw_parameters
from hpcda.analysis.figures.paths import draw_paths
from hpcda.analysis.figures.refinement import draw_refinement

__all__ = [
    "draw_all",
    "draw_final_actions",
    "draw_levels",
    "draw_momenta",
    "draw_network",
    "draw_parameters",
    "draw_paths",
    "draw_refinement",
]
