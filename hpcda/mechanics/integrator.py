r"""The variational integrator: one interval of a discretization as a map of states and momenta.

    (x, p) → (x', p'):    p + (∂r/∂x_0)ᵀ λ = 0,    r(x_0, …, x_m) = λ / (Rf s),    p' = (∂r/∂x_m)ᵀ λ

solved for the points x_1 … x_m = x' and the multipliers λ by Newton steps. Points inside an interval obey
(∂r/∂x_j)ᵀ λ + f_j = 0, f_j the force of a datum there. Stationarity of the action is this map, interval
after interval, with a kick p⁺ = p⁻ + f at every datum. The map is symplectic for any step at which the
equations can be solved, to the rounding of their solution (J. E. Marsden, M. West, Acta Numerica 10, 357
(2001), part 1). At Rf = ∞, where λ / (Rf s) = 0, x moves with the model and p with its adjoint.

A layered network whose layers differ in width has no such map: the momentum of n units does not determine
that of m ≠ n. The relation p⁺ = -(∂r/∂x_0)ᵀ λ, p⁻ = λ still holds, so that the boundary value problem has
solutions where the initial value problem has none or many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.mechanics.lagrangian import DiscreteLagrangian
from hpcda.problem import Array

STEPS, HALVINGS = 60, 30
"""Newton steps of an interval, and halvings of one."""
ROUNDING = 4e-15
"""Part of the sizes of points and multipliers by which the last Newton step may still move them."""


class NoStepError(Exception):
    """The equations of an interval have no solution near: the message says what was seen."""


@dataclass(frozen=True)
class Interval:
    """One interval of a trajectory.

    Attributes:
        points: x_0 … x_m, shape (m + 1, D).
        multipliers: λ, shape (K · D,).
        momentum: p' at its end, arriving, shape (D,).
        tangent: ∂(x', p') / ∂(x, p), shape (2 D, 2 D); None where it was not asked for.
    """

    points: Array
    multipliers: Array
    momentum: Array
    tangent: Array | None = None


class VariationalIntegrator:
    """Moves states and momenta by the discrete Lagrangian of a problem.

    Args:
        lagrangian: That of the problem's discretization.
        rf: Rf; infinity for the limit at which the model is obeyed exactly.
        constants: The estimated parameters, shape (P,).

    Raises:
        ValueError: Rf is not above 0, or the states have parameters of one time beside them, whose values no
            initial value tells.
    """

    def __init__(self, lagrangian: DiscreteLagrangian, rf: float, constants: npt.ArrayLike = ()) -> None:
        if not rf > 0.0:
            raise ValueError(f"Rf is {rf}: it must be above 0")
        if lagrangian.block != lagrangian.states:
            raise ValueError(
                "the path holds parameters that vary in time: an initial value does not tell them"
            )
        self.lagrangian, self.rf = lagrangian, float(rf)
        self._constants = np.asarray(constants, dtype=np.float64)
        self._soft = np.zeros_like(lagrangian.weight) if np.isinf(rf) else 1.0 / (rf * lagrangian.weight)

    def step(
        self,
        x: Array,
        p: Array,
        interval: int = 0,
        *,
        forces: tuple[Array, Array] | None = None,
        near: Interval | None = None,
        tangent: bool = False,
    ) -> Interval:
        """Move over one interval.

        Args:
            x: State at its begin, shape (D,).
            p: Momentum that leaves there, shape (D,).
            interval: Its number in the window, where the model depends on time or known series.
            forces: f_j at the points inside, shape (m - 1, D), and their derivatives, shape (m - 1, D, D);
                None where nothing is measured there. The forces are linear, f_j(x) = f_j + f_j' (x - x_0).
            near: A neighbor, from which Newton's steps begin; by default the state itself and no errors.
            tangent: Whether the derivative of the map is computed.

        Raises:
            NoStepError: Newton's steps do not converge.
        """
        own, m = self.lagrangian, self.lagrangian.span
        d, rows = own.states, own.rows
        points = np.tile(x, (m + 1, 1)) if near is None else near.points - near.points[0] + x
        multipliers = np.zeros(rows) if near is None else near.multipliers.copy()
        residual = self._residual(points, multipliers, p, interval, forces)
        scale = self._scales(points, multipliers, p)
        for _ in range(STEPS):
            matrix = self._matrix(points, multipliers, interval, forces)
            try:
                step = -np.linalg.solve(matrix[:, d:], residual)
            except np.linalg.LinAlgError:
                raise NoStepError("the equations of the interval are singular") from None
            before, share = float(np.linalg.norm(residual / scale)), 1.0
            for _ in range(HALVINGS):
                trial = points.copy()
                trial[1:] += share * step[: m * d].reshape(m, d)
                moved = multipliers + share * step[m * d :]
                ahead = self._residual(trial, moved, p, interval, forces)
                size = float(np.linalg.norm(ahead / scale))
                if np.isfinite(size) and (size <= before or size <= ROUNDING * np.sqrt(len(scale))):
                    break
                share *= 0.5
            else:
                if before <= 1e3 * ROUNDING * np.sqrt(len(scale)):
                    break  # nothing but rounding is left
                raise NoStepError("Newton's steps do not converge: give shorter intervals")
            points, multipliers, residual = trial, moved, ahead
            scale = self._scales(points, multipliers, p)
            large = np.concatenate([np.abs(points[1:]).ravel(), np.abs(multipliers)])
            top = np.concatenate([np.full(m * d, large[: m * d].max()), np.full(rows, large[m * d :].max())])
            if share == 1.0 and (np.abs(step) <= ROUNDING * top).all():
                break
        else:
            if float(np.linalg.norm(residual / scale)) > 1e3 * ROUNDING * np.sqrt(len(scale)):
                raise NoStepError(f"Newton's steps do not converge in {STEPS}")
        slopes = self._slopes(points, interval)
        end = multipliers @ slopes[:, m]
        moved_by = self._tangent(points, multipliers, interval, forces, slopes) if tangent else None
        return Interval(points, multipliers, end, moved_by)

    def _slopes(self, points: Array, interval: int) -> Array:
        """∂r/∂x, shape (K · D, m + 1, D)."""
        return self.lagrangian.slopes(points[None], self._constants, (interval,))[0]

    def _residual(
        self, points: Array, multipliers: Array, p: Array, interval: int, forces: tuple[Array, Array] | None
    ) -> Array:
        slopes = self._slopes(points, interval)
        errors = self.lagrangian.errors(points[None], self._constants, (interval,))[0]
        inner = np.einsum("r,rjd->jd", multipliers, slopes[:, 1:-1])
        if forces is not None:
            inner = inner + forces[0] + np.einsum("jab,jb->ja", forces[1], points[1:-1] - points[0])
        return np.concatenate(
            [p + multipliers @ slopes[:, 0], inner.ravel(), errors - self._soft[interval] * multipliers]
        )

    def _scales(self, points: Array, multipliers: Array, p: Array) -> Array:
        """Natural sizes of the equations."""
        m, d = self.lagrangian.span, self.lagrangian.states
        pull = max(float(np.abs(p).max()), float(np.abs(multipliers).max()), 1e-300)
        place = max(float(np.abs(points).max()), 1e-300)
        return np.concatenate([np.full(m * d, pull), np.full(self.lagrangian.rows, place)])

    def _matrix(
        self, points: Array, multipliers: Array, interval: int, forces: tuple[Array, Array] | None
    ) -> Array:
        """Derivatives of the equations by x_0, by x_1 … x_m and by λ."""
        own, m, d = self.lagrangian, self.lagrangian.span, self.lagrangian.states
        slopes = self._slopes(points, interval).reshape(own.rows, -1)
        bends = own.bends(points[None], multipliers[None], self._constants, (interval,))[0].copy()
        if forces is not None:
            for j in range(1, m):
                bends[j * d : (j + 1) * d, j * d : (j + 1) * d] += forces[1][j - 1]
                bends[j * d : (j + 1) * d, :d] -= forces[1][j - 1]
        size = (m + 1) * d
        matrix = np.zeros((m * d + own.rows, size + own.rows))
        matrix[: m * d, :size] = bends[: m * d]
        matrix[: m * d, size:] = slopes[:, : m * d].T
        matrix[m * d :, :size] = slopes
        matrix[m * d :, size:] = -np.diag(self._soft[interval])
        return matrix

    def _tangent(
        self,
        points: Array,
        multipliers: Array,
        interval: int,
        forces: tuple[Array, Array] | None,
        slopes: Array,
    ) -> Array:
        own, m, d = self.lagrangian, self.lagrangian.span, self.lagrangian.states
        matrix = self._matrix(points, multipliers, interval, forces)
        by_start = np.zeros((len(matrix), 2 * d))
        by_start[:, :d] = matrix[:, :d]
        by_start[:d, d:] = np.eye(d)
        change = -np.linalg.solve(matrix[:, d:], by_start)
        bends = own.bends(points[None], multipliers[None], self._constants, (interval,))[0][m * d :]
        found = np.zeros((2 * d, 2 * d))
        found[:d] = change[(m - 1) * d : m * d]
        found[d:] = bends[:, d:] @ change[: m * d] + slopes[:, m].T @ change[m * d :]
        found[d:, :d] += bends[:, :d]
        return found
