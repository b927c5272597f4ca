"""Forward pass, backpropagation and directional derivatives of a layered network at given weights.

    z(n) = W(n) x(n) + b(n),    x(n+1) = r x(n+1-k) + g(z(n)),    D(n) = diag g'(z(n))

    along δ    δz(n) = W(n) δx(n) + δW(n) x(n) + δb(n),    δx(n+1) = r δx(n+1-k) + D(n) δz(n)
    back       q(n) = D(n) λ(n+1),    λ(n) = r λ(n+1) + W(n)ᵀ q(n)
               gradient by W(n): Σ q(n) x(n)ᵀ, by b(n): Σ q(n)

with r = 1 in residual layers, else 0; they add to the layer before, k = 1, but in the second half of a step
of the midpoint rule, k = 2, whose force goes back to λ(n-1).
Products with the network's Jacobian J and with Jᵀ cost a pass each and no matrix. Second derivatives times a
direction are what the backward pass changes by along it (B. Pearlmutter, Neural Computation 6, 147 (1994)).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.action.dealt import Blocks, Factor
from hpcda.problem import Array

Layers = Sequence[tuple[Array, Array]]
"""(W, b) of every layer."""


@dataclass(frozen=True)
class Passed:
    """What a pass forward leaves.

    Attributes:
        weights: (W(n), b(n)) of the layers n = 0 … N-1.
        skips: k, and 0 where r is 0.
        owners: Of each layer the number of its weights among those that differ.
        x: Units x(0) … x(N), each of shape (pairs, width).
        z: z(0) … z(N-1), likewise.
        slope: g'(z(n)), likewise.
        blocks: The blocks of the pairs.
    """

    weights: Layers
    skips: tuple[int, ...]
    owners: tuple[int, ...]
    x: Sequence[Array]
    z: Sequence[Array]
    slope: Sequence[Array]
    blocks: Blocks

    def part(self, pairs: slice) -> Passed:
        """Of some pairs alone, as one block."""
        x, z, slope = ([one[pairs] for one in many] for many in (self.x, self.z, self.slope))
        return Passed(self.weights, self.skips, self.owners, x, z, slope, Blocks((len(x[0]),)))

    def back(self, end: Array, whole: bool = False) -> list[Array]:
        """λ(1) … λ(N) of a force λ(N) on the outputs, shape (pairs, width); from λ(0) on if `whole`."""
        found = [end]
        later, ahead = end, None
        for n in reversed(range(0 if whole else 1, len(self.weights))):
            own = self.blocks.product(later * self.slope[n], self.weights[n][0])
            later, ahead = added(self.skips[n], own, later, ahead)
            found.append(later)
        return found[::-1]

    def by_weights(self, forces: Sequence[Array]) -> list[Factor]:
        """The gradient by all weights, flat, of the forces λ(1) … λ(N), as sums over the pairs."""
        pulls = [force * slope for force, slope in zip(forces, self.slope, strict=True)]
        return by_layers(pulls, self.x)

    def along(self, layers: Layers, inputs: Array | None) -> tuple[list[Array], list[Array]]:
        """δx(0) … δx(N) and δz(0) … δz(N-1) along a direction of the weights and of the inputs, if any."""
        moved = [np.zeros_like(self.x[0]) if inputs is None else inputs]
        sums = []
        for n, (matrix, bias) in enumerate(layers):
            own = self.blocks.product(self.x[n], matrix.T) + bias
            if n or inputs is not None:
                own += self.blocks.product(moved[-1], self.weights[n][0].T)
            after = self.slope[n] * own
            sums.append(own)
            skip = self.skips[n]
            moved.append(after + moved[-skip] if skip else after)
        return moved, sums

    def sensitivities(self, ends: Array, whole: bool = False) -> list[Array]:
        """Slopes of E linear functions of the outputs by z(0) … z(N-1), each (pairs, E, width).

        Args:
            ends: Their slopes by x(N), shape (pairs, E, width).
            whole: Whether those by x(0) stand before.
        """
        found, later, ahead = [], ends, None
        for n in reversed(range(len(self.weights))):
            own = later * self.slope[n][:, None, :]
            found.append(own)
            if n or whole:
                before = self.blocks.product(own, self.weights[n][0])
                later, ahead = added(self.skips[n], before, later, ahead)
        return [later, *found[::-1]] if whole else found[::-1]


def added(skip: int, own: Array, later: Array, ahead: Array | None) -> tuple[Array, Array | None]:
    """What goes back to x(n), and what to x(n-1) past it.

    Args:
        skip: k of layer n, 0 where it adds to none.
        own: What goes back through its sums.
        later: What came back to x(n+1).
        ahead: What went to x(n) past x(n+1).
    """
    if skip == 1:
        own = own + later
    if ahead is not None:
        own = own + ahead
    return own, later if skip == 2 else None


def flat(layers: Iterable[tuple[Array, Array]]) -> Array:
    """(W, b) of every layer, flat."""
    return np.concatenate([part for matrix, bias in layers for part in (matrix.ravel(), bias)])


def by_layers(pulls: Sequence[Array], x: Sequence[Array]) -> list[Factor]:
    """Σ q(n) x(n)ᵀ, and Σ q(n), of every layer, as sums over the pairs."""
    return [part for q, own in zip(pulls, x, strict=False) for part in ((q, own), (q, None))]
