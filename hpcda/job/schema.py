"""The tables of a job file, as frozen values; every key says in its description what it accepts.

The descriptions are the remedies that a person reads when a key is missing or wrong, so they complete the sentence
"Give …". Checks that need the model or the data are made by `hpcda.build`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hpcda.job.kinds import (
    Bounds,
    Column,
    FileName,
    NoiseStd,
    Observed,
    OptionName,
    OptionValue,
    PathPoints,
    Plain,
    Positive,
    Range,
    RangeOrTable,
    RungNumbers,
    Section,
    Seed,
    Several,
    Stimuli,
    complain,
)

RUNGS_MOST = 10_000
DISCRETIZATIONS = ("trapezoid", "hermite-simpson", "implicit-midpoint", "rk4", "map")


class Prior(Section):
    """A Gaussian prior."""

    mean: float = Field(description="the mean of the prior, in the unit of the quantity, such as 8.0")
    std: Positive = Field(description="the standard deviation of the prior, above 0, such as 2.0")


class ParameterTable(Section):
    """What the job says of one parameter of the model."""

    value: float | None = Field(None, description="the fixed value of the parameter, such as 3.0")
    series: Column | None = Field(
        None, description="the data column that holds the parameter as a function of time"
    )
    estimate: bool = Field(
        False, description="true to estimate the parameter, false to keep the model's value"
    )
    start: Range | None = Field(None, description="the range of the first guess, such as [4.0, 14.0]")
    bounds: Bounds | None = Field(
        None, description="the lowest and highest value allowed, such as [0.0, 20.0]"
    )
    prior: Prior | None = Field(None, description="a Gaussian prior, such as { mean = 8.0, std = 2.0 }")
    per_time: bool = Field(False, description="true if the parameter has a value of its own at every time")
    walk_std: Positive | None = Field(
        None,
        description="the standard deviation of the parameter's change per square root of unit time, above 0",
    )

    @model_validator(mode="after")
    def _consistent(self) -> ParameterTable:
        wrong: list[tuple[str, str, str]] = []
        ways = [key for key, given in self._ways().items() if given]
        if len(ways) > 1:
            wrong.append(
                (ways[1], f"stands beside {ways[0]}", "keep exactly one of value, series and estimate = true")
            )
        if not self.estimate:
            idle = [k for k in ("start", "bounds", "prior", "walk_std") if getattr(self, k) is not None]
            idle += ["per_time"] if self.per_time else []
            wrong += [
                (
                    key,
                    "has no effect, as the parameter is not estimated",
                    f"add estimate = true, or remove {key}",
                )
                for key in idle
            ]
        elif self.walk_std is not None and not self.per_time:
            wrong.append(
                (
                    "walk_std",
                    "has no effect on a constant parameter",
                    "add per_time = true, or remove walk_std",
                )
            )
        wrong += _start_within_bounds(self.start, self.bounds)
        return complain(self, wrong)

    def _ways(self) -> dict[str, bool]:
        return {"value": self.value is not None, "series": self.series is not None, "estimate": self.estimate}


class StateTable(Section):
    """What the job says of one state of the model."""

    bounds: Bounds | None = Field(None, description="the lowest and highest value allowed, such as [-50, 50]")
    start: Range | None = Field(
        None, description="the range in which an unmeasured path starts, such as [-10, 10]"
    )
    initial_prior: Prior | None = Field(
        None, description="a Gaussian prior on the state at the first time, such as { mean = 0.0, std = 1.0 }"
    )

    @model_validator(mode="after")
    def _consistent(self) -> StateTable:
        return complain(self, _start_within_bounds(self.start, self.bounds))


def _start_within_bounds(
    start: tuple[float, float] | None, bounds: tuple[float, float] | None
) -> list[tuple[str, str, str]]:
    if start is None or bounds is None or (bounds[0] <= start[0] and start[1] <= bounds[1]):
        return []
    remedy = f"choose start inside [{bounds[0]:g}, {bounds[1]:g}], or widen bounds"
    return [
        (
            "start",
            f"[{start[0]:g}, {start[1]:g}] is not inside bounds = [{bounds[0]:g}, {bounds[1]:g}]",
            remedy,
        )
    ]


class ModelName(Section):
    """Which model, with which options."""

    name: str = Field(
        min_length=1,
        description='a model of the catalogue ("hpcda models" lists it), or "file.py:function" beside the job file',
    )
    options: dict[str, Plain] = Field(
        default_factory=dict, description="the model's options, such as { dimension = 20 }"
    )


class ModelTable(ModelName):
    """[model]: the model that is fitted."""

    parameters: dict[str, ParameterTable] = Field(
        default_factory=dict, description="one table a parameter, such as [model.parameters.F]"
    )
    states: dict[str, StateTable] = Field(
        default_factory=dict, description="one table a state, such as [model.states.x0]"
    )


class DataTable(Section):
    """[data] or one of several [[data]]: a window of measured data."""

    file: FileName = Field(description='the file of the data (.csv, .npz, .npy, .h5), such as "x.csv"')
    time: Column = Field(description='the column of the times, such as "t"')
    observed: Observed = Field(
        description='what is measured and its column, such as { x0 = "y0" }, or a list of states that name their columns'
    )
    noise_std: NoiseStd = Field(
        description="the standard deviation of the noise, above 0: a number, a table with one for each key of observed, "
        'or { column = "sigma" }'
    )
    stimulus: dict[str, Column] = Field(
        default_factory=dict,
        description='the column of each stimulus of the model, such as { I = "current" }',
    )
    sample_step: Positive | None = Field(
        None,
        description="the time from one sample to the next, above 0; by default the smallest difference of times",
    )
    gaps: bool = Field(
        False, description="true if empty cells and missing times are meant, false if they are errors"
    )
    from_: float | None = Field(None, alias="from", description="the first time used")
    to: float | None = Field(None, description="the last time used")
    hold_back: int = Field(
        0, ge=0, description="how many samples at the end are kept back to test the prediction, such as 100"
    )

    @model_validator(mode="after")
    def _consistent(self) -> DataTable:
        wrong: list[tuple[str, str, str]] = []
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            wrong.append(("from", f"{self.from_:g} is not before to = {self.to:g}", "give a time before to"))
        wrong += _noise_for_each(self.noise_std, self.observed)
        return complain(self, wrong)


class TwinTable(Section):
    """[twin]: data generated from a known truth, in place of [data]."""

    model: ModelName | None = Field(
        None,
        description='the model that makes the truth, where it is not the fitted one, such as { name = "lorenz96" }',
    )
    parameters: dict[str, float] = Field(
        default_factory=dict, description="the true values of parameters, such as { F = 8.17 }"
    )
    initial: Literal["random"] | dict[str, float] | None = Field(
        None, description='the states at the beginning: "random", or a table such as { x0 = 1.0 }'
    )
    dt: Positive | None = Field(
        None, description="the time from one sample to the next, above 0, such as 0.025"
    )
    samples: int = Field(
        ge=2, le=10_000_000, description="how many samples the window has, at least 2, such as 161"
    )
    spin_up: float = Field(
        0.0, ge=0.0, description="how long the truth runs before the first sample, such as 20.0"
    )
    hold_back: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="how many further samples are kept back to test the prediction, such as 100",
    )
    observed: Observed = Field(
        description='what is measured and its column, such as { x0 = "y0" }, or a list such as ["x0", "x2"]'
    )
    noise_std: NoiseStd = Field(
        description="the standard deviation of the noise, above 0: a number, or a table with one for each key of observed"
    )
    seed: Seed = Field(
        1, description="the seed of the noise and the random beginning, a whole number from 0, such as 1"
    )
    stimulus: Stimuli = Field(
        default_factory=dict,
        description='how each stimulus is made, such as { I = { kind = "sine", amplitude = 10.0, period = 50.0 } }',
    )

    @model_validator(mode="after")
    def _consistent(self) -> TwinTable:
        wrong = _noise_for_each(self.noise_std, self.observed)
        if isinstance(self.noise_std, dict):
            columns = [(k, v) for k, v in self.noise_std.items() if not isinstance(v, float)]
            wrong += [
                (f"noise_std.{key}", "a twin has no columns to read the noise from", "give a number above 0")
                for key, _ in columns
            ]
        elif not isinstance(self.noise_std, float):
            wrong.append(
                ("noise_std", "a twin has no columns to read the noise from", "give a number above 0")
            )
        return complain(self, wrong)


def _noise_for_each(noise: Any, observed: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Mistakes in a table of noise levels that does not match the measured quantities."""
    if not isinstance(noise, dict):
        return []
    keys = ", ".join(observed)
    wrong = [
        (f"noise_std.{key}", "is not a key of observed", f"use the keys of observed: {keys}")
        for key in noise
        if key not in observed
    ]
    missing = [key for key in observed if key not in noise]
    return wrong + [
        ("noise_std", f"names no noise for {key}", f"give one value for each of {keys}") for key in missing
    ]


