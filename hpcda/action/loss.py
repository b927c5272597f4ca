"""Defines `Loss`: what one datum adds to the action, given the path's value of the measured quantity.

The action is the negative logarithm of a probability density, so that the share of one datum is

    φ(h, y, s) = -log p(y | h, s) + what does not depend on unknowns,

with h the path's value of the measured quantity, y the datum and s the scale of its noise. Shares are 0 where
the path has the value that explains the datum best, so that noise alone gives them an expectation and a
variance that do not depend on units (`noise`). Where s is itself unknown, log s is added, as the density of
(y - h)/s asks for.
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
    """A function of a loss, whose mistakes say of which it is."""

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
    """One loss. Functions take the path's value h, the datum y, the noise's scale s and the options.

    Attributes:
        name: As the job file names it.
        sentence: What it is, for people.
        share: (h, y, s, options) -> φ, of numbers or traced symbols.
        residual: (h, y, s, options) -> the misfit in units of the noise, of mean 0 and variance 1 where h is
            true; its square over 2 is the share to second order.
        noise: (h, s, options) -> expectation and variance of the share where h is true, arrays like h.
        draw: (rng, h, s, options) -> data, an array like h.
        deviation: (y, s, options) -> standard deviation of a Gaussian of about this width, an array like y:
            what smoothers and first paths take the datum for.
        guess: (y) -> values of h that data like these suggest, an array like y.
        accepts: (y) -> which data are possible, an array of truth values like y.
        possible: What `accepts` asks for, in words.
        scaled: Whether the noise has a scale, which a job gives as `noise_std`.
        joint: Whether a datum takes several values at once, such as a probability of each of K categories;
            h and y then hold these along their last axis, and shares lack that axis.
        root: (h) -> R with R Rᵀ the second derivatives of a joint share by h, where that is known in closed
            form, shape (…, K, K) of h of shape (…, K).
        options: Name -> default of each option.
        place: Where it stands among the losses.

    Raises:
        InputError: Where a function of a user's file raises an exception, as it is called.
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
        """All options, those not given at their defaults."""
        return {**self.options, **given}


def alike(h: Array, moments: tuple[float, float]) -> tuple[Array, Array]:
    """The same expectation and variance for every entry of h."""
    return np.full(np.shape(h), moments[0]), np.full(np.shape(h), moments[1])


def by_quadrature(
    share: Callable[[Array], Array], density: Callable[[Array], Array], edge: float, points: int = 20001
) -> tuple[float, float]:
    """Expectation and variance of a share of the noise r/s, by the trapezoidal rule.

    Args:
        share: Of the noise in units of its scale.
        density: Of the same; it need not be normalized.
        edge: How far out, in such units.
        points: Nodes of the rule, in asinh(r), which reaches far tails in even steps.
    """
    u = np.linspace(-np.arcsinh(edge), np.arcsinh(edge), points)
    r = np.sinh(u)
    weight = density(r) * np.cosh(u)
    weight /= weight.sum()
    values = share(r)
    mean = float(np.sum(weight * values))
    return mean, float(np.sum(weight * (values - mean) ** 2))
