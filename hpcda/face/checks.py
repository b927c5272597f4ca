"""Values as Python gives them, numbers, pairs, mappings, checked and turned into what a job holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpcda.errors import InputError, Mistake

SHOWN = 60
"""Letters of a value that a message shows."""


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def number(place: str, value: Any, example: str) -> float:
    """A number.

    Raises:
        InputError: It is none; `example` says what to write.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim:
        raise InputError(Mistake(place, f"{shown(value)} is not a number", f"give one, such as {example}"))
    return float(array)


def pair(place: str, value: Any, example: str) -> list[float]:
    """The lower and the upper end of a range; None stands for no end.

    Raises:
        InputError: It is no pair of numbers; `example` says what to write.
    """
    wrong = Mistake(
        place, f"{shown(value)} is not a pair of numbers", f"give lower and upper, as in {example}"
    )
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != 2:
        raise InputError(wrong)
    ends = [-np.inf if value[0] is None else value[0], np.inf if value[1] is None else value[1]]
    if any(np.asarray(end).dtype.kind not in "iuf" or np.ndim(end) for end in ends):
        raise InputError(wrong)
    return [float(end) for end in ends]


def mapping(place: str, value: Any, example: str) -> Mapping[str, Any]:
    """A mapping; nothing given is an empty one.

    Raises:
        InputError: It is none; `example` says what to write.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(Mistake(place, f"{shown(value)} is not a dict", f"give one, such as {example}"))
    return value


def of_kind(place: str, value: Any, kind: type, example: str) -> Any:
    """An object of a class.

    Raises:
        InputError: It is another; `example` says what to write.
    """
    if not isinstance(value, kind):
        what = f"{shown(value)} is not a {kind.__name__}"
        raise InputError(Mistake(place, what, f"give one, such as {example}"))
    return value
