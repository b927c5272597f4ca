"""A layered network whose rule is obeyed exactly: the action at Rf = ∞, a function of the weights alone.

    x(0) = input,    z(n) = W(n) x(n) + b(n),    x(n+1) = g_n(z(n)),    A(θ) = Σ over pairs φ(x(N); y) + prior

The multipliers of the rule are what back-propagation computes (Abarbanel, Rozdeba, Shirman, Neural
Computation 30, 2025 (2018)): with D = diag g'(z),

    λ(N) = ∂φ/∂x,    q(n) = D(n) λ(n+1),    λ(n) = W(n)ᵀ q(n),    ∂A/∂W(n) = Σ q(n) x(n)ᵀ

The second derivatives S(n) of a pair's loss by z(n) go back through the layers as well,

    S(N-1) = D φ'' D + diag(λ(N) g''),    S(n) = D W(n+1)ᵀ S(n+1) W(n+1) D + diag(λ(n+1) g''),

and the Hessian by the weights of two layers, n > k, is one matrix product over the pairs (Khatri-Rao):
Σ (∂z(n)/∂z(k)ᵀ S(n)) ⊗ (x(k) x(n)ᵀ), and for the product W(n) x(n) itself Σ q(n) ⊗ ∂x(n)/∂z(k) ⊗ x(k).
Without g'' and this last term it is the Gauss-Newton matrix (C. Bishop, Neural Computation 4, 494 (1992)).

At a minimum at a large Rf, A(∞) = A + (its model part) + O(Rf⁻²), as dA/dRf there is the model part over Rf.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hpcda.action.activation import Function
from hpcda.action.factors import DataLoss
from hpcda.action.instances import Instances
from hpcda.action.network import Network
from hpcda.errors import InputError, Mistake
from hpcda.models.traced import Traced, trace
from hpcda.problem import Array, Numbers

MATRICES = 4
"""Matrices of the size of the Hessian that a descent holds."""


def memory_of(network: Network) -> float:
    """Bytes that a descent takes: matrices of the weights' Hessian, and what a pair leaves in every layer."""
    wide = max(network.widths)
    pairs = network.pairs * (4.0 * sum(network.widths) + 2.0 * wide**2 + (wide + 1.0) ** 2)
    return 8.0 * (MATRICES * float(network.weights) ** 2 + pairs)


@dataclass(frozen=True)
class _Passed:
    """What a pass through the network leaves: x(n), shape (pairs, width); z(n), g'(z(n))."""

    x: list[Array]
    z: list[Array]
    slope: list[Array]