class ActionTable(Section):
    """[action]: the discretization and the weights of the model error."""

    discretization: Literal["auto", "trapezoid", "hermite-simpson", "implicit-midpoint", "rk4", "map"] = (
        Field(
            "auto",
            description='"trapezoid", "hermite-simpson", "implicit-midpoint" or "rk4" for flows, "map" for maps, '
            'or "auto" (trapezoid for flows, map for maps)',
        )
    )
    steps_per_sample: PathPoints = Field(
        1, description="how many steps of the path lie between two samples, a whole number from 1 to 10000"
    )
    model_error_weight: dict[str, Positive] = Field(
        default_factory=dict, description="the weight of a state's model error, above 0, such as { x0 = 1.0 }"
    )


class LadderTable(Section):
    """[ladder]: Rf at rung β is rf0 · alpha^β."""

    rf0: Positive = Field(1e-2, description="the first Rf, above 0, such as 1e-2")
    alpha: float = Field(
        1.5, gt=1.0, le=1e6, description="the factor from one rung to the next, a number above 1, such as 1.5"
    )
    rf_max: Positive | None = Field(None, description="the Rf that the ladder does not pass, such as 1e6")
    rungs: int | None = Field(
        None,
        ge=1,
        le=RUNGS_MOST,
        description="how many rungs the ladder has, a whole number from 1, such as 40",
    )
    first_rungs: RungNumbers = Field(
        (0,), description="the rungs at which ladders begin, such as [0, 12, 16]"
    )

    @model_validator(mode="after")
    def _consistent(self) -> LadderTable:
        wrong: list[tuple[str, str, str]] = []
        if self.rungs is not None and self.rf_max is not None:
            wrong.append(("rungs", "stands beside rf_max", "keep exactly one of rf_max and rungs"))
        elif self.rungs is None and self.rf_max is None:
            wrong.append(("rf_max", "is missing, and so is rungs", "give rf_max = 1e6, or rungs = 40"))
        elif self.rf_max is not None and self.rf_max < self.rf0:
            wrong.append(("rf_max", f"{self.rf_max:g} is below rf0 = {self.rf0:g}", "give a value above rf0"))
        elif self.count > RUNGS_MOST:
            wrong.append(
                (
                    "alpha",
                    f"{self.alpha!r} makes {self.count} rungs up to rf_max",
                    f"give a larger alpha (at most {RUNGS_MOST} rungs)",
                )
            )
        elif np.log(self.rf0) + (self.count - 1) * np.log(self.alpha) > np.log(1e300):
            wrong.append(
                ("rungs", f"{self.count} rungs end above Rf = 1e300", "give fewer rungs, or a smaller alpha")
            )
        else:
            wrong += [
                (
                    "first_rungs",
                    f"{rung} is beyond the last rung, {self.count - 1}",
                    f"give numbers from 0 to {self.count - 1}",
                )
                for rung in self.first_rungs
                if rung >= self.count
            ]
        if not self.first_rungs:
            wrong.append(("first_rungs", "is empty", "give at least one rung, such as [0]"))
        if len(set(self.first_rungs)) < len(self.first_rungs):
            wrong.append(("first_rungs", "names a rung twice", "name every rung once"))
        return complain(self, wrong)

    @property
    def count(self) -> int:
        """R, the number of rungs."""
        if self.rungs is not None:
            return self.rungs
        if self.rf_max is None:
            return 0
        # A rung that meets rf_max up to rounding belongs to the ladder.
        return int(np.floor((np.log(self.rf_max) - np.log(self.rf0)) / np.log(self.alpha) + 1e-9)) + 1

    @property
    def beta(self) -> npt.NDArray[np.int64]:
        """Numbers of the rungs, 0 … R - 1, shape (R,)."""
        return np.arange(self.count, dtype=np.int64)

    @property
    def rf(self) -> npt.NDArray[np.float64]:
        """Rf of every rung, shape (R,)."""
        return np.asarray(self.rf0 * self.alpha ** self.beta.astype(np.float64), dtype=np.float64)


