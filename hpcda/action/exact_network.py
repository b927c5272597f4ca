"""The action of a layered network at Rf = ∞, where every layer is obeyed exactly: a function of the weights.

    x(0) = input,    z(n) = W(n) x(n) + b(n),    x(n+1) = g_n(z(n))  (+ x(n) in residual layers),

    A(θ) = Σ over pairs φ(x(N); y) + prior,    A(x(0), θ) = the same + Σ over pairs ½ |x(0) - data|² / σ²

where an input that is not measured has a prior in place of the data.

The multipliers of the rule are what back-propagation computes (Abarbanel, Rozdeba, Shirman, Neural
Computation 30, 2025 (2018)): with D = diag g'(z),

    λ(N) = ∂φ/∂x,    q(n) = D(n) λ(n+1),    λ(n) = W(n)ᵀ q(n)  (+ λ(n+1)),    ∂A/∂W(n) = Σ q(n) x(n)ᵀ

Second derivatives: `hpcda.action.khatri_rao`; products with them: `hpcda.action.passes`. Ranks may share the
pairs (`hpcda.action.dealt`); all of them then call the same, and get the same bits.

At a minimum at a large Rf, A(∞) = A + (its model part) + O(Rf⁻²), as dA/dRf there is the model part over Rf.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from hpcda.action import khatri_rao
from hpcda.action.activation import Function
from hpcda.action.bordered import Bordered
from hpcda.action.dealt import ALONE, Deal, Ranks
from hpcda.action.end_loss import EndLoss
from hpcda.action.instances import Instances
from hpcda.action.network import Network
from hpcda.action.passes import Passed, flat
from hpcda.models.traced import Traced, trace
from hpcda.problem import Array


class ExactNetwork:
    """The action of a network at Rf = ∞.

    Unknowns, flat, shape (size,): where inputs are noisy x(0) of every pair; then W(0), b(0), W(1), b(1), …

    Args:
        network: The network and its pairs.
        ranks: The ranks that share the pairs.

    Attributes:
        deal: Which rank has which pairs; passes are of this rank's.
        size: Number of unknowns.
        inputs: Number of inputs among them, 0 where they are exact.
        data: Number of measurements.
        absent: Number of inputs that are not measured.
        shapes: (rows, columns + 1) of every W that differs.
        loss: The loss of the outputs of this rank's pairs.
        precision: Λ, of noisy inputs or their prior, and of the prior of weights and biases (0 for none),
            shape (size,).

    Raises:
        InputError: An activation cannot be differentiated, or there are more ranks than blocks of pairs.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, network: Network, ranks: Ranks = ALONE) -> None:
        self.network = network
        self.deal = Deal(network.pairs, ranks)
        self.shapes = [(after, before + 1) for after, before in network.matrices]
        self._inputs = network.means
        free = network.input_std is not None
        self.inputs = self._inputs.size if free else 0
        self.size = self.inputs + sum(rows * columns for rows, columns in self.shapes)
        self.loss = EndLoss(network.part(self.deal.own))
        self.absent = int((~network.known).sum()) if free else 0
        self.data = int(network.measured.sum()) + self.inputs - self.absent
        self.precision = network.prior_std**-2.0
        if network.input_std is not None:
            own = np.where(network.known, network.input_std, network.missing_std)
            self.precision = np.concatenate([own.ravel() ** -2.0, self.precision])
        self._activations = _compiled(network.activations)
        self._tied = network.owners != tuple(range(len(network.owners)))

    def matrices(self, theta: Array) -> list[tuple[Array, Array]]:
        """All (W, b) that differ."""
        found, first = [], self.inputs
        for rows, columns in self.shapes:
            matrix = theta[first : first + rows * (columns - 1)].reshape(rows, columns - 1)
            first += rows * columns
            found.append((matrix, theta[first - rows : first]))
        return found

    def weights(self, theta: Array) -> list[tuple[Array, Array]]:
        """(W, b) of every layer."""
        found = self.matrices(theta)
        return [found[owner] for owner in self.network.owners]

    def owned(self, by_layers: Array) -> Array:
        """Derivatives by (W, b) of every layer, flat, summed over the layers that share them."""
        if not self._tied:
            return by_layers
        sizes, first = [rows * columns for rows, columns in self.shapes], 0
        found = [np.zeros(size) for size in sizes]
        for owner in self.network.owners:
            found[owner] += by_layers[first : first + sizes[owner]]
            first += sizes[owner]
        return np.concatenate(found)

    def of(self, network: Network) -> ExactNetwork:
        """The action of another network, over the same ranks."""
        return ExactNetwork(network, self.deal.ranks)

    def first(self, weights: Array) -> Array:
        """All unknowns, noisy inputs at their data, of flat weights."""
        return np.concatenate([self._inputs.ravel(), weights]) if self.inputs else weights

    def replaced(self, theta: Array, layers: Iterable[tuple[Array, Array]]) -> Array:
        """All unknowns, with other (W, b) of every layer."""
        found = dict(zip(reversed(self.network.owners), reversed(list(layers)), strict=True))
        return np.concatenate([theta[: self.inputs], flat(found[n] for n in range(len(self.shapes)))])

    def own(self, vector: Array) -> Array | None:
        """The inputs of this rank's pairs in a vector of all unknowns, (pairs, width); None if exact."""
        return vector[: self.inputs].reshape(self._inputs.shape)[self.deal.own] if self.inputs else None

    def joined(self, inputs: Array | None, weights: Array) -> Array:
        """A vector of all unknowns, of the inputs of this rank's pairs, (pairs, width), and of weights."""
        return weights if inputs is None else np.concatenate([self.deal.gathered(inputs).ravel(), weights])

    def states(self, theta: Array) -> list[Array]:
        """Units of every layer, each of shape (pairs, width)."""
        return [self.deal.gathered(x) for x in self.passed(theta, False).x]

    def outputs(self, theta: Array) -> Array:
        """Units of the last layer, shape (pairs, width)."""
        return self.deal.gathered(self.passed(theta, False).x[-1])

    def means(self, theta: Array) -> list[Array]:
        """The mean over the pairs of the units of every layer, each of shape (width,)."""
        x = self.passed(theta, False).x
        sums = self.deal.total(self.deal.blocks.sums([(own, None) for own in x]))
        ends = np.cumsum([own.shape[1] for own in x])[:-1]
        return np.split(sums / self.network.pairs, ends)

    def path(self, theta: Array) -> Array:
        """The point of `Network.action()` at which the rule is obeyed, flat."""
        units = np.concatenate(self.states(theta)[0 if self.inputs else 1 :], axis=1)
        return np.concatenate([units.ravel(), theta[self.inputs :]])

    def prior(self, theta: Array) -> float:
        """Share of the priors: of weights and biases, and of inputs that are not measured."""
        found = self._weights_prior(theta)
        if self.absent:
            absent = ~self.network.known.ravel()
            found += 0.5 * float(self.precision[: self.inputs][absent] @ theta[: self.inputs][absent] ** 2)
        return found

    def _weights_prior(self, theta: Array) -> float:
        found = 0.5 * float(self.precision[self.inputs :] @ theta[self.inputs :] ** 2)
        changes = self._changes(theta)
        return found if changes is None else found + 0.5 * self._walk * float(np.sum(changes**2))

    @property
    def _walk(self) -> float:
        continuum = self.network.continuum
        return 0.0 if continuum is None else continuum.walk

    @property
    def _field(self) -> slice:
        own = self.network.field_places
        return slice(self.inputs + own.start, self.inputs + own.stop)

    def _changes(self, vector: Array) -> Array | None:
        """Changes of the field's weights from step to step, (steps - 1, n); None without a prior on them."""
        if not self._walk:
            return None
        return np.diff(vector[self._field].reshape(len(self.network.field), -1), axis=0)

    def pull(self, vector: Array) -> Array:
        """The product of the priors' second derivatives with a vector, shape (size,)."""
        found, changes = self.precision * vector, self._changes(vector)
        if changes is not None:
            own = found[self._field].reshape(len(changes) + 1, -1)
            own[1:] += self._walk * changes
            own[:-1] -= self._walk * changes
        return found

    @cached_property
    def prior_diagonal(self) -> Array:
        """The diagonal of the priors' second derivatives, shape (size,)."""
        found = self.precision.copy()
        if self._walk:
            own = found[self._field].reshape(len(self.network.field), -1)
            own[1:] += self._walk
            own[:-1] += self._walk
        return found

    def value(self, theta: Array) -> float:
        """The action; may be non-finite."""
        return self.deal.added(self._values(self.passed(theta, False))) + self._weights_prior(theta)

    def gradient(self, theta: Array) -> tuple[float, Array]:
        """The action and its gradient, shape (size,)."""
        return self.first_derivatives(theta, self.passed(theta))[:2]

    def gauss_newton(self, theta: Array) -> tuple[float, Array, Array]:
        """The action, its gradient, and its Hessian, the network taken as linear, shape (size, size)."""
        value, gradient, blocks = self.blocks(theta, exact=False)
        return value, gradient, blocks.dense()

    def derivatives(self, theta: Array) -> tuple[float, Array, Array]:
        """The action, its gradient, and its exact Hessian, shape (size, size)."""
        value, gradient, blocks = self.blocks(theta, exact=True)
        return value, gradient, blocks.dense()

    def blocks(self, theta: Array, exact: bool) -> tuple[float, Array, Bordered]:
        """The action, its gradient, and its Hessian, exact or that of Gauss and Newton."""
        passed = self.passed(theta)
        value, gradient, forces = self.first_derivatives(theta, passed)
        free = self.inputs > 0
        if exact:
            pulls = [force * slope for force, slope in zip(forces, passed.slope, strict=True)]
            curvature, bent = self.loss.curvature(passed.x[-1]), self.bent(passed, forces)
            found = khatri_rao.exact(passed, curvature, bent, pulls, free, self.deal)
        else:
            found = khatri_rao.gauss_newton(passed, self.loss.root(passed.x[-1]), free, self.deal)
        found.weights[np.diag_indices(len(found.weights))] += self.prior_diagonal[self.inputs :]
        if self._walk:
            places = np.arange(*self.network.field_places.indices(len(found.weights)))
            each = len(places) // len(self.network.field)
            found.weights[places[:-each], places[each:]] -= self._walk
        width, own = found.corner.shape[1], self.own(self.precision)
        if own is not None:
            found.corner[:, np.arange(width), np.arange(width)] += own
        return value, gradient, found

    def multipliers(self, theta: Array) -> list[Array]:
        """λ(1) … λ(N), the forces on the units of every layer but the inputs, shapes (pairs, width)."""
        passed = self.passed(theta)
        return [self.deal.gathered(own) for own in passed.back(self.loss.slope(passed.x[-1]))]

    def passed(self, theta: Array, slopes: bool = True) -> Passed:
        """The pass forward of this rank's pairs, with g' if wanted."""
        network, weights, blocks = self.network, self.weights(theta), self.deal.blocks
        free = self.own(theta)
        x = [self._inputs[self.deal.own] if free is None else free]
        z, slope = list[Array](), list[Array]()
        layers = zip(weights, self._activations, network.skips, network.parts, strict=True)
        for (matrix, bias), g, skip, part in layers:
            z.append(blocks.product(x[-1], matrix.T) + bias)
            row, shape = z[-1].reshape(1, -1), z[-1].shape
            if g.identity:
                values = row
                slope.append(np.ones(shape))
            elif slopes:
                values, steep = g.with_slopes(row)
                slope.append(steep.reshape(shape))
            else:
                values = g.values(row)
            after = values.reshape(shape)
            if part != 1.0:
                after = part * after
                if slopes or g.identity:
                    slope[-1] = part * slope[-1]
            x.append(after + x[-skip] if skip else after)
        return Passed(weights, network.skips, network.owners, x, z, slope, blocks)

    def first_derivatives(self, theta: Array, passed: Passed) -> tuple[float, Array, list[Array]]:
        """The action, its gradient, and λ(1) … λ(N) of this rank's pairs."""
        values, slope = self.loss.with_slope(passed.x[-1])
        forces = passed.back(slope, self.inputs > 0)
        own = self.own(self.precision)
        by_inputs = None if own is None else forces.pop(0) + own * self._away(passed)
        factors = [*passed.by_weights(forces), (self._shares(passed, values), None)]
        found = self.deal.total(self.deal.blocks.sums(factors))
        weights = sum(self.shapes[owner][0] * self.shapes[owner][1] for owner in self.network.owners)
        by_weights = self.owned(found[:weights]) + self.pull(theta)[self.inputs :]
        value = float(found[weights:].sum()) + self._weights_prior(theta)
        return value, self.joined(by_inputs, by_weights), forces

    def bent(self, passed: Passed, forces: list[Array]) -> list[Array]:
        """λ(n+1) g''(z(n)) of every layer, shapes (pairs, width)."""
        found = []
        for g, z, force, part in zip(self._activations, passed.z, forces, self.network.parts, strict=True):
            if g.traced.hessian:
                force = force if part == 1.0 else part * force
                found.append(g.curvature(z.reshape(1, -1), force.reshape(1, -1)).reshape(z.shape))
            else:
                found.append(np.zeros_like(z))
        return found

    def _values(self, passed: Passed) -> Array:
        """Numbers whose sum is what a pair adds to the action, for this rank's pairs, shape (pairs, n)."""
        return self._shares(passed, self.loss.values(passed.x[-1]))

    def _shares(self, passed: Passed, found: Array) -> Array:
        """The same, of those of the outputs."""
        own = self.own(self.precision)
        if own is not None:
            found = np.concatenate([found, 0.5 * own * self._away(passed) ** 2], axis=1)
        return found

    def _away(self, passed: Passed) -> Array:
        """Noisy inputs of this rank's pairs less their data, or the mean of their prior."""
        return passed.x[0] - self._inputs[self.deal.own]


def _compiled(functions: Sequence[Function]) -> list[Instances]:
    """The activations of the layers, each traced once for all layers that share it."""
    known = {id(g): g for g in functions}
    traced = {key: Instances(_traced(g), 1) for key, g in known.items()}
    return [traced[id(g)] for g in functions]


def _traced(activation: Function) -> Traced:
    return trace(lambda given: [activation(given("v", 0))])
