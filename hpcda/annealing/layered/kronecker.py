"""Kronecker-factored preconditioner of layered networks: a product of two second-moment matrices per layer.

The Gauss-Newton matrix of [W(n) | b(n)] is Σ over pairs U(n)ᵀU(n) ⊗ x̃(n) x̃(n)ᵀ, with U(n) the slopes of the
outputs by z(n) and x̃ = (x, 1). With the mean of the product taken for the product of the means,

    B(n) ⊗ A(n),    B(n) = Σ U(n)ᵀU(n),    A(n) = mean of x̃(n) x̃(n)ᵀ

(T. Heskes, Neural Computation 12, 881 (2000); J. Martens, R. Grosse, Proc. ICML 37, 2408 (2015)).
Eigenvectors of A and B are those of the product, so that powers for any shift cost two products a layer.
Inputs that are unknown have a block of each pair. Of the prior of weights and biases a layer takes the mean.
Of layers that share their weights B(n) are added, and A(n) averaged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcda.action.dealt import Factor
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.passes import Passed, flat
from hpcda.problem import Array


class Kronecker:
    """The preconditioner K.

    Args:
        action: The network and its pairs.
        passed: The pass forward.
        sensitivities: U(n), each of shape (pairs, outputs, width); before them those by unknown inputs.
    """

    def __init__(self, action: ExactNetwork, passed: Passed, sensitivities: list[Array]) -> None:
        self.action = action
        layers = list(sensitivities)
        if action.inputs:
            first, own = layers.pop(0), action.own(action.precision)
            assert own is not None
            blocks = first.transpose(0, 2, 1) @ first
            diagonal = np.arange(blocks.shape[1])
            blocks[:, diagonal, diagonal] += own
            self._inputs = np.linalg.eigh(blocks)
        pairs, wide = action.deal.pairs, [np.column_stack([x, np.ones(len(x))]) for x in passed.x[:-1]]
        factors: list[Factor] = [(own, own) for own in [*layers, *wide]]
        total = action.deal.total(action.deal.blocks.sums(factors))
        matrices, begin = list[Array](), 0
        for own, _ in factors:
            width = own.shape[-1]
            matrices.append(total[begin : begin + width**2].reshape(width, width))
            begin += width**2
        owners = action.network.owners
        shared = [[n for n, owner in enumerate(owners) if owner == own] for own in range(owners[-1] + 1)]
        outs, ins = matrices[: len(layers)], matrices[len(layers) :]
        self._layers = [
            (
                np.linalg.eigh(sum((outs[n] for n in own[1:]), outs[own[0]])),
                np.linalg.eigh(sum((ins[n] for n in own[1:]), ins[own[0]]) / (pairs * len(own))),
            )
            for own in shared
        ]

    def power(self, exponent: float, shift: float) -> Callable[[Array], Array]:
        """The product with (K + priors + shift) to a power."""
        priors = [
            float(np.concatenate([matrix.ravel(), bias]).mean())
            for matrix, bias in self.action.matrices(self.action.prior_diagonal)
        ]
        layers = [
            (left, right, (np.maximum(np.outer(out, in_), 0.0) + prior + shift) ** exponent)
            for ((out, left), (in_, right)), prior in zip(self._layers, priors, strict=True)
        ]
        across = None
        if self.action.inputs:
            values, vectors = self._inputs
            across = (np.maximum(values, 0.0) + shift) ** exponent

        def product(vector: Array) -> Array:
            weights, inputs = self.action.matrices(vector), self.action.own(vector)
            found = []
            for (matrix, bias), (left, right, scale) in zip(weights, layers, strict=True):
                turned = left.T @ np.column_stack([matrix, bias]) @ right
                turned *= scale
                own = left @ turned @ right.T
                found.append((own[:, :-1], own[:, -1]))
            if inputs is None:
                return flat(found)
            turned = across * np.einsum("pji,pj->pi", vectors, inputs)
            return self.action.joined(np.einsum("pij,pj->pi", vectors, turned), flat(found))

        return product
