"""What a trained network says in the words of SciPy and xarray: x, message, accuracy, confusion, pictures.

`NetworkAnswer` is the part of `hpcda.NetworkResult` that reads; what it computes is said there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hpcda.analysis.solution import Solution, html_table
from hpcda.search.conclusion import Conclusion

if TYPE_CHECKING:
    import xarray as xr

    from hpcda.analysis.figures.network_axes import NetworkPlots
    from hpcda.analysis.network import NetworkResult
    from hpcda.analysis.score import Score
    from hpcda.problem import Array
    from hpcda.results.windows import StoredWindow

SENTENCES = {
    Conclusion.CONSISTENT_AND_STABLE: (
        "The lowest level fits the data to within the noise, independent starts found it repeatedly, "
        "and no search from it found anything lower: take its network as the global minimum."
    ),
    Conclusion.STABLE_NOISE_ESTIMATED: (
        "The lowest level has no rival and was found repeatedly, and no search from it found anything lower: "
        "take its network as the global minimum. Categories allow no χ² test: judge it by held-out pairs."
    ),
    Conclusion.CONSISTENT_RIVALS_REMAIN: (
        "The lowest level is consistent with the data, but other networks fit nearly as well: the pairs "
        "cannot distinguish them. Give more pairs, and compare the networks' predictions."
    ),
    Conclusion.CONSISTENT_NOT_CONFIRMED: (
        "The lowest level is consistent with the data, but too few starts reached it to exclude "
        "a lower one. Give the search more starts or seconds."
    ),
    Conclusion.CONSISTENT_PREDICTS_BADLY: (
        "The lowest level is consistent with the training pairs, but its error on "
        "held-out pairs is much larger: it overfits. Give more pairs, fewer units, or a narrower prior "
        "(network.weight_std)."
    ),
    Conclusion.CONSISTENT_NOT_CONVERGED: (
        "The lowest level is consistent with the data, but its descent stopped at the iteration limit. Raise "
        "solver.max_iterations; if weights grow without bound, give them a prior (network.weight_std)."
    ),
    Conclusion.NOT_ENOUGH_MEASUREMENTS: (
        "The lowest level is consistent with the data, but so are others, or there are no more data than "
        "weights: the pairs do not determine the network. Give more pairs, fewer units, or a prior."
    ),
    Conclusion.INCONSISTENT: (
        "The lowest level lies above what noise explains: the search missed a lower one, or this network "
        "cannot represent the outputs, or noise_std is too small. Give the search more starts; if they end "
        "no lower, give the network more units and check noise_std."
    ),
    Conclusion.BELOW_NOISE: (
        "The lowest level lies below what noise explains: the network follows the noise, or noise_std is too "
        "large. Give more pairs or fewer units; otherwise check noise_std."
    ),
    Conclusion.INCOMPLETE: (
        "Some of the requested starts have not finished, and may end lower. Resume the run and "
        "let it finish before judging."
    ),
    Conclusion.FAILED: (
        "No start finished: look at the reasons, the range of first weights, and the inputs."
    ),
}
"""What conclusions say of networks."""


class NetworkAnswer(Solution):
    """See `hpcda.NetworkResult`, which is one."""

    if TYPE_CHECKING:

        @property
        def pairs(self) -> StoredWindow: ...  # noqa: D102
        @property
        def trained(self) -> Score | None: ...  # noqa: D102
        @property
        def held_back(self) -> Score | None: ...  # noqa: D102
        def theta(self, start: int | None = None) -> Array: ...  # noqa: D102

    @property
    def x(self) -> Array:
        """The candidate's weights as one vector, shape (size,): W0, b0, W1, …; inputs that are noisy first.

        Raises:
            InputError: There is no candidate, or its weights were not stored.
        """
        return self.theta()

    @property
    def message(self) -> str:
        """What the ensemble says, as a sentence; its code is ``verdict.code``."""
        return SENTENCES.get(self.verdict, self.verdict.sentence)

    @property
    def accuracy(self) -> float:
        """Share of the held-out pairs whose category is right; of those that were trained where none are.

        Raises:
            ValueError: The outputs are no categories, or the candidate's weights were not stored.
        """
        found = self._of_categories().accuracy
        assert found is not None
        return found

    @property
    def confusion(self) -> xr.DataArray:
        """How many pairs of a category were taken for another; dims (category, taken_for).

        Of the held-out pairs, or of those that were trained where none are held back.

        Raises:
            ValueError: The outputs are no categories, or the candidate's weights were not stored.
        """
        import xarray as xr

        names = list(self.file.header.observed)
        counts = np.array(self._of_categories().confusion)
        coords = {"category": names, "taken_for": names}
        return xr.DataArray(counts, coords, ("category", "taken_for"), "pairs")

    def _of_categories(self) -> Score:
        found = self.trained if self.held_back is None else self.held_back
        if found is None:
            raise ValueError("there is no candidate, or its weights were not stored")
        if found.accuracy is None:
            raise ValueError(
                "the outputs are no categories; their errors are in `trained.rmse` and `held_back.rmse`"
            )
        return found

    @property
    def plot(self) -> NetworkPlots:
        """Pictures in axes: ``plot.actions(ax=ax)``; `outputs`, or of categories `confusion`, likewise."""
        from hpcda.analysis.figures.network_axes import NetworkPlots

        return NetworkPlots(cast("NetworkResult", self))

    def _columns(self) -> tuple[tuple[str, str], dict[str, Any]]:
        return ("norm", "array"), {"array": list(self.file.header.parameter)}

    def _details(self) -> list[str]:
        rows = []
        for name, found in (("trained", self.trained), ("held back", self.held_back)):
            if found is not None:
                right = found.rmse if found.accuracy is None else found.accuracy
                rows.append(
                    [name, str(found.pairs), f"{found.loss:.4g}", "" if right is None else f"{right:.4g}"]
                )
        if not rows:
            return []
        kind = "accuracy" if any(one and one.accuracy is not None for one in (self.trained,)) else "rmse"
        return [html_table(["pairs", "number", "loss", kind], rows)]
