"""What results of every kind say in the words of SciPy: fun, success, message, nit; their minima, as xarray.

`Solution` is the common part of `hpcda.Result` and `hpcda.NetworkResult`.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcda.annealing.record import PER_RUNG
from hpcda.formatting import counted

if TYPE_CHECKING:
    import xarray as xr

    from hpcda.analysis.levels import Minimum
    from hpcda.analysis.outcome import Outcome
    from hpcda.results.table import RunTable
    from hpcda.search.conclusion import Conclusion

SHOWN = 12
"""Parameters and minima that a notebook shows."""


class Solution:
    """What an ensemble has found; `hpcda.Result` and `hpcda.NetworkResult` are one each.

    There are no nfev and njev: values and gradients are computed together, for many starts at once, and not
    counted. `dataset` has iterations and factorizations of every start at every rung.
    """

    if TYPE_CHECKING:
        file: RunTable

        @property
        def levels(self) -> tuple[Minimum, ...]: ...  # noqa: D102
        @property
        def candidate(self) -> Minimum | None: ...  # noqa: D102
        @property
        def outcome(self) -> Outcome: ...  # noqa: D102
        @property
        def verdict(self) -> Conclusion: ...  # noqa: D102

    @property
    def fun(self) -> float:
        """The candidate's action; NaN where no start reached the end."""
        return np.nan if self.candidate is None else self.candidate.action

    @property
    def success(self) -> bool:
        """Whether the candidate may be taken as the answer: the verdict is that it is stable."""
        return self.verdict.stable

    @property
    def message(self) -> str:
        """What the ensemble says, as a sentence; its code is ``verdict.code``."""
        return self.verdict.sentence

    @property
    def nit(self) -> int:
        """Iterations of the minimizer: of all starts, at all rungs."""
        return int(self.outcome.iterations.sum())

    @property
    def minima(self) -> xr.Dataset:
        """Distinct minima, the lowest first; dims (minimum, parameter).

        Variables `action`, `measurement`, `model`, `prior`, `reduced` (2 measurement / number of data),
        `count` (starts that came there), `start` (one of them), `converged`, `parameters`; of a network
        `norm` of each array of weights, dims (minimum, array), in place of parameters.
        """
        import xarray as xr

        found = self.levels
        data: dict[str, Any] = {}
        for name in ("action", "measurement", "model", "prior", "reduced", "count", "start", "converged"):
            told = PER_RUNG.get(name)
            attributes = {} if told is None else {"units": told.units, "long_name": told.long_name}
            data[name] = ("minimum", [getattr(one, name) for one in found], attributes)
        names, coords = self._columns()
        if coords:
            variable, along = names
            values = np.reshape([list(one.parameters.values()) for one in found], (len(found), -1))
            data[variable] = (("minimum", along), values)
        return xr.Dataset(data, coords)

    def _columns(self) -> tuple[tuple[str, str], dict[str, Any]]:
        """What `parameters` of minima are called as a variable and as a dimension; coordinates, if any."""
        raise NotImplementedError

    def _size(self) -> str:
        """How large the ensemble was."""
        return counted(len(self.file.start), "start")

    def _details(self) -> list[str]:
        """What a notebook shows beside the verdict and the levels, as HTML."""
        return []

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, the lowest levels, the parameters or the score."""
        header = self.file.header
        levels = [
            [str(number), f"{one.action:.7g}", f"{one.reduced:.3g}", str(one.count)]
            for number, one in enumerate(self.levels[:SHOWN])
        ]
        parts = [
            f"<b>{html.escape(header.model)}</b>: {self._size()}, "
            f"{counted(len(self.levels), 'distinct minimum', 'distinct minima')}",
            f"<b>{html.escape(self.verdict.code)}</b>: {html.escape(self.message)}",
            html_table(["level", "action", "reduced", "starts"], levels),
            *self._details(),
        ]
        return "".join(f"<div>{part}</div>" for part in parts)


def html_table(head: list[str], rows: list[list[str]]) -> str:
    """A table of texts, escaped."""
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(one)}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"
