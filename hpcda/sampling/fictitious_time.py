r"""The stochastic Euler-Lagrange equation: a path that moves in a fictitious time l, driven by noise.

    dX = -C ∇A(X) dl + sqrt(2T) C^{1/2} dW(l),    A(X) = ½ (X - X_0)ᵀ M (X - X_0) + Φ(X)

leaves the density exp(-A/T) invariant for any constant, positive definite C. With noise that is white in
path space, C = 1/w with the length w of time that each entry of X stands for, its drift is minus the
functional derivative of A: a semilinear stochastic partial differential equation, whose linear part M/w is a
second derivative in time (A. Stuart, J. Voss, P. Wiberg, Comm. Math. Sci. 2, 685, 2004). With C = M⁻¹ the
linear part is -(X - X_0). A step h treats the linear part by the share θ implicitly, the rest explicitly:

    X' = X - h C [M (θ X' + (1 - θ) X - M X_0) + ∇Φ(X)] + sqrt(2Th) C^{1/2} ξ,    ξ ~ N(0, 1)

    θ = 0    explicit Euler: stable for h λ < 2 only, λ the largest eigenvalue of C M, which for white noise
             grows as the square of the number of times
    θ = 1/2  leaves a Gaussian with the matrix M invariant at any h; for other densities its error is of
             first order in h. The only one whose steps stay comparable to paths of exp(-A/T) when the mesh is
             refined, so that a Metropolis test accepts a share of them that does not depend on the mesh
    θ = 1    semi-implicit Euler: stable at any h, with variances too small by the factor 1/(1 + h λ/2)

(A. Beskos, G. Roberts, A. Stuart, J. Voss, Stoch. Dyn. 8, 319, 2008.) A density of paths, or of networks'
units, is that of the discretized action: the log-determinant log |det(I - h/2 DF)| by which implicit schemes
differ from the transition densities of the stochastic differential equation is not part of it. Where some
states have no model error (hypoelliptic models), M is large there but for the directions that obey the model:
C = M⁻¹ moves along these, white noise needs steps as small as 1/M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array

from hpcda.linalg.elimination import EliminatedMatrix, Pattern
from hpcda.linalg.tree import TreeElimination

Array = npt.NDArray[np.float64]
Target = Callable[[Array], tuple[float, Array]]
"""A(X) and its gradient, shape (n,), of a path, shape (n,)."""


@dataclass(frozen=True)
class Path:
    """A path with its action and gradient."""

    x: Array
    action: float
    gradient: Array


class Factor(Protocol):
    """A factor of M."""

    def solve(self, right: Array) -> Array:
        """M⁻¹ right, shape (n,)."""
        ...

    def sample(self, normal: Array) -> Array:
        """Of the covariance M⁻¹ for standard normal numbers, shape (n,)."""
        ...


def step(
    x: Array, gradient: Array, factor: Factor, size: float, theta: float, temperature: float, normal: Array
) -> Array:
    """X' of one step with C = M⁻¹, shape (n,).

    Args:
        x: X, shape (n,).
        gradient: ∇A(X), shape (n,).
        factor: A factor of M.
        size: h.
        theta: θ.
        temperature: T.
        normal: Standard normal numbers, shape (n,).
    """
    kick = np.sqrt(2.0 * temperature * size) * factor.sample(normal)
    return x - (size * factor.solve(gradient) - kick) / (1.0 + theta * size)


def _factor(matrix: csr_array) -> EliminatedMatrix:
    matrix.sort_indices()
    return TreeElimination(Pattern(matrix.indptr, matrix.indices)).factor(matrix.data)


class FictitiousTime:
    """Steps of the stochastic Euler-Lagrange equation.

    Args:
        target: A and its gradient.
        center: X_0, shape (n,).
        pull: M, shape (n, n), the full symmetric matrix with its diagonal; positive definite.
        step: h, larger than 0.
        theta: θ, from 0 to 1.
        lengths: w, shape (n,), for noise that is white in path space; None for C = M⁻¹.
        temperature: T.

    Raises:
        hpcda.linalg.elimination.NotPositiveDefiniteError: M is not positive definite.
    """

    def __init__(
        self,
        target: Target,
        center: Array,
        pull: csr_array,
        step: float,
        theta: float = 0.5,
        lengths: Array | None = None,
        temperature: float = 1.0,
    ) -> None:
        self._target, self._center = target, np.asarray(center, dtype=np.float64)
        self._pull, self._step, self._theta, self._lengths = csr_array(pull), step, theta, lengths
        self._temperature = temperature
        noise = csr_array(pull) if lengths is None else csr_array(diags_array(lengths))
        self._implicit = csr_array(noise + theta * step * self._pull)
        self._factor = _factor(self._implicit)
        self._noise = _factor(csr_array(pull)) if lengths is None else None

    def at(self, x: Array) -> Path:
        """The action and its gradient of a path, shape (n,)."""
        action, gradient = self._target(x)
        return Path(x, action, gradient)

    def mean(self, path: Path) -> Array:
        """The mean of X', shape (n,).

        (C⁻¹ + θ h M) (X' - X) = -h ∇A(X), since M (X - X_0) + ∇Φ = ∇A.
        """
        return path.x - self._step * self._factor.solve(path.gradient)

    def step(self, path: Path, normal: Array) -> Path:
        """X' of standard normal numbers, shape (n,)."""
        h, temperature = self._step, self._temperature
        if self._noise is not None:
            return self.at(step(path.x, path.gradient, self._noise, h, self._theta, temperature, normal))
        assert self._lengths is not None
        kick = self._factor.solve(np.sqrt(self._lengths) * normal)
        return self.at(self.mean(path) + np.sqrt(2.0 * temperature * h) * kick)

    def log_proposal(self, path: Path, new: Path) -> float:
        """Logarithm of the density of X' at X, but for a constant."""
        kick = self._implicit @ (new.x - self.mean(path))
        if self._noise is not None:
            square = kick @ (new.x - self.mean(path)) * (1.0 + self._theta * self._step)
        else:
            assert self._lengths is not None
            square = float(np.sum(kick**2 / self._lengths))
        return -float(square) / (4.0 * self._temperature * self._step)

    def log_acceptance(self, path: Path, new: Path) -> float:
        """Logarithm of the Metropolis ratio, with which steps leave exp(-A/T) invariant exactly."""
        change = (path.action - new.action) / self._temperature
        return change + self.log_proposal(new, path) - self.log_proposal(path, new)
