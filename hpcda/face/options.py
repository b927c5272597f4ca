"""Options of a problem and of an ensemble as small frozen objects, each a table of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.face.checks import mapping, number, of_kind, pair, shown
from hpcda.job.given import with_unit

Range = tuple[float | None, float | None]
Noise = float | Mapping[str, float | npt.ArrayLike] | npt.ArrayLike


@dataclass(frozen=True)
class Prior:
    """A Gaussian prior, in the unit of the quantity."""

    mean: float
    std: float

    @property
    def table(self) -> dict[str, Any]:
        """As a job holds it."""
        return {
            "mean": number("Prior.mean", self.mean, "Prior(8.0, 2.0)"),
            "std": number("Prior.std", self.std, "Prior(8.0, 2.0)"),
        }


@dataclass(frozen=True)
class Estimate:
    """A parameter that is estimated; under `noise_std`, a noise that is.

    Attributes:
        start: Range of the initial guess, in the parameter's unit; by default the model's range.
        bounds: Lowest and highest value allowed; None for no bound.
        prior: A Gaussian prior.
        per_time: Whether it has a value of its own at every time; it then needs `walk_std` or a prior.
        per_window: Whether every window has a value of its own.
        walk_std: Standard deviation of its change per square root of unit time.
    """

    start: Range | None = None
    bounds: Range | None = None
    prior: Prior | None = None
    per_time: bool = False
    per_window: bool | None = None
    walk_std: float | None = None

    @property
    def table(self) -> dict[str, Any]:
        """As a job holds it."""
        found: dict[str, Any] = {"estimate": True}
        for name in ("start", "bounds"):
            if (given := getattr(self, name)) is not None:
                found[name] = pair(f"Estimate.{name}", given, f"Estimate({name}=(20.0, 40.0))")
        if self.prior is not None:
            found["prior"] = of_kind("Estimate.prior", self.prior, Prior, "hpcda.Prior(28.0, 2.0)").table
        if self.per_time:
            found["per_time"] = True
        if self.per_window is not None:
            found["per_window"] = self.per_window
        if self.walk_std is not None:
            found["walk_std"] = number(
                "Estimate.walk_std", self.walk_std, "Estimate(per_time=True, walk_std=0.1)"
            )
        return found


@dataclass(frozen=True, eq=False)
class Data:
    """Measurements of one window (one experiment, one trial).

    Attributes:
        t: Times of the samples, shape (N,), in the model's unit of time, equally far apart but for gaps, or
            `uneven`.
            Arrays of xarray may say their unit, ``attrs["units"]``: another one is refused.
        observed: What is measured, a state or an expression of states and parameters ("x0", "gain * x0") ->
            its values, shape (N,), NaN where nothing was measured. A pandas DataFrame or an xarray Dataset
            does as well.
        noise_std: Standard deviation of the noise, in the unit of the data: a number, an array of shape
            (N,), or an `Estimate` where it is not known, ``Estimate(start=(0.1, 10.0))``; or one of these of
            each measured quantity.
        stimuli: Stimulus of the model, or known parameter that depends on time -> its values, shape (N,).
        loss: The law of the noise, "gaussian", "student-t", "poisson", …, or one of each measured quantity.
        hold_back: Samples at the end that are kept back to test the prediction.
        gaps: Whether NaN and missing times are meant; else they are mistakes.
        missing: Numbers that stand for a missing value, such as ``[-999]``; ``[]`` if every number is a
            value. By default a number that looks like one is refused.
        sample_step: Time from sample to sample; by default the smallest difference of the times, of uneven
            ones the median.
        uneven: Whether times are not equally far apart: the path has its points at these times, and between
            two of them as many equal steps as keep each at most `sample_step` over `steps_per_sample`.
    """

    t: npt.ArrayLike
    observed: Mapping[str, npt.ArrayLike]
    noise_std: float | Estimate | Mapping[str, Any] | npt.ArrayLike | None = None
    stimuli: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    loss: str | Mapping[str, Any] = "gaussian"
    hold_back: int = 0
    gaps: bool = False
    missing: Sequence[float] | None = None
    sample_step: float | None = None
    uneven: bool = False

    def table(self, series: Sequence[str]) -> dict[str, Any]:
        """As a job holds it; `series` are those of `stimuli` that are parameters."""
        columns: dict[str, Any] = {"t": with_unit(_times(self.t), self.t)}
        observed: dict[str, str] = {}
        for key, values in _measured(self.observed):
            # the name that messages show: the quantity's own where it can be a column's
            column = key if key.isidentifier() and key not in columns else f"y{len(observed)}"
            samples = _samples(key, values, len(columns["t"]))
            observed[key], columns[column] = column, with_unit(samples, values)
        found: dict[str, Any] = {"time": "t", "observed": observed}
        if self.noise_std is not None:
            found["noise_std"] = self._noise(columns, observed)
        stimulus: dict[str, str] = {}
        for name, values in mapping("stimuli", self.stimuli, '{"I": current}').items():
            column = name if name not in columns else f"stimulus {name}"
            columns[column] = with_unit(_samples(name, values, len(columns["t"])), values)
            if name not in series:
                stimulus[name] = column
        if stimulus:
            found["stimulus"] = stimulus
        if self.missing is not None:
            found["missing"] = [number("missing", one, "[-999]") for one in self.missing]
        if self.sample_step is not None:
            found["sample_step"] = number("sample_step", self.sample_step, "0.02")
        loss = self.loss if isinstance(self.loss, str) else dict(self.loss)
        return {
            "file": columns, **found, "loss": loss, "hold_back": int(self.hold_back), "gaps": bool(self.gaps),
            "uneven": bool(self.uneven),
        }  # fmt: skip

    def _noise(self, columns: dict[str, Any], observed: Mapping[str, str]) -> Any:
        given = self.noise_std
        if isinstance(given, Mapping):
            return {str(key): _std(f"noise_std[{key!r}]", key, std, columns) for key, std in given.items()}
        if given is None or isinstance(given, Estimate) or np.ndim(given) == 0:
            return _std("noise_std", "", given, columns)
        return {key: _std("noise_std", key, given, columns) for key in observed}


def _times(t: Any) -> Any:
    """Times, shape (N,)."""
    values = np.asarray(t)
    if values.dtype.kind in "mM":
        remedy = 'give numbers, in the unit of the model: (t - t[0]) / np.timedelta64(1, "s") are seconds'
        raise InputError(Mistake("t", f"holds dates or durations ({values.dtype})", remedy))
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        what = f"is an array of type {values.dtype} and shape {values.shape}"
        raise InputError(Mistake("t", what, "give the times of the samples as numbers, shape (N,)"))
    return values


def _measured(observed: Any) -> list[tuple[str, Any]]:
    """What was measured and its values; of a Dataset its variables, of a DataFrame its columns."""
    if not (
        isinstance(observed, Mapping) or (hasattr(observed, "keys") and getattr(observed, "ndim", 2) == 2)
    ):
        what = f"is a {type(observed).__name__}, which does not say what its values are of"
        remedy = 'give a dict, measured state or expression -> values of shape (N,), such as {"x": x}'
        raise InputError(Mistake("y", what, remedy))
    return [(str(key), observed[key]) for key in observed.keys()]  # noqa: SIM118 - as pandas and xarray have it


def _samples(key: str, values: Any, count: int) -> Any:
    """Values of one quantity, shape (N,)."""
    array: npt.NDArray[Any] = np.asarray(values)
    if isinstance(values, np.ma.MaskedArray):
        array = np.where(np.ma.getmaskarray(values), np.nan, array.astype(float))  # type: ignore[no-untyped-call]
    if array.dtype.kind not in "iufb":
        what = f"is an array of type {array.dtype}"
        raise InputError(
            Mistake(f"y[{key!r}]", what, "give numbers, shape (N,), NaN where nothing was measured")
        )
    if array.shape != (count,):
        remedy = f"give one value a time, shape ({count},); quantities of their own under names of their own"
        raise InputError(Mistake(f"y[{key!r}]", f"has shape {array.shape}, t has shape ({count},)", remedy))
    return array


def _std(place: str, key: str, std: Any, columns: dict[str, Any]) -> Any:
    """A standard deviation as a job holds it: a number, a table, the name of a column added to `columns`."""
    if isinstance(std, Mapping):
        return dict(std)
    if isinstance(std, Estimate):
        return std.table
    if np.ndim(std) == 0 and not isinstance(std, str):
        return number(place, std, "0.5")
    array, count = np.asarray(std), len(columns["t"])
    if array.dtype.kind not in "iuf" or array.shape != (count,):
        remedy = f"give a number, an array of shape ({count},), or, if not known, Estimate(start=(0.1, 10.0))"
        raise InputError(Mistake(place, f"{shown(std)} is no standard deviation", remedy))
    columns[name := f"noise of {key}"] = array
    return {"column": name}


@dataclass(frozen=True)
class Ladder:
    """The rungs of model-error precision: Rf = rf0 · alpha^β, β = 0 … rungs - 1, by default 0.01 … 1.3e6.

    Attributes:
        rf0: The first Rf.
        alpha: The factor from one rung to the next.
        rungs: How many there are at finite Rf.
        end: "finite", or "infinity" for one more rung, at which the model is obeyed exactly.
        first_rungs: Rungs at which ladders begin.
    """

    rf0: float = 1e-2
    alpha: float = 2.0
    rungs: int = 28
    end: str = "finite"
    first_rungs: Sequence[int] = (0,)

    @property
    def table(self) -> dict[str, Any]:
        """As a job holds it."""
        return {
            "rf0": number("Ladder.rf0", self.rf0, "0.01"),
            "alpha": number("Ladder.alpha", self.alpha, "2.0"),
            "rungs": self.rungs, "end": self.end, "first_rungs": list(self.first_rungs),
        }  # fmt: skip


@dataclass(frozen=True)
class Solver:
    """How the action is minimized at a rung.

    Attributes:
        minimizer: "auto", or a minimizer that ``hpcda list`` names. Those of PETSc need petsc4py.
        elimination: How linear systems are solved: "auto", or one that ``hpcda list`` names.
        max_iterations: Limit of iterations at one rung.
        max_seconds: Seconds after which a start ends; 0 for never.
        petsc: PETSc options without the leading dash.
    """

    minimizer: str = "auto"
    elimination: str = "auto"
    max_iterations: int = 1000
    max_seconds: float = 0.0
    petsc: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> dict[str, Any]:
        """As a job holds it."""
        return {
            "minimizer": self.minimizer, "elimination": self.elimination, "petsc": dict(self.petsc),
            "max_iterations": self.max_iterations,
            "max_seconds": number("Solver.max_seconds", self.max_seconds, "60.0"),
        }  # fmt: skip
