"""Defines `Activation`: the function g that a network layer applies to each weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[[Any], Any]
"""Plain Python of one number, or of a traced symbol."""


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes:
        name: As the job file names it.
        sentence: What it is, for people.
        function: g, plain Python of one number.
        place: Where it stands among the activations.
    """

    name: str
    sentence: str
    function: Function
    place: int = 100
