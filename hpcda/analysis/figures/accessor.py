"""Figures of a result in a notebook's axes: ``result.plot.levels(ax=ax)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcda.analysis.rundata import Result


class Plots:
    """Draws a result into axes of matplotlib; each method takes axes, or makes them, and returns them.

    Args:
        run: The result.
    """

    def __init__(self, run: Result) -> None:
        self._run = run

    def levels(self, ax: Any = None) -> Any:
        """The action of every start on its way up the ladder; levels are counted at the right."""
        from hpcda.analysis.figures.levels import plot_levels

        axes = axes_of(ax, 4.3)
        plot_levels(self._run, axes)
        return axes

    def actions(self, ax: Any = None) -> Any:
        """Final actions in rising order, a dot a start, colored by level (a waterfall plot)."""
        from hpcda.analysis.figures.final import plot_waterfall

        axes = axes_of(ax, 3.0)
        plot_waterfall(self._run, axes)
        axes.set_ylabel("final action $A$")
        return axes

    def parameter(self, name: str | None = None, ax: Any = None) -> Any:
        """One parameter of all starts against their final actions, with the candidate's error bar.

        Args:
            name: The parameter; by default the first that is estimated.
            ax: Where to draw.

        Raises:
            ValueError: There is no such parameter.
        """
        from hpcda.analysis.figures.parameters import plot_parameter

        known = self._run.file.header.parameter
        if not known or (name is not None and name not in known):
            raise ValueError(f"no parameter {name!r} is estimated; there are: {', '.join(known) or 'none'}")
        axes = axes_of(ax, 3.0)
        handles = plot_parameter(self._run, name or known[0], axes)
        axes.set_ylabel("final action $A$")
        axes.legend(list(handles.values()), list(handles))
        return axes

    def path(self, name: str | None = None, window: int = 0, ax: Any = None) -> Any:
        """A state, or what is measured, of the candidate, with error bars, data and prediction.

        Args:
            name: A state or a key of what is observed; by default the first that is observed.
            window: Number of the window.
            ax: Where to draw.

        Raises:
            ValueError: There is no such name.
            KeyError: There is no candidate, or its path was not stored.
        """
        from hpcda.analysis.figures.paths import plot_path

        header = self._run.file.header
        known = (*header.state, *(one for one in header.observed if one not in header.state))
        name = header.observed[0] if name is None else name
        if name not in known:
            raise ValueError(f"there is no state {name!r}; there are: {', '.join(known)}")
        axes = axes_of(ax, 2.5)
        handles = plot_path(self._run, name, axes, window)
        axes.legend(list(handles.values()), list(handles), fontsize="small")
        return axes

    def momentum(self, name: str | None = None, window: int = 0, ax: Any = None) -> Any:
        """The momentum of a state along the candidate; it jumps at data.

        Args:
            name: The state; by default those of the largest momentum.
            window: Number of the window.
            ax: Where to draw.

        Raises:
            ValueError: There is no such state.
            KeyError: There is no candidate, or its path was not stored.
            IndexError: There is no such window.
        """
        from hpcda.analysis.figures.momenta import plot_momentum

        known = self._run.file.header.state
        if name is not None and name not in known:
            raise ValueError(f"there is no state {name!r}; there are: {', '.join(known)}")
        self._run._known_window(window)
        found = self._run._moved()
        axes = axes_of(ax, 2.5)
        plot_momentum(self._run, found, axes, window, name)
        return axes

    def energy(self, window: int = 0, ax: Any = None) -> Any:
        """The energy along the candidate; it jumps at data.

        Args:
            window: Number of the window.
            ax: Where to draw.

        Raises:
            ValueError: The model is a map, which has no energy.
            KeyError: There is no candidate, or its path was not stored.
            IndexError: There is no such window.
        """
        from hpcda.analysis.figures.momenta import plot_energy

        self._run._known_window(window)
        found = self._run._moved()
        if found.energies is None:
            raise ValueError(f"{self._run.file.header.model} is a map: it has no energy")
        axes = axes_of(ax, 2.5)
        plot_energy(self._run, found, axes, window)
        return axes

    def refinement(self, levels: int = 4, ax: Any = None) -> Any:
        """How far the candidate's action and parameters are from their limits, against the number of steps.

        Args:
            levels: Levels of the refinement, as `Result.refine` takes them.
            ax: Where to draw.

        Raises:
            InputError: The model is a map, or the number of levels makes no sense.
            KeyError: There is no candidate, or its path was not stored.
            StepUnknownError: No minimum is reached on a level, or the finest is too large.
        """
        from hpcda.analysis.figures.refinement import plot_distances

        found = self._run.refine(levels)
        axes = axes_of(ax, 3.0)
        plot_distances(self._run, found, axes)
        return axes


def axes_of(ax: Any, height: float) -> Any:
    """The axes that were given, else new ones, so many inches high."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    _, made = pyplot.subplots(figsize=(7.0, height), layout="constrained")
    return made