class ExactNetwork:
    """The action of a network at Rf = ∞; unknowns are W(0), b(0), W(1), b(1), …, flat, shape (size,).

    Args:
        network: The network and its pairs; its inputs are exact.

    Attributes:
        size: Number of weights and biases.

    Raises:
        InputError: Inputs are noisy, or an activation cannot be differentiated.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, network: Network) -> None:
        if network.input_std is not None:
            problem = "the rule can be obeyed exactly for exact inputs alone"
            raise InputError(Mistake("input_std", problem, "leave it out, or use a finite Rf"))
        self.network = network
        self.shapes = [(after, before + 1) for before, after in pairwise(network.widths)]
        self.size = sum(rows * columns for rows, columns in self.shapes)
        self._activations = [Instances(_traced(g), 1) for g in network.activations]
        self._inputs = np.asarray(network.inputs, dtype=np.float64)
        self._outputs = np.asarray(network.outputs, dtype=np.float64)
        width = network.widths[-1]
        self._loss: Instances | None = None
        if isinstance(network.output, DataLoss):
            self._loss = Instances(network.output.traced(width), width, 2 * width)
            scale = np.ones_like(self._outputs)
            self._constants = np.concatenate([self._outputs, scale], axis=1).T
        self._precision = 0.0 if network.weight_std is None else 1.0 / network.weight_std**2

    @property
    def memory(self) -> float:
        """Bytes that a descent takes."""
        return memory_of(self.network)

    def weights(self, theta: Array) -> list[tuple[Array, Array]]:
        """(W, b) of every layer."""
        found, first = [], 0
        for rows, columns in self.shapes:
            matrix = theta[first : first + rows * (columns - 1)].reshape(rows, columns - 1)
            first += rows * columns
            found.append((matrix, theta[first - rows : first]))
        return found

    def states(self, theta: Array) -> list[Array]:
        """Units of every layer, each of shape (pairs, width)."""
        return self._forward(theta, False).x

    def path(self, theta: Array) -> Array:
        """The point of `Network.action()` at which the rule is obeyed, flat."""
        units = np.concatenate(self.states(theta)[1:], axis=1)
        return np.concatenate([units.ravel(), theta])

    def prior(self, theta: Array) -> float:
        """Share of the prior."""
        return 0.5 * self._precision * float(theta @ theta)

    def value(self, theta: Array) -> float:
        """The action; may be non-finite."""
        return self._loss_of(self.states(theta)[-1]) + self.prior(theta)

    def gradient(self, theta: Array) -> tuple[float, Array]:
        """The action and its gradient, shape (size,)."""
        passed = self._forward(theta)
        return self._first(theta, passed, self._backward(theta, passed))

    def gauss_newton(self, theta: Array) -> tuple[float, Array, Array]:
        """The action, its gradient, and its Hessian, the network taken as linear, shape (size, size)."""
        return self._second(theta, exact=False)

    def derivatives(self, theta: Array) -> tuple[float, Array, Array]:
        """The action, its gradient, and its exact Hessian, shape (size, size)."""
        return self._second(theta, exact=True)

    def _second(self, theta: Array, exact: bool) -> tuple[float, Array, Array]:
        passed, weights = self._forward(theta), self.weights(theta)
        multipliers = self._backward(theta, passed)
        value, gradient = self._first(theta, passed, multipliers)
        forces = _forces(passed, multipliers)
        curved = self._curved(passed, weights, multipliers if exact else None)
        pairs, last = self.network.pairs, len(weights)
        wide = [np.concatenate([x, np.ones((pairs, 1))], axis=1) for x in passed.x[:-1]]
        begins = np.cumsum([0, *(rows * columns for rows, columns in self.shapes)])
        places = [_places(*shape) for shape in self.shapes]
        matrix = np.empty((self.size, self.size))
        for k in range(last):
            reach = np.eye(self.shapes[k][0])[None]  # ∂z(n)/∂z(k), a matrix for each pair
            for n in range(k, last):
                if n > k:
                    units = passed.slope[n - 1][:, :, None] * reach
                    reach = weights[n][0] @ units
                between = reach.transpose(0, 2, 1) @ curved[n]
                block = _product(between, wide[k], wide[n])
                if exact and n > k:
                    moved = (forces[n][:, :, None, None] * wide[k][:, None, None, :]).reshape(pairs, -1)
                    mixed = units.transpose(0, 2, 1).reshape(pairs, -1).T @ moved
                    sizes = self.shapes[k][0], self.shapes[n][1] - 1, self.shapes[n][0], self.shapes[k][1]
                    block[:, :, :, :-1] += mixed.reshape(sizes).transpose(0, 3, 2, 1)
                block = block.reshape(begins[k + 1] - begins[k], -1)[np.ix_(places[k], places[n])]
                matrix[begins[k] : begins[k + 1], begins[n] : begins[n + 1]] = block
                matrix[begins[n] : begins[n + 1], begins[k] : begins[k + 1]] = block.T
        matrix[np.diag_indices(self.size)] += self._precision
        return value, gradient, matrix

    def _curved(
        self, passed: _Passed, weights: list[tuple[Array, Array]], multipliers: list[Array] | None
    ) -> list[Array]:
        """S(n), shape (pairs, width, width); without g'' where no multipliers are given."""
        later = self._curvature(passed.x[-1])
        found: list[Array] = []
        for n in reversed(range(len(weights))):
            own = passed.slope[n][:, :, None] * later * passed.slope[n][:, None, :]
            if multipliers is not None:
                diagonal = np.arange(own.shape[1])
                own[:, diagonal, diagonal] += self._bent(n, passed.z[n], multipliers[n])
            found.insert(0, own)
            later = weights[n][0].T @ own @ weights[n][0] if n else own
        return found

    def multipliers(self, theta: Array) -> list[Array]:
        """λ(1) … λ(N), the forces on the units of every layer but the inputs, shapes (pairs, width)."""
        return self._backward(theta, self._forward(theta))

    def _forward(self, theta: Array, slopes: bool = True) -> _Passed:
        passed = _Passed([self._inputs], [], [])
        for (matrix, bias), g in zip(self.weights(theta), self._activations, strict=True):
            z = passed.x[-1] @ matrix.T + bias
            flat = z.reshape(1, -1)
            passed.z.append(z)
            passed.x.append(g.values(flat).reshape(z.shape))
            if slopes:
                passed.slope.append(g.slopes(flat).reshape(z.shape))
        return passed

    def _backward(self, theta: Array, passed: _Passed) -> list[Array]:
        """λ(1) … λ(N)."""
        found = [self._slope_of_loss(passed.x[-1])]
        for (matrix, _), slope in zip(self.weights(theta)[:0:-1], passed.slope[:0:-1], strict=True):
            found.insert(0, (found[0] * slope) @ matrix)
        return found

    def _first(self, theta: Array, passed: _Passed, multipliers: list[Array]) -> tuple[float, Array]:
        """The action and its gradient."""
        pulls = zip(_forces(passed, multipliers), passed.x[:-1], strict=True)
        gradient = flat([(q.T @ before, q.sum(axis=0)) for q, before in pulls])
        return self._loss_of(passed.x[-1]) + self.prior(theta), gradient + self._precision * theta

    def _bent(self, layer: int, z: Array, force: Array) -> Array:
        """Second derivative of the activation, times a force."""
        g = self._activations[layer]
        if not g.traced.hessian:
            return np.zeros_like(z)
        return g.curvature(z.reshape(1, -1), force.reshape(1, -1)).reshape(z.shape)

    def _loss_of(self, last: Array) -> float:
        if self._loss is None:
            return 0.5 * float(np.sum((last - self._outputs) ** 2)) / self._variance
        return float(self._loss.values(last.T, self._constants).sum())

    @property
    def _variance(self) -> float:
        assert not isinstance(self.network.output, DataLoss)
        return self.network.output**2

    def _slope_of_loss(self, last: Array) -> Array:
        if self._loss is None:
            return (last - self._outputs) / self._variance
        found = np.zeros_like(last)
        entries = self._loss.slopes(last.T, self._constants)
        for (_, variable), own in zip(self._loss.traced.jacobian, entries, strict=True):
            found[:, variable] = own
        return found

    def _curvature(self, last: Array) -> Array:
        """Second derivatives of the loss by the outputs, shape (pairs, width, width)."""
        pairs, width = last.shape
        if self._loss is None:
            return np.broadcast_to(np.eye(width) / self._variance, (pairs, width, width))
        found = np.zeros((pairs, width, width))
        entries = self._loss.curvature(last.T, np.ones((1, pairs)), self._constants)
        for (k, l), own in zip(self._loss.traced.hessian, entries, strict=True):  # noqa: E741
            found[:, k, l] = found[:, l, k] = own
        return found


def flat(layers: Iterable[tuple[Array, Array]]) -> Array:
    """(W, b) of every layer, flat."""
    return np.concatenate([part for matrix, bias in layers for part in (matrix.ravel(), bias)])


def _forces(passed: _Passed, multipliers: list[Array]) -> list[Array]:
    """Forces q(n) on z(n), each of shape (pairs, width)."""
    return [force * slope for force, slope in zip(multipliers, passed.slope, strict=True)]


def _traced(activation: Function) -> Traced:
    return trace(lambda given: [activation(given("v", 0))])


def _product(between: Array, left: Array, right: Array) -> Array:
    """Σ over pairs of between[p, i, j] left[p, a] right[p, b], shape (i, a, j, b)."""
    pairs, rows, columns = between.shape
    outer = (left[:, :, None] * right[:, None, :]).reshape(pairs, -1)
    found = between.reshape(pairs, -1).T @ outer
    return found.reshape(rows, columns, left.shape[1], right.shape[1]).transpose(0, 2, 1, 3).copy()


def _places(rows: int, columns: int) -> Numbers:
    """Where [W | b], row after row, stands in W, then b."""
    grid = np.arange(rows * columns).reshape(rows, columns)
    return np.concatenate([grid[:, :-1].ravel(), grid[:, -1]])
