"""Options of a problem and of an ensemble as small frozen objects, each a table of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

Range = tuple[float, float]
Noise = float | Mapping[str, float | npt.ArrayLike] | npt.ArrayLike


@dataclass(frozen=True)
class Prior:
    """A Gaussian prior, in the unit of the quantity."""

    mean: float
    std: float

    @property
    def table(self) -> dict[str, Any]:
        """As a job holds it."""
        return {"mean": float(self.mean), "std": float(self.std)}


@dataclass(frozen=True)
class Estimate:
    """A parameter that is estimated.

    Attributes:
        start: Range of the initial guess, in the parameter's unit; by default the model's range.
        bounds: Lowest and highest value allowed.
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
            if (pair := getattr(self, name)) is not None:
                found[name] = [float(one) for one in pair]
        if self.prior is not None:
            found["prior"] = self.prior.table
        if self.per_time:
            found["per_time"] = True
        if self.per_window is not None:
            found["per_window"] = self.per_window
        if self.walk_std is not None:
            found["walk_std"] = float(self.walk_std)
        return found


@dataclass(frozen=True, eq=False)
class Data:
    """Measurements of one window (one experiment, one trial).

    Attributes:
        t: Times of the samples, shape (N,), equally far apart but for gaps, in the model's unit of time.
        observed: What is measured, a state or an expression of states and parameters ("x0", "gain * x0") ->
            its values, shape (N,), NaN where nothing was measured. A pandas DataFrame or an xarray Dataset
            does as well.
        noise_std: Standard deviation of the noise, in the unit of the data: a number, or of each measured
            quantity a number or an array of shape (N,).
        stimuli: Stimulus of the model, or known parameter that depends on time -> its values, shape (N,).
        loss: The law of the noise, "gaussian", "student-t", "poisson", …, or one of each measured quantity.
        hold_back: Samples at the end that are kept back to test the prediction.
        gaps: Whether NaN and missing times are meant.
    """

    t: npt.ArrayLike
    observed: Mapping[str, npt.ArrayLike]
    noise_std: float | Mapping[str, Any] | None = None
    stimuli: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    loss: str | Mapping[str, Any] = "gaussian"
    hold_back: int = 0
    gaps: bool = False

    def table(self, series: Sequence[str]) -> dict[str, Any]:
        """As a job holds it; `series` are those of `stimuli` that are parameters."""
        columns: dict[str, Any] = {"t": self.t}
        observed: dict[str, str] = {}
        for number, key in enumerate(self.observed.keys()):
            observed[str(key)] = f"y{number}"
            columns[f"y{number}"] = self.observed[key]
        found: dict[str, Any] = {"time": "t", "observed": observed}
        if self.noise_std is not None:
            found["noise_std"] = self._noise(columns)
        for name in self.stimuli:
            columns[name] = self.stimuli[name]
        stimulus = {name: name for name in self.stimuli if name not in series}
        if stimulus:
            found["stimulus"] = stimulus
        loss = self.loss if isinstance(self.loss, str) else dict(self.loss)
        return {
            "file": columns, **found, "loss": loss, "hold_back": int(self.hold_back), "gaps": bool(self.gaps)
        }  # fmt: skip

    def _noise(self, columns: dict[str, Any]) -> Any:
        if not isinstance(self.noise_std, Mapping):
            return float(self.noise_std) if self.noise_std is not None else None
        found: dict[str, Any] = {}
        for number, (key, std) in enumerate(self.noise_std.items()):
            if isinstance(std, Mapping):
                found[key] = dict(std)
            elif isinstance(std, int | float):
                found[key] = float(std)
            else:
                columns[f"noise{number}"] = std
                found[key] = {"column": f"noise{number}"}
        return found


@dataclass(frozen=True)
class Ladder:
    """The rungs of model-error precision: Rf = rf0 · alpha^β, β = 0 … rungs - 1.

    Attributes:
        rf0: The first Rf.
        alpha: The factor from one rung to the next.
        rungs: How many there are at finite Rf.
        end: "finite", or "infinity" for one more rung, at which the model is obeyed exactly.
        first_rungs: Rungs at which ladders begin.
    """

    rf0: float = 1e-2
    alpha: float = 1.5
    rungs: int = 40
    end: str = "finite"
    first_rungs: Sequence[int] = (0,)

    @property
    def table(self) -> dict[str, Any]:
        """As a job holds it."""
        return {
            "rf0": float(self.rf0), "alpha": float(self.alpha), "rungs": self.rungs, "end": self.end,
            "first_rungs": list(self.first_rungs),
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
            "max_iterations": self.max_iterations, "max_seconds": float(self.max_seconds),
        }  # fmt: skip
