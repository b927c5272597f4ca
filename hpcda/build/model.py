"""Loads the model of a job, and evaluates it once as a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from hpcda.action import SCHEMES
from hpcda.action.discretizations import default
from hpcda.errors import InputError, Mistake
from hpcda.formatting import either
from hpcda.models.catalogue import load_model
from hpcda.models.model import Model

P = ParamSpec("P")
T = TypeVar("T")


def moved(error: InputError, old: str, new: str) -> InputError:
    """The same mistakes, those at key `old` or within it at key `new`."""
    return InputError(
        Mistake(new + m.place[len(old) :], m.problem, m.remedy)
        if m.place == old or m.place.startswith(old + ".")
        else m
        for m in error.mistakes
    )


def collected(mistakes: list[Mistake], action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What `action` returns; None where it finds mistakes, which join the others."""
    try:
        return action(*args, **kwargs)
    except InputError as error:
        mistakes += error.mistakes
        return None


def tried_model(
    name: str, options: Mapping[str, Any], folder: Path, given: Mapping[str, Model] | None = None
) -> Model:
    """The model, whose equations have been called once at the middle of the states' ranges.

    Args:
        name: Its name, see `hpcda.models.load_model`.
        options: Its options.
        folder: Where its file is looked up.
        given: Models that the job was given as objects, by name.

    Raises:
        InputError: It cannot be loaded, or its equations raise or do not return one number per state.
    """
    model = _object(name, options, given or {}) or load_model(name, options, folder)
    x = np.array([0.5 * (state.range[0] + state.range[1]) for state in model.states], dtype=np.float64)
    p = {one.name: np.float64(one.default) for one in model.parameters}
    u = {one.name: np.float64(0.0) for one in model.stimuli}
    with np.errstate(all="ignore"):
        values = model(x, p, u, np.float64(0.0))
    for state, value in zip(model.state_names, values, strict=True):
        try:
            float(value)
        except (TypeError, ValueError):
            raise InputError(
                Mistake(
                    f"model {model.name}",
                    f"its equations do not return a number for {state}: {str(value)[:60]!r}",
                    "return one number per state",
                )
            ) from None
    return model


def _object(name: str, options: Mapping[str, Any], given: Mapping[str, Model]) -> Model | None:
    """The model that a job was given as an object; None where its name is that of the catalogue or a file."""
    if not (name.startswith("<") and name.endswith(">")):
        return None
    if name not in given:
        problem = f"{name!r} was an object of Python, which this process does not have"
        remedy = "build the model again and pass it: hpcda.resume(directory, model=…) or open_run(…, model=…)"
        raise InputError(Mistake("model.name", problem, remedy))
    if options:
        problem = "has no effect, as the model is an object of Python"
        raise InputError(Mistake("model.options", problem, "build the model with these options"))
    return given[name]


def discretization(model: Model, wanted: str) -> str:
    """The discretization that is used.

    Raises:
        InputError: The one that is wanted does not fit the kind of the model.
    """
    if wanted == "auto":
        return default(model.kind)
    if SCHEMES[wanted].kind == model.kind:
        return wanted
    fitting = either(name for name, scheme in SCHEMES.items() if scheme.kind == model.kind)
    problem = f"{wanted!r} is for {SCHEMES[wanted].kind}s, but {model.name} is a {model.kind}"
    remedy = f"write discretization = {fitting}, or leave it out"
    raise InputError(Mistake("action.discretization", problem, remedy))
