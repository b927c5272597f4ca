"""Defines `Activation`: the function g that a network layer applies to each weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[[Any], Any]
"""Plain Python of one number, or of a traced symbol."""


@dataclass(frozen=True)
class Activation:
    """An activation function of a network layer.

    Attributes:
        name: The value of `network.activation` in a job file.
        sentence: Description in one line, for people.
        function: z -> g(z), in plain Python and NumPy functions of one number.
        place: Position in lists of activations, smallest first.
    """

    name: str
    sentence: str
    function: Function
    place: int = 100
