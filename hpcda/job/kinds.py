"""Value types of a job file: pairs, columns, noise levels, tables that may be repeated."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hpcda.action.losses import LOSSES
from hpcda.extensions import extended
from hpcda.names import nearest
from hpcda.registry import Registry

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)

LARGEST = 1e100
"""Numbers whose squares enter the action, and ranges that starts are drawn from, go up to this."""

# A tag of a union is part of pydantic's place of an error; this mark tells it from a key.
MARK = "\0tag:"


class Section(BaseModel):
    """A table of the job: strict, frozen, without unknown keys, every number finite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


def refuse(problem: str, remedy: str) -> PydanticCustomError:
    """The exception by which a validator refuses one value."""
    return PydanticCustomError("hpcda", "{problem}", {"problem": problem, "remedy": remedy})


def known_files() -> tuple[str, ...]:
    """Checksums of the files that `hpcda.extend` was given."""
    return tuple(one.sha256 for one in extended())


def short(value: Any) -> str:
    """A value as messages show it."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number with thousands of digits"
    return text if len(text) <= 60 else text[:57] + "…"


def complain(section: S, wrong: list[tuple[str, str, str]]) -> S:
    """Return `section`, or refuse it with all its mistakes: key within the section, problem, remedy."""
    if wrong:
        raise PydanticCustomError("hpcda_section", "{wrong}", {"wrong": wrong})
    return section


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _file_name(value: str) -> str:
    if "\0" in value:
        raise refuse("contains a null character", "give a file name")
    try:
        Path(value).expanduser()
    except RuntimeError:
        problem = f"{value!r} begins in the home directory of a user who does not exist"
        raise refuse(problem, "write the whole path") from None
    return value


def _squared(value: float) -> float:
    if not 1.0 / LARGEST <= value <= LARGEST:
        problem = f"{value:g} is too {'large' if value > 1.0 else 'small'} to be squared"
        raise refuse(problem, f"choose units in which it is from {1.0 / LARGEST:g} to {LARGEST:g}")
    return value


def _no_nan(pair: tuple[float, float]) -> tuple[float, float]:
    if any(np.isnan(pair)):
        raise refuse("holds nan", "give numbers; inf and -inf where there is no bound")
    return pair


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise refuse(
            f"the lower value {pair[0]:g} is above the upper value {pair[1]:g}", "give the lower value first"
        )
    return pair


def _drawable(pair: tuple[float, float]) -> tuple[float, float]:
    if max(abs(pair[0]), abs(pair[1])) > LARGEST:
        raise refuse(f"[{pair[0]:g}, {pair[1]:g}] is too wide", f"give numbers up to {LARGEST:g}")
    return pair


def _apart(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] == pair[1] or pair[0] == np.inf or pair[1] == -np.inf:
        raise refuse(f"[{pair[0]:g}, {pair[1]:g}] is empty", "give a lower value below the upper one")
    return pair


Positive = Annotated[float, Field(gt=0.0)]
Squared = Annotated[float, Field(gt=0.0), AfterValidator(_squared)]
PathPoints = Annotated[int, Field(ge=1, le=10_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
RungNumbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_as_tuple)]
Levels = Annotated[tuple[float, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
Range = Annotated[
    tuple[float, float], BeforeValidator(_as_tuple), AfterValidator(_ordered), AfterValidator(_drawable)
]
Infinite = Annotated[float, Field(allow_inf_nan=True)]
Bounds = Annotated[
    tuple[Infinite, Infinite],
    BeforeValidator(_as_tuple),
    AfterValidator(_no_nan),
    AfterValidator(_ordered),
    AfterValidator(_apart),
]
FileNames = Annotated[
    tuple[Annotated[str, BeforeValidator(_as_text), Field(min_length=1), AfterValidator(_file_name)], ...],
    BeforeValidator(_as_tuple),
]
FileName = Annotated[str, BeforeValidator(_as_text), Field(min_length=1), AfterValidator(_file_name)]


def _by_kind(value: Any) -> str:
    """Tag of a value that may be a word, a number, a list or a table."""
    if isinstance(value, BaseModel | dict):
        return MARK + "table"
    if isinstance(value, list | tuple):
        return MARK + "list"
    return MARK + ("number" if isinstance(value, int | float) and not isinstance(value, bool) else "word")


def _column_kind(value: Any) -> str:
    return MARK + ("number" if isinstance(value, int) and not isinstance(value, bool) else "word")


# A column: its name, or its position in the file, counted from 0.
Column = Annotated[
    Annotated[str, Field(min_length=1), Tag(MARK + "word")]
    | Annotated[int, Field(ge=0), Tag(MARK + "number")],
    Discriminator(_column_kind),
]


def _marks(value: Any) -> Any:
    """Cells and numbers that stand for missing values."""
    if not isinstance(value, list | tuple):
        return value
    for one in value:
        number = isinstance(one, int | float) and not isinstance(one, bool)
        if not number and not isinstance(one, str):
            raise refuse(f"holds {one!r}", 'give numbers and strings, such as [-999, "<LOD"]')
        if number and not abs(one) <= 1e308:
            problem = "contains nan, inf or a number that is too large"
            raise refuse(problem, 'remove it; write a cell as a string, such as "inf"')
    return tuple(value)


# Cells as they are written and numbers as they are stored that stand for missing values.
Marks = Annotated[tuple[Any, ...], BeforeValidator(_marks)]


class NoiseColumn(Section):
    """A column of the data that holds the standard deviation of every value."""

    column: Column = Field(
        description='the column that holds the standard deviation of every value, such as "sigma"'
    )


class ScaleTable(Section):
    """The scale of noise that is estimated."""

    estimate: Literal[True] = Field(description="true to estimate the scale of the noise")
    start: Range = Field(
        description="the range of the first guess, its ends above 0, such as [0.1, 10.0]",
    )
    bounds: Range | None = Field(
        default=None,
        description="the lowest and highest value allowed, above 0 (default: a hundred times beyond start)",
    )
    per_window: bool = Field(
        default=False, description="true if every window has its own scale, false if they share one"
    )
    truth: Squared | None = Field(
        default=None, description="of a twin, the true scale of the noise, such as 0.5"
    )

    @model_validator(mode="after")
    def _positive(self) -> ScaleTable:
        wrong = [
            (key, f"begins at {pair[0]:g}, but a scale is above 0", "give two numbers above 0")
            for key, pair in (("start", self.start), ("bounds", self.bounds))
            if pair is not None and not pair[0] > 0.0
        ]
        return complain(self, wrong)


def _noise_one(value: Any) -> str:
    if isinstance(value, ScaleTable) or (isinstance(value, dict) and "estimate" in value):
        return MARK + "estimated"
    return MARK + ("column" if isinstance(value, NoiseColumn | dict) else "number")


def _noise_kind(value: Any) -> str:
    alone = isinstance(value, dict) and (list(value) == ["column"] or "estimate" in value)
    if alone or not isinstance(value, dict):
        return _noise_one(value)
    return _by_kind(value)


NoiseOne = Annotated[
    Annotated[Squared, Tag(MARK + "number")]
    | Annotated[NoiseColumn, Tag(MARK + "column")]
    | Annotated[ScaleTable, Tag(MARK + "estimated")],
    Discriminator(_noise_one),
]
NoiseStd = Annotated[
    Annotated[Squared, Tag(MARK + "number")]
    | Annotated[NoiseColumn, Tag(MARK + "column")]
    | Annotated[ScaleTable, Tag(MARK + "estimated")]
    | Annotated[dict[str, NoiseOne], Field(min_length=1), Tag(MARK + "table")],
    Discriminator(_noise_kind),
]


def _observed(value: Any) -> Any:
    """A list of states that name their own columns, as a table."""
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        return value
    repeated = sorted({name for name in value if list(value).count(name) > 1})
    if repeated:
        raise refuse(f"lists {repeated[0]} twice", "list every measured quantity once")
    return {name: name for name in value}


Observed = Annotated[
    dict[Annotated[str, Field(min_length=1)], Column], BeforeValidator(_observed), Field(min_length=1)
]
RangeOrTable = Annotated[
    Annotated[Range, Tag(MARK + "list")]
    | Annotated[dict[str, Range], Field(min_length=1), Tag(MARK + "table")],
    Discriminator(lambda value: MARK + ("table" if isinstance(value, dict) else "list")),
]
Initial = Annotated[
    Annotated[Literal["random"], Tag(MARK + "word")] | Annotated[dict[str, float], Tag(MARK + "table")],
    Discriminator(lambda value: MARK + ("table" if isinstance(value, dict) else "word")),
]
Weights = Annotated[
    Annotated[Literal["auto"], Tag(MARK + "word")] | Annotated[dict[str, Squared], Tag(MARK + "table")],
    Discriminator(lambda value: MARK + ("table" if isinstance(value, dict) else "word")),
]

StepsPerSample = Annotated[
    Annotated[Literal["auto"], Tag(MARK + "word")] | Annotated[PathPoints, Tag(MARK + "number")],
    Discriminator(lambda value: MARK + ("word" if isinstance(value, str) else "number")),
]


OWN = 'one of your own needs extensions = ["mine.py"] in the job, hpcda.extend("mine.py") in Python'


def one_of(
    registry: Registry[Any], auto: bool = True, offered: Callable[[Any], bool] = lambda one: True
) -> BeforeValidator:
    """A validator of a name in a registry, or where that is one "auto"; of files' names those the job knows.

    What a job knows is the validation's context: ``files``, checksums of its files, and ``whole``, False
    where one of them could not be loaded, so that nobody can tell which names there are. A remedy lists
    those that are `offered`.
    """

    def check(value: Any, info: ValidationInfo) -> Any:
        context = info.context or {}
        known = registry.known(context.get("files", known_files()))
        first = ["auto"] if auto else []
        if isinstance(value, str) and value in (*first, *(one.name for one in known)):
            return value
        if isinstance(value, str) and not context.get("whole", True):
            return value
        names = [*first, *(one.name for one in known if offered(one))]
        remedy = nearest(value, names) if isinstance(value, str) else f"use one of: {', '.join(names)}"
        if remedy.startswith("use one of"):
            remedy += f"; {OWN}"
        raise refuse(f"{short(value)} is not accepted", remedy)

    return BeforeValidator(check)


LossName = Annotated[str, one_of(LOSSES, auto=False, offered=lambda loss: not loss.joint)]


class LossTable(BaseModel):
    """A loss with options of its own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: LossName = Field(description='the name of the loss, such as "student-t"')

    @property
    def options(self) -> dict[str, float]:
        """Its options by name."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _numbers(self) -> LossTable:
        wrong = [
            (name, f"{short(value)} is not a number above 0", f"give a number, such as {name} = 4.0")
            for name, value in self.options.items()
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1e6
        ]
        return complain(self, wrong)


def _loss_one(value: Any) -> str:
    return MARK + ("loss" if isinstance(value, LossTable | dict) else "word")


def _loss_kind(value: Any) -> str:
    if isinstance(value, dict) and "name" not in value:
        return MARK + "table"
    return _loss_one(value)


LossOne = Annotated[
    Annotated[LossName, Tag(MARK + "word")] | Annotated[LossTable, Tag(MARK + "loss")],
    Discriminator(_loss_one),
]
Losses = Annotated[
    Annotated[LossName, Tag(MARK + "word")]
    | Annotated[LossTable, Tag(MARK + "loss")]
    | Annotated[dict[str, LossOne], Field(min_length=1), Tag(MARK + "table")],
    Discriminator(_loss_kind),
]


def _option_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", value):
        raise refuse(f"{value!r} is not the name of an option", "leave out the leading dash and any space")
    return value


def _option_value(value: Any) -> Any:
    if not isinstance(value, str | bool | int | float) or value != value:
        raise refuse(f"{value!r} is not the value of an option", "give a string, a number, true or false")
    return value


def _plain(value: Any) -> Any:
    """The value, where TOML can hold it."""
    if isinstance(value, str | bool | int) or (isinstance(value, float) and value == value):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise refuse(
        f"{value!r} cannot be written in a job file",
        "give strings, numbers, true, false, or lists and tables of them",
    )


OptionName = Annotated[str, AfterValidator(_option_name)]
OptionValue = Annotated[Any, AfterValidator(_option_value)]
Plain = Annotated[Any, AfterValidator(_plain)]


def _repeated(value: Any) -> Any:
    return (
        tuple(value)
        if isinstance(value, list)
        else (value,)
        if isinstance(value, dict | BaseModel)
        else value
    )


# One table, or several of the same name ([data] or [[data]], [data]).
Several = Annotated[tuple[T, ...], BeforeValidator(_repeated)]


class Constant(Section):
    """A stimulus that does not change."""

    kind: Literal["constant"]
    value: float = Field(description="the value of the stimulus")


class Sine(Section):
    """offset + amplitude · sin(2π t / period + phase)."""

    kind: Literal["sine"]
    amplitude: float = Field(description="the amplitude, in the stimulus' unit, such as 10.0")
    period: Positive = Field(description="the period, in the model's time unit, above 0, such as 50.0")
    offset: float = Field(default=0.0, description="the mean, in the stimulus' unit")
    phase: float = Field(default=0.0, description="the phase at time 0, in radians")


class Steps(Section):
    """offset + scale · level, each level held for `width`; levels drawn from [-1, 1] where none are given."""

    kind: Literal["steps"]
    width: Positive = Field(
        description="how long each level is held, in the model's time unit, above 0, such as 20.0"
    )
    levels: Levels | None = Field(default=None, description="the levels, such as [0, 10, 20]")
    scale: float = Field(default=1.0, description="the factor of the levels, in the stimulus' unit")
    offset: float = Field(default=0.0, description="the offset of the levels, in the stimulus' unit")
    seed: Seed = Field(default=0, description="the seed of the drawn levels, a whole number, 0 or more")
    count: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=64, description="how many levels are drawn, from 1"
    )


class Chaotic(Section):
    """The first state of a Lorenz 1963 system, scaled."""

    kind: Literal["chaotic"]
    scale: float = Field(description="the standard deviation, in the stimulus' unit, such as 10.0")
    offset: float = Field(default=0.0, description="the mean, in the stimulus' unit")
    timescale: Positive = Field(
        default=20.0,
        description="length of one time unit of the Lorenz system, in the model's time unit, above 0",
    )
    seed: Seed = Field(
        default=0, description="the seed that selects the piece of the trajectory, a whole number, 0 or more"
    )


class FromFile(Section):
    """A stimulus read from a file, linear between its rows."""

    kind: Literal["file"]
    file: FileName = Field(description='the file of the stimulus, such as "current.csv"')
    time: Column = Field(description='the column of the times, such as "t"')
    column: Column = Field(description='the column of the values, such as "I"')
    header: bool | None = Field(
        default=None,
        description="true if the first row of a text file contains names, false if data",
    )
    missing: Marks | None = Field(
        default=None,
        description="the marks of missing values, such as [-999]; [] if every number is a value",
    )


Shape = Constant | Sine | Steps | Chaotic | FromFile
STIMULUS_KINDS = ("constant", "sine", "steps", "chaotic", "file")


def _shape_kind(value: Any) -> str:
    kind = (
        value.get("kind", "file" if "file" in value else "")
        if isinstance(value, dict)
        else getattr(value, "kind", "")
    )
    return MARK + kind if isinstance(kind, str) and kind in STIMULUS_KINDS else MARK + "unknown"


def _shape(value: Any) -> Any:
    remedy = "write kind = " + ", ".join(f'"{kind}"' for kind in STIMULUS_KINDS[:-1]) + ' or "file"'
    if isinstance(value, BaseModel):
        return value
    if not isinstance(value, dict):
        raise refuse("is not a table", remedy)
    if "kind" not in value and "file" in value:
        return {**value, "kind": "file"}
    if value.get("kind") not in STIMULUS_KINDS:
        raise refuse(
            f"{value['kind']!r} is not a kind of stimulus" if "kind" in value else "has no kind", remedy
        )
    return value


Stimulus = Annotated[
    Annotated[Constant, Tag(MARK + "constant")]
    | Annotated[Sine, Tag(MARK + "sine")]
    | Annotated[Steps, Tag(MARK + "steps")]
    | Annotated[Chaotic, Tag(MARK + "chaotic")]
    | Annotated[FromFile, Tag(MARK + "file")],
    Discriminator(_shape_kind),
    BeforeValidator(_shape),
]
Stimuli = dict[str, Stimulus]