class EnsembleTable(Section):
    """[ensemble]: how many paths start, and how."""

    starts: int = Field(
        100, ge=1, le=100_000_000, description="how many paths start, a whole number from 1, such as 100"
    )
    seed: Seed = Field(1, description="the seed of the random starts, a whole number from 0, such as 1")
    range: RangeOrTable | None = Field(
        None,
        description="the range of unmeasured states, such as [-10, 15], or a table with one range a state",
    )
    way: Literal["uniform", "quiet"] = Field("quiet", description='how a path begins: "quiet" or "uniform"')
    budget: Literal["starts"] = Field(
        "starts", description='what ends the ensemble: "starts" (all of them were run)'
    )
    ranks_per_start: int = Field(
        1, ge=1, le=1_000_000, description="how many MPI ranks work on one start, a whole number from 1"
    )


class SolverTable(Section):
    """[solver]: the minimizer and its PETSc options."""

    minimizer: Literal[
        "auto", "newton", "nls", "ntr", "ntl", "bnls", "bntr", "bntl", "bqnls", "lmvm", "blmvm", "cg", "bncg", "brgn",
        "snes-newtonls", "snes-newtontr",
    ] = Field("auto", description='the minimizer, such as "auto", "newton", "nls", "bnls" or "lmvm"')  # fmt: skip
    petsc: dict[OptionName, OptionValue] = Field(
        default_factory=dict,
        description="PETSc options without the leading dash, such as { tao_gatol = 1e-8 }",
    )
    max_iterations: int = Field(
        1000,
        ge=1,
        le=1_000_000_000,
        description="how many iterations one rung may take, a whole number from 1",
    )


