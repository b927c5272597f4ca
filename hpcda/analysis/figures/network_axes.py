"""Pictures of a trained network in axes of a notebook: ``result.plot.outputs(ax=ax)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpcda.analysis.figures.accessor import axes_of

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult


class NetworkPlots:
    """Draws a network's result; each method takes axes of matplotlib, or makes them, and returns them.

    Args:
        run: The result.
    """

    def __init__(self, run: NetworkResult) -> None:
        self._run = run

    def actions(self, ax: Any = None) -> Any:
        """Final actions in rising order, a dot a start, colored by level (a waterfall plot)."""
        from hpcda.analysis.figures.final import plot_waterfall

        axes = axes_of(ax, 3.0)
        plot_waterfall(self._run, axes)
        axes.set_ylabel("final action $A$")
        return axes

    def outputs(self, ax: Any = None) -> Any:
        """Outputs of the candidate against measured ones, of pairs that were trained and held back.

        Raises:
            ValueError: The outputs are categories.
            InputError: There is no candidate, or its weights were not stored.
        """
        from hpcda.analysis.figures.networks import plot_outputs

        if self._run.categories:
            raise ValueError("the outputs are logits of categories; draw plot.confusion()")
        axes = axes_of(ax, 4.3)
        plot_outputs(self._run, axes)
        return axes

    def confusion(self, ax: Any = None) -> Any:
        """The confusion matrix: the category of each pair (row), and what it was taken for (column).

        Raises:
            ValueError: The outputs are no categories, or the candidate's weights were not stored.
        """
        from hpcda.analysis.figures.networks import plot_confusion

        self._run.accuracy  # noqa: B018 - refuses outputs that are no categories
        axes = axes_of(ax, 4.3)
        plot_confusion(self._run, axes)
        return axes
