"""Laplace's approximation for a network: the distribution of its weights and of its predictions.

    weights ~ N(θ, T H⁻¹),    H the exact Hessian of the action at the minimum θ

T = 1 is Laplace's; a smaller temperature T trusts the minimum more (F. Wenzel et al., Proc. ICML 37, 10248
(2020)). Networks are far from linear within one standard deviation of many weights, so that T = 1 often
predicts worse than the minimum alone: the temperature is chosen by held-out pairs, 0 allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from hpcda.action.exact_network import ExactNetwork
from hpcda.problem import Array

MOST = 3000
"""Weights up to which the Hessian is factorized."""
TEMPERATURES = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
DRAWS = 100


@dataclass(frozen=True)
class WeightDistribution:
    """The Gaussian distribution of the weights about a minimum.

    Attributes:
        mean: The minimum, shape (size,).
        factor: Lower Cholesky factor of the Hessian there, shape (size, size).
    """

    mean: Array
    factor: Array

    @property
    def std(self) -> Array:
        """Standard deviation of every weight at T = 1, shape (size,)."""
        inverse = solve_triangular(self.factor, np.eye(len(self.mean)), lower=True)
        return np.asarray(np.sqrt(np.sum(inverse**2, axis=0)))

    def draw(self, rng: np.random.Generator, count: int, temperature: float = 1.0) -> Array:
        """Weights drawn from it, shape (count, size)."""
        noise = rng.standard_normal((len(self.mean), count))
        away = solve_triangular(self.factor, noise, lower=True, trans="T")
        return np.asarray(self.mean + np.sqrt(temperature) * away.T)


def distribution(action: ExactNetwork, theta: Array) -> WeightDistribution | str:
    """The distribution about a minimum, or the reason why there is none.

    Args:
        action: The network and its pairs, inputs exact.
        theta: Weights at the minimum, shape (size,).
    """
    if action.network.input_std is not None:
        return "the inputs are noisy and would have to be sampled as well"
    if action.size > MOST:
        return f"{action.size} weights exceed the limit of {MOST}"
    try:
        return WeightDistribution(theta, cholesky(action.derivatives(theta)[2], lower=True))
    except LinAlgError:
        return "some directions are undetermined: give the weights a prior (network.weight_std)"


@dataclass(frozen=True)
class Tempered:
    """Held-out loss of a distribution's predictions, by its temperature.

    Attributes:
        temperature: The best one on the first half of the held-out pairs.
        losses: For each temperature: -log of the mean likelihood on the other half, per value or per pair.
    """

    temperature: float
    losses: dict[float, float]


def tempered(found: WeightDistribution, loss: Callable[[Array, bool], float], seed: int = 0) -> Tempered:
    """Choose the temperature.

    Args:
        found: The distribution.
        loss: (drawn weights, shape (count, size), whether of the second half) -> -log of the mean likelihood
            that they give to a half of the held-out pairs.
        seed: Seed of the draws: the same at every temperature.
    """
    first, second = {}, {}
    for temperature in TEMPERATURES:
        drawn = found.draw(np.random.default_rng(seed), DRAWS if temperature else 1, temperature)
        first[temperature], second[temperature] = loss(drawn, False), loss(drawn, True)
    return Tempered(min(first, key=lambda one: (first[one], one)), second)
