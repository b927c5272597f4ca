"""The public result, with the names of SciPy and xarray: x, fun, success, message; minima, paths, parameters.

`Answer` is the part of `hpcda.Result` that reads; what it computes is said there.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from hpcda.analysis.bars import KINDS, parameter_bars
from hpcda.analysis.laplace import Bar
from hpcda.analysis.solution import SHOWN, Solution, html_table
from hpcda.formatting import counted
from hpcda.search.conclusion import sentence_of

if TYPE_CHECKING:
    import xarray as xr

    from hpcda.analysis.figures.accessor import Plots
    from hpcda.analysis.laplace import Gaussian, Mixture
    from hpcda.analysis.momenta import Moved
    from hpcda.analysis.prediction import Prediction
    from hpcda.analysis.rundata import Result
    from hpcda.problem import Array, Problem
    from hpcda.results.windows import StoredWindow
    from hpcda.search.evidence import Evidence


class Answer(Solution):
    """See `hpcda.Result`, which is one."""

    if TYPE_CHECKING:
        notes: list[str]

        @property
        def windows(self) -> tuple[StoredWindow, ...]: ...  # noqa: D102
        @property
        def evidence(self) -> Evidence: ...  # noqa: D102
        @property
        def bars(self) -> Gaussian | None: ...  # noqa: D102
        @property
        def problem(self) -> Problem: ...  # noqa: D102
        @property
        def mixture(self) -> Mixture: ...  # noqa: D102
        @property
        def left_open(self) -> tuple[str, ...]: ...  # noqa: D102
        def predicted(  # noqa: D102
            self, start: int | None = None, window: int = 0, t: npt.ArrayLike | None = None
        ) -> Prediction: ...
        def kept_path(  # noqa: D102
            self, start: int | None = None, rung: int | None = None
        ) -> tuple[list[Array], Array]: ...

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """The candidate as one vector, shape (size,): the states of all times and windows, then parameters.

        Raises:
            KeyError: There is no candidate, or its path was not stored.
        """
        blocks, parameters = self.kept_path()
        return np.concatenate([*(block.ravel() for block in blocks), parameters])

    @property
    def message(self) -> str:
        """What the ensemble says, as a sentence; its code is ``verdict.code``."""
        return sentence_of(self.verdict, self.evidence)

    @property
    def plot(self) -> Plots:
        """Pictures in axes: ``plot.levels(ax=ax)``; `actions`, `parameter`, `path`, `momentum`, `energy`."""
        from hpcda.analysis.figures.accessor import Plots

        return Plots(cast("Result", self))

    @cached_property
    def dataset(self) -> xr.Dataset:
        """All arrays, labeled and lazy; with several windows, what belongs to one is in `window(k)`."""
        from hpcda.analysis.labeled import labeled_run

        return labeled_run(self.file)

    def window(self, number: int = 0) -> xr.Dataset:
        """Data, paths, held-out data and truth of one window, labeled and lazy.

        Raises:
            IndexError: There is no such window.
        """
        self._known_window(number)
        from hpcda.analysis.labeled import labeled_window

        return labeled_window(self.file, number)

    @property
    def actions(self) -> xr.DataArray:
        """A of every start at every rung, dims (start, rung)."""
        return self.dataset["action"]

    def _columns(self) -> tuple[tuple[str, str], dict[str, Any]]:
        header, names = self.file.header, ("parameters", "parameter")
        if not header.parameter:
            return names, {}
        unit = ("parameter", list(header.parameter_unit))
        return names, {"parameter": list(header.parameter), "unit": unit}

    @property
    def parameters(self) -> xr.Dataset:
        """The candidate's parameters with their own error bars; dim (parameter).

        Parameters that have a value at every time are in `path` instead.

        Variables `estimate`, `std` (NaN where it is no Gaussian's), `low`, `high` (95 %), `kind` ("gaussian",
        "at bound", "open", or "" where there are no error bars); `unit` is a coordinate.

        Raises:
            KeyError: There is no candidate.
        """
        import xarray as xr

        if self.candidate is None:
            raise KeyError("no start reached the end of the ladder, so there is no candidate")
        header, known = self.file.header, self.candidate.parameters
        bars = {} if self.bars is None or not known else parameter_bars(self.problem, self.bars)
        data: dict[str, Any] = {"estimate": ("parameter", list(known.values()))}
        for key in ("std", "low", "high"):
            numbers = [bars.get(name, {}).get(key) for name in known]
            data[key] = ("parameter", [np.nan if one is None else float(one) for one in numbers])
        kinds = [str(bars.get(name, {}).get("kind", "")) for name in known]
        data["kind"] = ("parameter", np.array(kinds, dtype=str))
        units = np.array(header.parameter_unit, dtype=str)
        return xr.Dataset(data, {"parameter": np.array(list(known), dtype=str), "unit": ("parameter", units)})

    @property
    def momentum(self) -> xr.Dataset:
        """Momenta along the candidate; see `momentum_of`."""
        return self.momentum_of()

    def momentum_of(
        self, start: int | None = None, rung: int | None = None, window: int | None = None
    ) -> xr.Dataset:
        """Canonical momenta along a kept path; dims (time, state), of several windows (window, time, state).

        Variables, in units of one over the state's: `arriving` and `leaving`, the momentum before and after
        every time, which differ by `kick`, the pull of what is measured there (Rm (x - y)) and of priors;
        `momentum`, the mean of both, at the two ends the side there is; `residual`, what is left of the
        Euler-Lagrange equation, arriving - leaving + kick, 0 at a minimum; `parameter_residual` (parameter),
        the action's derivative by each parameter, 0 there too. With several windows times are the coordinate
        `t` (window, time), and shorter windows end in NaN. Attributes: `rf`; `multipliers`, whether they are
        "model errors" times Rf, or follow from the "balance of forces", which is then closer; `imbalance`,
        the largest derivative of the action by a state over the largest momentum: how far the path is from a
        minimum. Equations: `hpcda.mechanics`.

        Args:
            start: Number of the start; by default the candidate's.
            rung: Rung; by default the last that was kept.
            window: Number of the window; by default all.

        Raises:
            KeyError: The path was not kept, or there is no candidate.
            IndexError: There is no such window.
            InputError: The problem cannot be made again.
            MomentaUnknownError: At Rf = ∞: bounds hold so many states that momenta do not follow.
        """
        from hpcda.analysis.momenta import momentum_dataset

        return momentum_dataset(cast("Result", self), self._moved(start, rung), window)

    @property
    def energy(self) -> xr.Dataset:
        """The energy along the candidate; see `energy_of`."""
        return self.energy_of()

    def energy_of(
        self, start: int | None = None, rung: int | None = None, window: int | None = None
    ) -> xr.Dataset:
        """The energy H = p·F + Σ p² / (2 ρ) along a kept path, ρ = Rf s h; dims as of `momentum_of`.

        Variables, in units of one over time: `arriving` and `leaving`, before and after what is measured at
        a time; `energy`, at the mean momentum. It is conserved from datum to datum where nothing depends on
        time. Arguments and errors as for `momentum_of`.

        Raises:
            ValueError: The model is a map, whose time has no steps.
        """
        from hpcda.analysis.momenta import energy_dataset

        return energy_dataset(cast("Result", self), self._moved(start, rung), window)

    @cached_property
    def known_momenta(self) -> dict[str, Any] | None:
        """The candidate's momenta in short, `momentum_record`; None, with a note, where they are unknown."""
        from hpcda.analysis.momenta import momentum_record

        return momentum_record(cast("Result", self))

    @cached_property
    def _motions(self) -> dict[tuple[int, int | None], Moved]:
        """Paths with their momenta as they were asked for, by start and rung."""
        return {}

    def _moved(self, start: int | None = None, rung: int | None = None) -> Moved:
        """A kept path with its momenta; that of the last rung is computed once."""
        from hpcda.analysis.momenta import moved

        if start is None:
            if self.candidate is None:
                raise KeyError("no start reached the end of the ladder, so there is no candidate")
            start = self.candidate.start
        if (start, rung) not in self._motions:
            self._motions[start, rung] = moved(cast("Result", self), start, rung)
        return self._motions[start, rung]

    def _known_window(self, number: int) -> None:
        """Refuse the number of a window that the run does not have."""
        if not 0 <= number < len(self.file.header.lengths):
            raise IndexError(f"window {number}: the run has {len(self.file.header.lengths)}, counted from 0")

    def path(self, start: int | None = None, rung: int | None = None, window: int = 0) -> xr.Dataset:
        """A kept path of one window; dims (time, state), and (time, varying) for parameters of one time.

        Args:
            start: Number of the start; by default the candidate's.
            rung: Rung; by default the last that was kept.
            window: Number of the window.

        Raises:
            KeyError: It was not kept, or there is no candidate.
            IndexError: There is no such window.
        """
        import xarray as xr

        header = self.file.header
        self._known_window(window)
        block, states = self.kept_path(start, rung)[0][window], len(header.state)
        data = {"path": (("time", "state"), block[:, :states])}
        coords: dict[str, Any] = {
            "time": ("time", self.windows[window].t, {"units": header.time_unit}),
            "state": list(header.state),
            "unit": ("state", list(header.state_unit)),
        }
        if len(header.unknown) > states:
            data["parameters"] = (("time", "varying"), block[:, states:])
            coords["varying"] = list(header.unknown[states:])
        return xr.Dataset(data, coords)

    def error_bars(self, window: int = 0) -> xr.Dataset:
        """The candidate with its own error bars in one window.

        Variables `estimate`, `std`, `low`, `high`, `kind` (time, state), the same with `parameter_`, and with
        `varying_` where parameters belong to one time. `kind` is "gaussian", "at bound" or "open"; only the
        first has a `std`. `low` and `high` are two standard deviations away, never beyond the bounds; at a
        bound they hold 95 %; of what is open they are the bounds. The attribute `open` names what the data
        leave open.

        Raises:
            ValueError: The candidate has no Gaussian.
            IndexError: There is no such window.
        """
        self._known_window(window)
        found = self.bars
        if found is None:
            raise ValueError("; ".join(self.notes) or "there is no candidate")
        words = np.array([KINDS[Bar(k)] for k in sorted(KINDS)])[found.kinds]
        values = {
            "estimate": found.path, "std": found.std, "low": found.low, "high": found.high, "kind": words,
        }  # fmt: skip
        return self._labeled(values, window, {"open": list(self.left_open)})

    @property
    def distribution(self) -> xr.Dataset:
        """Mean and standard deviation of every state at every time and of the parameters, one window.

        With several windows use `distribution_of(k)`. Raises as `mixture` does.
        """
        return self.distribution_of(0)

    def distribution_of(self, window: int = 0) -> xr.Dataset:
        """The distribution over all minima of weight in one window.

        Variables `mean`, `std`, `low`, `high` (time, state), the same with `parameter_`, and with `varying_`
        where parameters belong to one time; `weight` (minimum), with the `start` of each. They are those of
        the mixture, not of one minimum; for the candidate's own see `error_bars`. `std` is NaN of what is
        open; `low` and `high` are two of them from the mean, never beyond the bounds. The attribute `missing`
        names minima of weight that are not in it.
        """
        made = self.mixture
        values = {"mean": made.mean, "std": made.std, "low": made.low, "high": made.high}
        labeled = self._labeled(values, window, {"missing": list(made.missing)})
        weights = {"weight": ("minimum", list(made.weights.values()))}
        return labeled.assign(weights).assign_coords(start=("minimum", list(made.weights)))

    def predict(
        self, start: int | None = None, window: int = 0, t: npt.ArrayLike | None = None
    ) -> xr.Dataset:
        """Prediction beyond the window: `states` (time, state), `prediction` and `data` (time, observed).

        Arguments and errors as for `predicted`.
        """
        import xarray as xr

        made, header = self.predicted(start, window, t), self.file.header
        data = {
            "states": (("time", "state"), made.states),
            "prediction": (("time", "observed"), made.observed),
            "data": (("time", "observed"), made.data),
        }
        coords: dict[str, Any] = {
            "time": ("time", made.t, {"units": header.time_unit}),
            "state": list(header.state),
            "unit": ("state", list(header.state_unit)),
            "observed": list(header.observed),
        }
        return xr.Dataset(data, coords)

    def _labeled(self, values: dict[str, Array], window: int, attrs: dict[str, Any]) -> xr.Dataset:
        """Flat vectors as arrays of one window and of the parameters."""
        import xarray as xr

        header = self.file.header
        states = len(header.state)
        coords: dict[str, Any] = {
            "time": ("time", self.windows[window].t, {"units": header.time_unit}),
            "state": list(header.state),
            "unit": ("state", list(header.state_unit)),
            "parameter": list(header.parameter),
            "parameter_unit": ("parameter", list(header.parameter_unit)),
        }
        data: dict[str, Any] = {}
        if len(header.unknown) > states:
            coords["varying"] = list(header.unknown[states:])
        for name, flat in values.items():
            blocks, parameters = self.problem.split(flat)
            data[name] = (("time", "state"), blocks[window][:, :states])
            data[f"parameter_{name}"] = ("parameter", parameters)
            if len(header.unknown) > states:
                data[f"varying_{name}"] = (("time", "varying"), blocks[window][:, states:])
        return xr.Dataset(data, coords, attrs)

    def _size(self) -> str:
        return f"{super()._size()}, {counted(len(self.file.header.rf), 'rung')}"

    def _details(self) -> list[str]:
        if self.candidate is None or not self.candidate.parameters:
            return []
        found = self.parameters
        columns = (found[name].values[:SHOWN] for name in ("parameter", "estimate", "std", "unit"))
        rows = [
            [str(name), f"{value:.6g}", "" if np.isnan(std) else f"{std:.2g}", str(unit)]
            for name, value, std, unit in zip(*columns, strict=True)
        ]
        return [html_table(["parameter", "estimate", "std", "unit"], rows)]
