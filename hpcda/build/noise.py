"""The noise model of the data: losses, estimated noise scales, parameters of the sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.action.losses import LOSSES, Loss
from hpcda.errors import InputError, Mistake
from hpcda.job import Job
from hpcda.job.inputs import DataTable, TwinTable
from hpcda.job.kinds import LossTable, ScaleTable
from hpcda.job.mistakes import dotted
from hpcda.models.expression import Expression
from hpcda.models.model import Model
from hpcda.names import nearest
from hpcda.problem import Array, Estimated, Noise

Entry = DataTable | TwinTable
Mask = npt.NDArray[np.bool_]
FAR = 100.0
"""A scale that is estimated stays within this factor of the range of its first guess, by default."""


def sensor_names(job: Job, model: Model) -> tuple[str, ...]:
    """Parameters that appear in measured quantities but not in the model."""
    known = (*model.state_names, *model.parameter_names, *model.arrays)
    named = [name for name in job.model.parameters if name not in known]
    used: set[str] = set()
    entries: tuple[Entry, ...] = (*job.data, *job.twin)
    for entry in entries:
        for text in entry.observed:
            try:
                used |= set(Expression(text, model.state_names, parameters=(*known, *named)).parameters)
            except InputError:  # told where the quantity is read
                continue
    return tuple(name for name in named if name in used)


def loss_of(entry: Entry, key: str) -> tuple[Loss, dict[str, float]]:
    """The loss of a measured quantity and all its options.

    Raises:
        InputError: The loss takes several quantities at once.
    """
    given = entry.loss
    one = given.get(key, "gaussian") if isinstance(given, dict) else given
    name, options = (one.name, one.options) if isinstance(one, LossTable) else (one, {})
    if LOSSES[name].joint:
        single = ", ".join(loss.name for loss in LOSSES.values() if not loss.joint)
        problem = f"{name!r} takes several quantities at once, but a job gives each quantity its own loss"
        raise InputError(Mistake("data.loss", problem, f"name one of: {single}"))
    return LOSSES[name], LOSSES[name].optional(options)


def scale_of(entry: Entry, key: str) -> object:
    """The noise scale as the job gives it: a number, a column, a `ScaleTable`, or None."""
    return entry.noise_std.get(key) if isinstance(entry.noise_std, dict) else entry.noise_std


@dataclass(frozen=True)
class Scales:
    """The noise model common to all windows.

    Attributes:
        noise: Noise of each measured quantity that is not Gaussian with known standard deviation.
        parameters: The noise scales that are estimated.
    """

    noise: dict[str, Noise]
    parameters: tuple[Estimated, ...]


def scales_of(entries: Sequence[Entry], places: Sequence[str], mistakes: list[Mistake]) -> Scales:
    """The noise of all measured quantities.

    Args:
        entries: The tables of data or twins.
        places: Their places in the job.
        mistakes: Mistakes are appended to it.
    """
    noise: dict[str, Noise] = {}
    first: dict[str, str] = {}
    parameters: dict[str, Estimated] = {}
    for entry, place in zip(entries, places, strict=True):
        for key in entry.observed:
            loss, options = loss_of(entry, key)
            scale = scale_of(entry, key)
            unknown = f"noise_std({key})" if isinstance(scale, ScaleTable) else None
            one = Noise(loss.name, options, unknown)
            if isinstance(scale, ScaleTable) and unknown is not None:
                parameters.setdefault(unknown, _estimated(unknown, scale))
                if parameters[unknown] != _estimated(unknown, scale):
                    at = f"{place}.{dotted(('noise_std', key))}"
                    problem = f"differs from that of {first[key]}"
                    mistakes.append(
                        Mistake(at, problem, "a scale shared by windows has one start: repeat it")
                    )
            if key in noise and noise[key] != one:
                problem = f"is {loss.name} here, but {noise[key].loss} in {first[key]}"
                if noise[key].loss == loss.name:
                    problem = f"differs from {first[key]} for the same quantity"
                remedy = "give each quantity one noise in all windows"
                mistakes.append(Mistake(f"{place}.{dotted(('loss', key))}", problem, remedy))
            noise.setdefault(key, one)
            first.setdefault(key, place)
    plain = Noise("gaussian")
    return Scales({key: one for key, one in noise.items() if one != plain}, tuple(parameters.values()))


def _estimated(name: str, table: ScaleTable) -> Estimated:
    low, high = table.start
    bounds = table.bounds or (low / FAR, high * FAR)
    return Estimated(name, table.start, bounds, per_window=table.per_window)


def deviations(entry: Entry, key: str, values: Array, given: Array) -> Array:
    """The noise scale of every datum, shape (N,); if the job gives none, the width implied by the loss.

    Args:
        entry: The window's table.
        key: The measured quantity.
        values: Its data, shape (N,), NaN where there is none.
        given: What the job gives, of the same shape, or NaN.
    """
    loss, options = loss_of(entry, key)
    scale = scale_of(entry, key)
    if isinstance(scale, ScaleTable):
        given = np.full(values.shape, float(np.sqrt(scale.start[0] * scale.start[1])))
    if loss.scaled:
        return given
    return np.where(np.isfinite(values), loss.deviation(np.nan_to_num(values), given, options), 1.0)


def impossible(entry: Entry, key: str, values: Array) -> tuple[Mask, str]:
    """Data that are impossible under a quantity's loss, and the condition they break."""
    loss, _ = loss_of(entry, key)
    with np.errstate(invalid="ignore"):
        wrong = np.isfinite(values) & ~np.asarray(loss.accepts(values), dtype=bool)
    return wrong, f"{loss.name} data must be {loss.possible}"


def noise_mistakes(entry: Entry, place: str) -> list[Mistake]:
    """Mistakes: options that a loss does not have, and scales that are missing or have no effect."""
    mistakes = []
    for key in entry.observed:
        loss, options = loss_of(entry, key)
        at = f"{place}.{dotted(('loss', key))}" if isinstance(entry.loss, dict) else f"{place}.loss"
        mistakes += [
            Mistake(f"{at}.{name}", f"the loss {loss.name} has no option {name!r}",
                    nearest(name, loss.options) if loss.options else f"remove {name}")
            for name in options
            if name not in loss.options
        ]  # fmt: skip
        scale = scale_of(entry, key)
        if not loss.scaled and isinstance(entry.noise_std, dict) and scale is not None:
            problem = f"has no effect: {loss.name} data have no scale"
            mistakes.append(Mistake(f"{place}.{dotted(('noise_std', key))}", problem, f"remove {key}"))
    unscaled = all(not loss_of(entry, key)[0].scaled for key in entry.observed)
    if unscaled and entry.noise_std is not None and not isinstance(entry.noise_std, dict):
        problem = "has no effect: no measured quantity has noise with a scale"
        mistakes.append(Mistake(f"{place}.noise_std", problem, "remove noise_std"))
    return list(dict.fromkeys(mistakes))
