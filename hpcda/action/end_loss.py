"""The loss at a network's outputs: φ(x; y) of every pair, its gradient and second derivatives.

Gaussian outputs: φ = ½ Σ_i w_i (x_i - y_i)² with w = 1/σ², 0 where nothing is measured. Any other loss is
traced: a joint one for all outputs of a pair at once, else for each measured output by itself.

The Gauss-Newton matrix takes of φ'' the part that is not negative, R Rᵀ, so that it has no negative
eigenvalue for a loss that is not convex either (B. Triggs et al., Bundle Adjustment, LNCS 1883, 298 (2000)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.action.factors import DataLoss
from hpcda.action.instances import Instances
from hpcda.action.network import Network
from hpcda.problem import Array


@dataclass(frozen=True)
class PairMatrices:
    """A matrix of each pair.

    Attributes:
        entries: Shape (pairs, width, width), or (pairs, width) where they are diagonal.
    """

    entries: Array

    def times(self, vectors: Array) -> Array:
        """The product with vectors, shape (pairs, width)."""
        return self.entries * vectors if self.diagonal else np.einsum("pij,pj->pi", self.entries, vectors)

    def part(self, pairs: slice) -> PairMatrices:
        """Those of some pairs."""
        return PairMatrices(self.entries[pairs])

    def transposed(self) -> PairMatrices:
        """The transposed matrices."""
        return self if self.diagonal else PairMatrices(self.entries.transpose(0, 2, 1))

    def full(self) -> Array:
        """Shape (pairs, width, width)."""
        return self.entries[:, :, None] * np.eye(self.entries.shape[1]) if self.diagonal else self.entries

    def combined(self, rows: Array) -> Array:
        """Linear combinations of the rows of each matrix, by `rows`, shape (count, width)."""
        return rows * self.entries[:, None, :] if self.diagonal else rows @ self.entries

    @property
    def diagonal(self) -> bool:
        """Whether all are diagonal."""
        return self.entries.ndim == 2


class EndLoss:
    """The loss of all pairs; x, the outputs, are of shape (pairs, width).

    Args:
        network: The network and its pairs.

    Raises:
        InputError: The loss cannot be differentiated.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, network: Network) -> None:
        self.measured: npt.NDArray[np.bool_] = network.measured
        outputs = np.asarray(network.outputs, dtype=np.float64)
        self.width = outputs.shape[1]
        self.loss: Instances | None = None
        self.joint, self._root = False, None
        if not isinstance(network.output, DataLoss):
            self._precision = network.precision
            self._data = np.where(self.measured, outputs, 0.0)
            return
        self.joint, self._root = network.output.loss.joint, network.output.loss.root
        size = self.width if self.joint else 1
        self.loss = Instances(network.output.traced(size), size, 2 * size)
        data = outputs if self.joint else outputs[self.measured][:, None]
        self._constants = np.concatenate([data, np.ones_like(data)], axis=1).T

    def values(self, x: Array) -> Array:
        """Numbers whose sum is φ of a pair, shape (pairs, 1) of a joint loss, else (pairs, width)."""
        if self.loss is None:
            return np.asarray(0.5 * self._precision * (x - self._data) ** 2)
        return self._shares(x, self.loss.values(self._columns(x), self._constants)[0])

    def _shares(self, x: Array, entries: Array) -> Array:
        """`values` of what instances give."""
        if self.joint:
            return np.asarray(entries[:, None])
        found = np.zeros_like(x)
        found[self.measured] = entries
        return found

    def slope(self, x: Array) -> Array:
        """∂φ/∂x, shape (pairs, width)."""
        if self.loss is None:
            return self._precision * (x - self._data)
        return self._placed(x, self.loss.slopes(self._columns(x), self._constants))

    def with_slope(self, x: Array) -> tuple[Array, Array]:
        """`values` and `slope`."""
        if self.loss is None:
            return self.values(x), self.slope(x)
        values, entries = self.loss.with_slopes(self._columns(x), self._constants)
        return self._shares(x, values[0]), self._placed(x, entries)

    def _placed(self, x: Array, entries: Array) -> Array:
        """∂φ/∂x of its entries."""
        assert self.loss is not None
        found = np.zeros_like(x)
        for (_, variable), own in zip(self.loss.traced.jacobian, entries, strict=True):
            if self.joint:
                found[:, variable] = own
            else:
                found[self.measured] = own
        return found

    def curvature(self, x: Array) -> PairMatrices:
        """φ''."""
        return PairMatrices(self._joint(x) if self.joint else self._separate(x))

    def root(self, x: Array) -> PairMatrices:
        """R, R Rᵀ the part of φ'' that is not negative; may be non-finite."""
        if not self.joint:
            return PairMatrices(np.sqrt(np.maximum(self._separate(x), 0.0)))
        if self._root is not None and np.isfinite(x).all():
            return PairMatrices(self._root(x))
        found = self._joint(x)
        if not np.isfinite(found).all():
            return PairMatrices(np.full_like(found, np.nan))
        values, vectors = np.linalg.eigh(found)
        return PairMatrices(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])

    def _columns(self, x: Array) -> Array:
        """An instance a column."""
        return x.T if self.joint else x[self.measured][None]

    def _separate(self, x: Array) -> Array:
        """The diagonal of φ'' of a loss that is not joint, shape (pairs, width)."""
        if self.loss is None:
            return self._precision
        found = np.zeros_like(x)
        columns = self._columns(x)
        for own in self.loss.curvature(columns, np.ones_like(columns), self._constants):
            found[self.measured] = own
        return found

    def _joint(self, x: Array) -> Array:
        """φ'' of a joint loss, shape (pairs, width, width)."""
        assert self.loss is not None
        pairs, width = x.shape
        found = np.zeros((pairs, width, width))
        entries = self.loss.curvature(x.T, np.ones((1, pairs)), self._constants)
        for (k, l), own in zip(self.loss.traced.hessian, entries, strict=True):  # noqa: E741
            found[:, k, l] = found[:, l, k] = own
        return found
