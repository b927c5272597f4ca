"""Job tables for what is known: [model], its parameters and states, [data] or [twin]."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from hpcda.action.losses import LOSSES
from hpcda.job.kinds import (
    Bounds,
    Column,
    FileName,
    Initial,
    Losses,
    LossTable,
    Marks,
    NoiseColumn,
    NoiseStd,
    Observed,
    Plain,
    Positive,
    Range,
    ScaleTable,
    Section,
    Seed,
    Squared,
    Stimuli,
    complain,
)

LOSS_TEXT = (
    "the distribution of the noise: "
    + ", ".join(f'"{one.name}" ({one.sentence})' for one in LOSSES.values())
    + '; with options { name = "student-t", nu = 4.0 }; or a table with one entry per key of observed'
)


class Prior(Section):
    """A Gaussian prior."""

    mean: float = Field(description="the mean of the prior, in the unit of the quantity, such as 8.0")
    std: Squared = Field(description="the standard deviation of the prior, above 0, such as 2.0")


class ParameterTable(Section):
    """What the job says of one parameter of the model."""

    value: float | None = Field(default=None, description="the fixed value of the parameter, such as 3.0")
    series: Column | None = Field(
        default=None, description="the data column that holds the parameter as a function of time"
    )
    estimate: bool = Field(
        default=False, description="true to estimate the parameter, false to keep the model's value"
    )
    start: Range | None = Field(default=None, description="the range of the first guess, such as [4.0, 14.0]")
    bounds: Bounds | None = Field(
        default=None, description="the lowest and highest value allowed, such as [0.0, 20.0]"
    )
    prior: Prior | None = Field(
        default=None, description="a Gaussian prior, such as { mean = 8.0, std = 2.0 }"
    )
    per_time: bool = Field(default=False, description="true if the parameter has its own value at every time")
    per_window: bool | None = Field(
        default=None,
        description="true if the parameter has its own value in every window, false if all windows "
        "share it (with "
        "per_time: at each time counted from the start of the window; default: as per_time)",
    )
    walk_std: Squared | None = Field(
        default=None,
        description="the standard deviation of the parameter's change per square root of unit time, above 0",
    )

    @model_validator(mode="after")
    def _consistent(self) -> ParameterTable:
        wrong: list[tuple[str, str, str]] = []
        ways = [key for key, given in self._ways().items() if given]
        if len(ways) > 1:
            wrong.append(
                (
                    ways[1],
                    f"conflicts with {ways[0]}",
                    "keep exactly one of value, series and estimate = true",
                )
            )
        if not self.estimate:
            idle = [k for k in ("start", "bounds", "prior", "walk_std") if getattr(self, k) is not None]
            idle += ["per_time"] if self.per_time else []
            idle += ["per_window"] if self.per_window else []
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
        elif self.per_time and self.walk_std is None and self.prior is None:
            wrong.append(
                (
                    "walk_std",
                    "is missing, as is prior: the values of all times would be unconstrained",
                    "give walk_std, the change per square root of unit time, or a prior",
                )
            )
        wrong += _start_within_bounds(self.start, self.bounds)
        return complain(self, wrong)

    def _ways(self) -> dict[str, bool]:
        return {"value": self.value is not None, "series": self.series is not None, "estimate": self.estimate}


class StateTable(Section):
    """What the job says of one state of the model."""

    bounds: Bounds | None = Field(
        default=None, description="the lowest and highest value allowed, such as [-50, 50]"
    )
    start: Range | None = Field(
        default=None, description="the range of the initial path of an unmeasured state, such as [-10, 10]"
    )
    initial_prior: Prior | None = Field(
        default=None,
        description="a Gaussian prior on the state at the first time, such as { mean = 0.0, std = 1.0 }",
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
        description='a model listed by "hpcda models", or "file.py:function" beside the job file',
    )
    options: dict[str, Plain] = Field(
        default_factory=dict, description="the model's options, such as { dimension = 20 }"
    )


class ModelTable(ModelName):
    """[model]: the model that is fitted."""

    parameters: dict[str, ParameterTable] = Field(
        default_factory=dict, description="one table per parameter, such as [model.parameters.F]"
    )
    states: dict[str, StateTable] = Field(
        default_factory=dict, description="one table per state, such as [model.states.x0]"
    )


class TruthTable(Section):
    """[data.truth]: what the data were made from, where it is known; it is compared with, never fitted."""

    file: FileName | None = Field(
        default=None, description='a file whose columns have the names of the states, such as "truth.csv"'
    )
    time: Column = Field(default="t", description='the column of the times in it, such as "t"')
    parameters: dict[str, float] = Field(
        default_factory=dict, description="the true values of parameters, such as { F = 8.17 }"
    )

    @model_validator(mode="after")
    def _consistent(self) -> TruthTable:
        empty = self.file is None and not self.parameters
        wrong = [("file", "is missing, as is parameters", "give at least one, or remove the truth")]
        return complain(self, wrong if empty else [])


class DataTable(Section):
    """[data] or one of several [[data]]: a window of measured data."""

    file: FileName = Field(description='the file of the data (.csv, .npz, .npy, .h5, .nc), such as "x.csv"')
    time: Column = Field(description='the column of the times, such as "t"')
    observed: Observed = Field(
        description='what is measured and its column, such as { x0 = "y0" }, or a list such as ["x0", "x2"]'
    )
    noise_std: NoiseStd | None = Field(
        default=None,
        description="the standard deviation of the noise, above 0: a number, a table with one "
        'entry per key of observed, { column = "sigma" }, or { estimate = true, start = [0.1, 10.0] }',
    )
    loss: Losses = Field(default="gaussian", description=LOSS_TEXT)
    stimulus: dict[str, Column] = Field(
        default_factory=dict,
        description='the column of each stimulus of the model, such as { I = "current" }',
    )
    sample_step: Positive | None = Field(
        default=None,
        description="the time from one sample to the next, above 0 (default: the least difference of times)",
    )
    uneven: bool = Field(
        default=False,
        description="true if times are not equally far apart: the path has its points at these times, and "
        "between two of them as many equal steps as keep each at most sample_step (default: the median "
        "difference of times) over action.steps_per_sample",
    )
    gaps: bool = Field(
        default=False, description="true to accept empty cells and missing times, false to refuse them"
    )
    header: bool | None = Field(
        default=None,
        description="true if the first row of a text file contains names, false if data (default: detected)",
    )
    missing: Marks | None = Field(
        default=None,
        description='the marks of missing values, cells or numbers, such as [-999, "<LOD"]; '
        "[] if every number is a value",
    )
    from_: float | None = Field(default=None, alias="from", description="the first time used")
    to: float | None = Field(default=None, description="the last time used")
    hold_back: int = Field(
        default=0,
        ge=0,
        description="how many samples at the end are held out to test the prediction, such as 100",
    )
    truth: TruthTable | None = Field(
        default=None,
        description='the truth, if known, such as { file = "truth.csv", parameters = { F = 8.17 } }',
    )

    @model_validator(mode="after")
    def _consistent(self) -> DataTable:
        wrong: list[tuple[str, str, str]] = []
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            wrong.append(("from", f"{self.from_:g} is not before to = {self.to:g}", "give a time before to"))
        wrong += _noise_for_each(self.noise_std, self.observed, self.loss)
        wrong += _losses_for(self.loss, self.observed)
        return complain(self, wrong)


class TwinTable(Section):
    """[twin]: data generated from a known truth, in place of [data]."""

    model: ModelName | None = Field(
        default=None,
        description="the model that generates the truth, if not the fitted one, such as { name = "
        '"lorenz96" }',
    )
    parameters: dict[str, float] = Field(
        default_factory=dict, description="the true values of parameters, such as { F = 8.17 }"
    )
    initial: Initial | None = Field(
        default=None, description='the states at the beginning: "random", or a table such as { x0 = 1.0 }'
    )
    dt: Positive | None = Field(
        default=None, description="the time from one sample to the next, above 0, such as 0.025"
    )
    samples: int = Field(
        ge=2, le=10_000_000, description="how many samples the window has, at least 2, such as 161"
    )
    spin_up: float = Field(
        default=0.0, ge=0.0, description="how long the truth runs before the first sample, such as 20.0"
    )
    hold_back: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="how many further samples are held out to test the prediction, such as 100",
    )
    observed: Observed = Field(
        description='what is measured and its column, such as { x0 = "y0" }, or a list such as ["x0", "x2"]'
    )
    noise_std: NoiseStd | None = Field(
        default=None,
        description="the standard deviation of the noise, above 0: a number, a table with one "
        "entry per key of observed, or { estimate = true, start = [0.1, 10.0], truth = 0.5 }",
    )
    loss: Losses = Field(default="gaussian", description=LOSS_TEXT)
    seed: Seed = Field(
        default=1,
        description="the seed of the noise and the random beginning, a whole number, 0 or more, such as 1",
    )
    max_seconds: Positive = Field(
        default=60.0,
        description="the time limit of the integration of the truth, in seconds, such as 600",
    )
    stimulus: Stimuli = Field(
        default_factory=dict,
        description='how a stimulus is generated, such as { I = { kind = "sine", amplitude = 9, '
        "period = 50 } }",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TwinTable:
        wrong = _noise_for_each(self.noise_std, self.observed, self.loss)
        wrong += _losses_for(self.loss, self.observed)
        table = self.noise_std if isinstance(self.noise_std, dict) else {"": self.noise_std}
        for key, one in table.items():
            place = f"noise_std.{key}" if key else "noise_std"
            if isinstance(one, NoiseColumn):
                problem = "a twin has no data columns for the noise"
                wrong.append((place, problem, "give a number above 0"))
            if isinstance(one, ScaleTable) and one.truth is None:
                problem = "is missing: a twin needs the true scale of its noise"
                wrong.append((f"{place}.truth", problem, "give a number above 0, such as truth = 0.5"))
        return complain(self, wrong)


def has_scale(loss: Any, key: str) -> bool:
    """Whether the noise of a measured quantity has a scale, by its loss; yes where that is not known."""
    one = loss.get(key, "gaussian") if isinstance(loss, dict) else loss
    name = one.name if isinstance(one, LossTable) else one
    return name not in LOSSES or LOSSES[name].scaled


def _losses_for(loss: Any, observed: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Mistakes in a table of losses that names what is not measured."""
    keys = ", ".join(observed)
    return [
        (f"loss.{key}", "is not a key of observed", f"use the keys of observed: {keys}")
        for key in (loss if isinstance(loss, dict) else {})
        if key not in observed
    ]


def _noise_for_each(noise: Any, observed: dict[str, Any], loss: Any) -> list[tuple[str, str, str]]:
    """Mistakes in noise levels that do not match the measured quantities, or are missing."""
    if not isinstance(noise, dict):
        bare = [key for key in observed if noise is None and has_scale(loss, key)]
        remedy = "give the standard deviation of the noise, above 0, such as noise_std = 0.5"
        names = f"is missing for {', '.join(bare)}" if len(bare) < len(observed) else "is missing"
        return [("noise_std", names, remedy)] if bare else []
    keys = ", ".join(observed)
    wrong = [
        (f"noise_std.{key}", "is not a key of observed", f"use the keys of observed: {keys}")
        for key in noise
        if key not in observed
    ]
    missing = [key for key in observed if key not in noise and has_scale(loss, key)]
    return wrong + [
        ("noise_std", f"gives no noise for {key}", f"give one value for each of {keys}") for key in missing
    ]
