r"""Residual networks as Euler steps of a field, and their refinement: a shallow one grown into a deep one.

Of N layers over a span T, h = T / N, at the middle of layer n the time t = (n + 1/2) h,

    x(n+1) = x(n) + h g(W(t) x(n) + b(t)),    prior  1/2 Σ h |W, b|² / σ²,    y = W_out x(N) + b_out,

so that neither the layers nor the prior of the inner weights change what they say when N grows: for N → ∞ the
network is dx/dt = g(W(t) x + b(t)) (R. Chen et al., NeurIPS 2018, arXiv:1806.07366), of first order in h. The
output's prior has the weight h as well, and so is gone in the limit. Weights are prolonged linearly in t, and
constant beyond the middles of the first and the last layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.record import Rung
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array


@dataclass(frozen=True)
class Field:
    """A field that a residual network integrates.

    Attributes:
        network: Gives the pairs, the noise, the number of units (that of its inputs), and at h = 1 the prior;
            its own layers are not looked at, except the activation of the last one.
        activation: g, plain Python of one number.
        span: T.
    """

    network: Network
    activation: Callable[[Any], Any]
    span: float = 1.0

    def of(self, layers: int) -> Network:
        """Its network of so many layers before the output.

        Raises:
            InputError: There is no layer.
        """
        if layers < 1:
            raise InputError(Mistake("layers", f"{layers} layers are none", "give 1 or more"))
        h, units, g = self.span / layers, self.network.widths[0], self.activation

        def step(z: Any) -> Any:
            return h * g(z)

        def wider(std: float | None) -> float | None:
            return None if std is None else std / float(np.sqrt(h))

        return replace(
            self.network,
            widths=(*[units] * (layers + 1), self.network.widths[-1]),
            activations=[*[step] * layers, self.network.activations[-1]],
            weight_std=wider(self.network.weight_std),
            bias_std=wider(self.network.bias_std),
            residual=True,
        )


@dataclass(frozen=True)
class Depth:
    """The minimum at one number of layers.

    Attributes:
        layers: Layers before the output.
        action: Its action at Rf = ∞.
        first: Weights it began from.
        rung: The minimum.
    """

    layers: int
    action: ExactNetwork
    first: Array
    rung: Rung


def prolonged(action: ExactNetwork, theta: Array, deeper: ExactNetwork) -> Array:
    """Weights of a deeper network of the same field, interpolated linearly in t.

    Args:
        action: The network as it is.
        theta: All its unknowns, shape (size,).
        deeper: That with more layers.

    Returns:
        All unknowns of the deeper one.
    """
    *inner, last = action.weights(theta)
    count = len(deeper.shapes) - 1
    old = (np.arange(len(inner)) + 0.5) / len(inner)
    new = (np.arange(count) + 0.5) / count
    stacked = np.array([np.column_stack([matrix, bias]) for matrix, bias in inner])
    columns = [np.interp(new, old, column) for column in stacked.reshape(len(inner), -1).T]
    between = np.stack(columns, axis=1).reshape(count, *stacked.shape[1:])
    return deeper.replaced(theta, [*((one[:, :-1], one[:, -1]) for one in between), last])


def deepened(
    field: Field, first: Array, layers: int, levels: int, settings: ExactSettings | None = None
) -> tuple[Depth, ...]:
    """Train at few layers, prolong, train at twice as many, and so on.

    Args:
        field: The field and its pairs.
        first: Weights that the shallowest network starts from, shape (size,).
        layers: Its layers before the output.
        levels: Numbers of layers: layers, 2 layers, 4 layers, ….
        settings: Limits of each descent.

    Raises:
        InputError: There is no layer, or `first` does not fit.
    """
    action = ExactNetwork(field.of(layers))
    if first.shape != (action.size,):
        raise InputError(Mistake("first", f"has the shape {first.shape}", f"give {action.size} weights"))
    found: list[Depth] = []
    theta = first
    for level in range(levels):
        if level:
            deeper = ExactNetwork(field.of(layers * 2**level))
            theta, action = prolonged(action, found[-1].rung.path, deeper), deeper
        found.append(Depth(layers * 2**level, action, theta, descend(action, theta, settings)))
    return tuple(found)
