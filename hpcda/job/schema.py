"""The tables of a job file as frozen pydantic models; each key's description says what it accepts.

The descriptions are the remedies that a person reads when a key is missing or wrong, so they complete the
sentence "Give …". Checks that need the model or the data are made by `hpcda.build`.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hpcda.action.discretizations import SCHEMES
from hpcda.annealing.eliminations import ELIMINATIONS
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted, either
from hpcda.job.base import BaseJob
from hpcda.job.inputs import DataTable, ModelTable, TwinTable
from hpcda.job.kinds import (
    LossTable,
    OptionName,
    OptionValue,
    Positive,
    RangeOrTable,
    RungNumbers,
    Section,
    Seed,
    Several,
    StepsPerSample,
    Weights,
    complain,
    one_of,
)
from hpcda.search.escapes import ESCAPES
from hpcda.search.ways import WAYS

RUNGS_MOST = 10_000


class ActionTable(Section):
    """[action]: the discretization and the weights of the model error."""

    discretization: Annotated[str, one_of(SCHEMES)] = Field(
        default="auto", description='a discretization of "hpcda list", or "auto"'
    )
    steps_per_sample: StepsPerSample = Field(
        default=1,
        description="the number of path steps between two samples, a whole number from 1 to 10000, or "
        '"auto" (as many as the estimates need, found by a pilot before the run)',
    )
    model_error_weight: Weights = Field(
        default_factory=dict,
        description="the weights of states' model errors, above 0, such as { x0 = 1.0 } (1 for what is not "
        'named), or "auto" ((4 / spread)² of each state)',
    )
    model_error: Literal["per step", "per time"] = Field(
        default="per step",
        description='what Rf weights: the model errors of single steps, "per step", or errors of the rate '
        'integrated over time, "per time", which a finer step leaves as they are',
    )


class LadderTable(Section):
    """[ladder]: Rf at rung β is rf0 · alpha^β; a last rung may be at Rf = ∞."""

    rf0: Positive = Field(default=1e-2, description="the first Rf, above 0, such as 1e-2")
    alpha: float = Field(
        default=1.5,
        gt=1.0,
        le=1e6,
        description="the factor from one rung to the next, a number above 1, such as 1.5",
    )
    rf_max: Positive | None = Field(default=None, description="the largest Rf of the ladder, such as 1e6")
    rungs: int | None = Field(
        default=None,
        ge=0,
        le=RUNGS_MOST,
        description="how many rungs the ladder has at finite Rf, a whole number from 1, such as 40",
    )
    end: Literal["finite", "infinity"] = Field(
        default="finite",
        description='"finite", or "infinity" for one more rung, at which the model is obeyed exactly',
    )
    first_rungs: RungNumbers = Field(
        default=(0,), description="the rungs at which ladders begin, such as [0, 12, 16]"
    )

    @model_validator(mode="after")
    def _consistent(self) -> LadderTable:
        wrong: list[tuple[str, str, str]] = []
        if self.rungs == 0 and self.end == "finite":
            wrong.append(("rungs", "there must be at least one rung", 'give rungs = 40, or end = "infinity"'))
        elif self.rungs is not None and self.rf_max is not None:
            wrong.append(("rungs", "conflicts with rf_max", "keep exactly one of rf_max and rungs"))
        elif self.rungs is None and self.rf_max is None:
            wrong.append(("rf_max", "is missing, as is rungs", "give rf_max = 1e6, or rungs = 40"))
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
        elif math.log(self.rf0) + (self.finite - 1) * math.log(self.alpha) > math.log(1e300):
            wrong.append(
                (
                    "rungs" if self.rungs is not None else "rf_max",
                    f"{counted(self.finite, 'rung ends', 'rungs end')} above Rf = 1e300",
                    "give fewer rungs, a smaller alpha or a smaller rf_max",
                )
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
            wrong.append(("first_rungs", "lists a rung twice", "list every rung once"))
        return complain(self, wrong)

    @property
    def count(self) -> int:
        """R, the number of rungs, with that at infinity."""
        return self.finite + self.infinity

    @property
    def infinity(self) -> bool:
        """Whether the last rung is at Rf = ∞."""
        return self.end == "infinity"

    @property
    def finite(self) -> int:
        """The number of rungs at finite Rf."""
        if self.rungs is not None:
            return self.rungs
        if self.rf_max is None:
            return 0
        # A rung that meets rf_max up to rounding belongs to the ladder.
        return math.floor((math.log(self.rf_max) - math.log(self.rf0)) / math.log(self.alpha) + 1e-9) + 1

    @property
    def beta(self) -> npt.NDArray[np.int64]:
        """Numbers of the rungs, 0 … R - 1, shape (R,)."""
        return np.arange(self.count, dtype=np.int64)

    @property
    def rf(self) -> npt.NDArray[np.float64]:
        """Rf of every rung, shape (R,)."""
        return self.ladder.rf

    @property
    def ladder(self) -> Ladder:
        """The ladder itself."""
        return Ladder(self.rf0, self.alpha, self.count, tuple(self.first_rungs), self.infinity)


class EnsembleTable(Section):
    """[ensemble]: how many paths start, and how."""

    starts: int = Field(
        default=100,
        ge=1,
        le=100_000_000,
        description="the number of starts, a whole number from 1, such as 100",
    )
    seed: Seed = Field(
        default=1, description="the seed of the random starts, a whole number, 0 or more, such as 1"
    )
    range: RangeOrTable | None = Field(
        default=None,
        description="the range of unmeasured states, such as [-10, 15], or a table with one range a state",
    )
    way: Annotated[str, one_of(WAYS)] = Field(
        default="auto",
        description='how a path starts: a way of "hpcda list", or "auto" to search with all of them',
    )
    budget: Literal["starts", "core-seconds", "verdict"] | None = Field(
        default=None,
        description='what ends a search with way = "auto": "verdict" (its lowest level is consistent and '
        'stable, or all starts were run; the default), "core-seconds", or "starts" (all were run)',
    )
    core_seconds: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description='the total core time after which a search ends with budget = "core-seconds" or '
        '"verdict", in s, such as 60',
    )
    merge: bool = Field(
        default=True,
        description="true to merge starts that have become the same path",
    )
    ranks_per_start: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="how many MPI ranks work on one start, a whole number from 1",
    )

    @model_validator(mode="after")
    def _budgeted(self) -> EnsembleTable:
        wrong = []
        if self.way != "auto" and self.budget not in (None, "starts"):
            wrong.append(
                ("budget", f"is {self.budget!r} with way = {self.way!r}", 'set way = "auto", or leave it out')
            )
        if self.budget == "core-seconds" and self.core_seconds is None:
            wrong.append(("core_seconds", "is missing", "give it, such as core_seconds = 60"))
        if self.ends == "starts" and self.core_seconds is not None:
            wrong.append(
                (
                    "core_seconds",
                    f"{self.core_seconds:g} has no effect with budget = {self.ends!r}",
                    'set budget = "core-seconds" or "verdict", or leave it out',
                )
            )
        return complain(self, wrong)

    @property
    def ends(self) -> str:
        """What ends the ensemble: "starts", "core-seconds" or "verdict"."""
        return self.budget or ("verdict" if self.way == "auto" else "starts")


class SolverTable(Section):
    """[solver]: the minimizer and its PETSc options."""

    minimizer: Annotated[str, one_of(MINIMIZERS)] = Field(
        default="auto", description='a minimizer of "hpcda list", or "auto"'
    )
    elimination: Annotated[str, one_of(ELIMINATIONS)] = Field(
        default="auto",
        description='an elimination of "hpcda list", or "auto" for the fastest',
    )
    petsc: dict[OptionName, OptionValue] = Field(
        default_factory=dict,
        description="PETSc options without the leading dash, such as { tao_gatol = 1e-8 }",
    )
    barrier: float = Field(
        default=1e-3,
        ge=0.0,
        le=1e6,
        allow_inf_nan=False,
        description="the weight of the barrier between bounds at the first rung, 0 for none, such as 1e-3",
    )
    rung_tolerance: float = Field(
        default=1e-5,
        gt=0.0,
        le=1e-2,
        allow_inf_nan=False,
        description="the relative tolerance of the action at rungs below the last, such as 1e-5",
    )
    max_iterations: int = Field(
        default=1000,
        ge=1,
        le=1_000_000_000,
        description="how many iterations one rung may take, a whole number from 1",
    )
    max_seconds: float = Field(
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="the time limit of one start, in s, after which it ends at its current rung; 0 for none",
    )


def source_of_data(data: bool, twin: bool) -> list[tuple[str, str, str]]:
    """What is wrong with a job that has or has not [data] and [twin]."""
    if data and twin:
        return [("twin", "conflicts with [data]", "keep exactly one of [data] and [twin]")]
    if not data and not twin:
        return [("data", "is missing, as is twin", "add a table [data], or [twin] to generate data")]
    return []


class Job(BaseJob):
    """A job that assimilates data: everything that a run depends on."""

    model: ModelTable = Field(description='a table [model] with name = "lorenz96"')
    data: Several[DataTable] = Field(default=(), description="a table [data], or several [[data]]")
    twin: Several[TwinTable] = Field(default=(), description="a table [twin], or several [[twin]]")
    action: ActionTable = Field(default_factory=ActionTable, description="a table [action]")
    ladder: LadderTable = Field(description="a table [ladder] with rf0, alpha, and rf_max or rungs")
    ensemble: EnsembleTable = Field(default_factory=EnsembleTable, description="a table [ensemble]")
    solver: SolverTable = Field(default_factory=SolverTable, description="a table [solver]")

    @model_validator(mode="after")
    def _consistent(self) -> Job:
        wrong = source_of_data(bool(self.data), bool(self.twin))
        if self.ensemble.way == "auto" and self.ladder.first_rungs != (0,):
            wrong.append(
                (
                    "ladder.first_rungs",
                    f'{list(self.ladder.first_rungs)} is given, but ensemble.way = "auto" chooses '
                    "them itself",
                    f"leave it out, or set way = {either(WAYS)}",
                )
            )
        return complain(self, wrong)

    @property
    def losses(self) -> set[str]:
        """Names of the losses that the data have."""
        found = [*(table.loss for table in self.data), *(table.loss for table in self.twin)]
        each = [one for loss in found for one in (loss.values() if isinstance(loss, dict) else [loss])]
        return {one.name if isinstance(one, LossTable) else one for one in each}

    @property
    def chosen(self) -> set[str]:
        """Names of registered objects that the job may use."""
        search = {*WAYS, *ESCAPES} if self.ensemble.way == "auto" else {self.ensemble.way}
        solver = {self.solver.minimizer, self.solver.elimination}
        return {self.action.discretization, *self.losses, *solver, *search}

    @property
    def steps(self) -> int:
        """Steps of the path from sample to sample.

        Raises:
            InputError: They are "auto", and have not been chosen.
        """
        if self.action.steps_per_sample == "auto":
            problem = 'is "auto" and has not been resolved'
            remedy = "choose with hpcda.pilot.with_steps(job), or give a number"
            raise InputError(Mistake("action.steps_per_sample", problem, remedy))
        return self.action.steps_per_sample

    def with_steps(self, steps: int) -> Job:
        """The same job with so many steps of the path from sample to sample."""
        action = self.action.model_copy(update={"steps_per_sample": steps})
        return self.model_copy(update={"action": action})
