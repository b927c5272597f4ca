"""The model of a job: loaded, and tried once with numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from hpcda.errors import InputError, Mistake
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


def tried_model(name: str, options: Mapping[str, Any], folder: Path) -> Model:
    """The model, whose equations have been called once at the middle of the states' ranges.

    Raises:
        InputError: It cannot be loaded, or its equations raise or do not return one number a state.
    """
    model = load_model(name, options, folder)
    _check_numbers(model)
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
                    f"its equations return no number for {state}: {str(value)[:60]!r}",
                    "return one number a state",
                )
            ) from None
    return model


def _check_numbers(model: Model) -> None:
    """Raise an `InputError` that names every default, range and initial value that is no number."""
    values: list[tuple[str, Any, int]] = [(f"default of {p.name}", p.default, 1) for p in model.parameters]
    values += [(f"range of {p.name}", p.range, 2) for p in model.parameters if p.range is not None]
    values += [(f"range of {s.name}", s.range, 2) for s in model.states]
    values += [(f"initial value of {s.name}", s.initial, 1) for s in model.states]
    mistakes = [
        Mistake(
            f"model {model.name}",
            f"the {what} is {_shown(value)}, not {'a finite number' if count == 1 else 'two finite numbers'}",
            "write plain numbers in the model's file",
        )
        for what, value, count in values
        if not _are_numbers(value, count)
    ]
    if mistakes:
        raise InputError(mistakes)


def _are_numbers(value: Any, count: int) -> bool:
    parts = [value] if count == 1 else value
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return False
    return len(numbers) == count and bool(np.isfinite(numbers).all()) and not any(map(_is_text, parts))


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


def discretization(model: Model, wanted: str) -> str:
    """The discretization that is used.

    Raises:
        InputError: The one that is wanted does not fit the kind of the model.
    """
    if wanted == "auto":
        return "map" if model.kind == "map" else "trapezoid"
    if (wanted == "map") == (model.kind == "map"):
        return wanted
    if model.kind == "map":
        problem = f"{wanted!r} discretizes flows, but {model.name} is a map"
        remedy = 'write discretization = "map", or leave it out'
    else:
        problem = f"'map' is for maps, but {model.name} is a flow"
        remedy = 'write "trapezoid", "hermite-simpson", "implicit-midpoint" or "rk4"'
    raise InputError(Mistake("action.discretization", problem, remedy))
