"""Defines `Loss`: what one datum adds to the action, given the path's value of the measured quantity.

The action is a negative log density, so one datum contributes

    φ(h, y, s) = -log p(y | h, s) + constant,

with h the path's value of the measured quantity, y the datum and s the scale of its noise. The constant makes
φ = 0 at the h that explains the datum best; the expectation and variance of φ under noise alone are then
independent of units (`noise`). If s is itself unknown, log s is added, the normalization of the density of
(y - h)/s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.problem import Array
from hpcda.userfile import called

Quantity = Any
"""Numbers, or traced symbols."""
Options = Mapping[str, float]


@dataclass(frozen=True)
class _Named:
    """A function of a loss whose errors name the loss and the function."""

    function: Callable[..., Any]
    place: str

    def __call__(self, *arguments: Any) -> Any:
        try:
            return called(self.function, self.place, *arguments)
        except InputError as error:
            mistakes = [
                Mistake(self.place, one.problem, one.remedy) if one.place == "equations" else one
                for one in error.mistakes
            ]
            raise InputError(mistakes) from error


@dataclass(frozen=True)
class Loss:
    """A loss. Its functions take the path's value h, the datum y, the noise scale s and the options.

    Attributes:
        name: The value of `data.loss` in a job file.
        sentence: Description in one line, for people.
        share: (h, y, s, options) -> φ, for numbers or traced symbols.
        residual: (h, y, s, options) -> misfit in units of the noise, of mean 0 and variance 1 at the true h;
            half its square equals φ to second order.
        noise: (h, s, options) -> expectation and variance of φ at the true h, two arrays of the shape of h.
        draw: (rng, h, s, options) -> synthetic data, of the shape of h.
        deviation: (y, s, options) -> standard deviation of a Gaussian of about the same width, of the shape
            of y; used by smoothers and initial paths.
        guess: (y) -> estimate of h from each datum alone, of the shape of y.
        accepts: (y) -> which data are possible, a boolean array of the shape of y.
        possible: The condition of `accepts` in words, for error messages.
        scaled: Whether the noise has a scale s, which a job gives as `noise_std`.
        joint: Whether one datum consists of several values, such as K categories; h and y then have a last
            axis of length K, which φ lacks.
        root: (h) -> R with R Rᵀ = ∂²φ/∂h² of a joint loss, shape (…, K, K) for h of shape (…, K); None if no
            closed form is known.
        options: Name and default of each option.
        place: Position in lists of losses, smallest first.

    Raises:
        InputError: On a call, if a function from a user's file raises an exception.
    """

    name: str
    sentence: str
    share: Callable[[Quantity, Quantity, Quantity, Options], Quantity]
    residual: Callable[[Quantity, Quantity, Quantity, Options], Quantity]
    noise: Callable[[Array, Array, Options], tuple[Array, Array]]
    draw: Callable[[np.random.Generator, Array, Array, Options], Array]
    deviation: Callable[[Array, Array, Options], Array]
    guess: Callable[[Array], Array] = lambda y: y
    accepts: Callable[[Array], Any] = np.isfinite
    possible: str = "a finite number"
    scaled: bool = True
    joint: bool = False
    root: Callable[[Array], Array] | None = None
    options: Options = field(default_factory=dict)
    place: int = 10

    def __post_init__(self) -> None:
        for name in ("share", "residual", "noise", "draw", "deviation", "guess", "accepts"):
            if callable(function := getattr(self, name)) and not isinstance(function, _Named):
                object.__setattr__(self, name, _Named(function, f"{name} of the loss {self.name!r}"))

    def optional(self, given: Mapping[str, float]) -> dict[str, float]:
        """All options: the given ones, and defaults for the others."""
        return {**self.options, **given}


def alike(h: Array, moments: tuple[float, float]) -> tuple[Array, Array]:
    """The same expectation and variance for every entry of h."""
    return np.full(np.shape(h), moments[0]), np.full(np.shape(h), moments[1])


def by_quadrature(
    share: Callable[[Array], Array], density: Callable[[Array], Array], edge: float, points: int = 20001
) -> tuple[float, float]:
    """Expectation and variance of φ over the noise r/s, by the trapezoidal rule.

    Args:
        share: φ as a function of r/s.
        density: Probability density of r/s; it need not be normalized.
        edge: Largest |r/s| of the rule.
        points: Number of nodes, equally spaced in asinh(r/s) to cover heavy tails.
    """
    u = np.linspace(-np.arcsinh(edge), np.arcsinh(edge), points)
    r = np.sinh(u)
    weight = density(r) * np.cosh(u)
    weight /= weight.sum()
    values = share(r)
    mean = float(np.sum(weight * values))
    return mean, float(np.sum(weight * (values - mean) ** 2))