class OutputTable(Section):
    """[output]: where the results go and which paths are kept."""

    directory: FileName = Field("run", description='the directory of the results, such as "run"')
    keep_paths: str = Field(
        "final",
        pattern=r"^(final|all|best:[1-9][0-9]{0,8})$",
        description='which paths are stored: "final" (the last rung\'s), "all" (every rung\'s), or "best:10" (the 10 lowest)',
    )


class Job(Section):
    """A job: everything that a run depends on."""

    folder: FileName = Field(
        default_factory=lambda: str(Path.cwd()),
        description="the folder in which relative files are looked up; by default that of the job file",
    )
    model: ModelTable = Field(description='a table [model] with name = "lorenz96"')
    data: Several[DataTable] = Field((), description="a table [data], or several [[data]]")
    twin: Several[TwinTable] = Field((), description="a table [twin], or several [[twin]]")
    action: ActionTable = Field(default_factory=ActionTable, description="a table [action]")
    ladder: LadderTable = Field(description="a table [ladder] with rf0, alpha, and rf_max or rungs")
    ensemble: EnsembleTable = Field(default_factory=EnsembleTable, description="a table [ensemble]")
    solver: SolverTable = Field(default_factory=SolverTable, description="a table [solver]")
    output: OutputTable = Field(default_factory=OutputTable, description="a table [output]")

    @model_validator(mode="after")
    def _consistent(self) -> Job:
        wrong: list[tuple[str, str, str]] = []
        if self.data and self.twin:
            wrong.append(("twin", "stands beside [data]", "keep exactly one of [data] and [twin]"))
        if not self.data and not self.twin:
            wrong.append(
                ("data", "is missing, and so is twin", "add a table [data], or [twin] to generate data")
            )
        return complain(self, wrong)

    def path(self, name: str) -> Path:
        """The file `name`, looked up in the job's folder where it is relative."""
        return Path(self.folder) / Path(name).expanduser()

    @property
    def output_directory(self) -> Path:
        """Where the results go."""
        return self.path(self.output.directory)

    def resolved_toml(self) -> str:
        """The job with every default filled in, as TOML; loading it gives an equal job."""
        from hpcda.job.text import to_toml

        return to_toml(self.model_dump(by_alias=True, exclude_none=True, mode="python"))
