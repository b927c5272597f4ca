r"""Shooting: solves the boundary value problem of a path for states and momenta at its first time.

Unknown are the state and the momentum at the begin of every segment of a window. They are moved by
`VariationalIntegrator`, kicked by the data on the way, p⁺ = p⁻ + f, and have to meet

    p⁺(0) = f(0),    the next segment's begin,    p⁻(T) + f(T) = 0.

One segment is single shooting, several are multiple shooting (H. Bock, K. Plitt, IFAC Proc. Vol. 17, 1603
(1984)); as many as intervals is Newton on the whole path with momenta beside the states. What is found is a
stationary path of the action, the same that Newton's method on the path finds.

Where it stops: an error at the begin of a segment is at its end larger by the tangent map, in a Hamiltonian
system by exp(λ T) forward and, in p, backward as well. Beyond a tangent of 1e8 half of the digits are lost
and Newton's steps leave the region where they converge; at 1e16 nothing is left. For Lorenz 63 (λ = 0.9, and
strongly contracting, so that p grows by exp(14 T)) one segment lasts T ≈ 2. Newton on the whole path has no
such limit, as its matrix never contains products of tangents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from hpcda.action import Action
from hpcda.mechanics.integrator import Interval, NoStepError, VariationalIntegrator
from hpcda.mechanics.lagrangian import DiscreteLagrangian
from hpcda.problem import Array

MOST_STEPS, HALVINGS = 100, 12
"""Newton steps on the begins of the segments, and halvings of one."""
ROUNDING, CLOSE = 1e-13, 1e-9
"""Part of their sizes by which the last Newton step moves the unknowns; by which it may where rounding
hinders it from moving them less."""
AFFINE = 1e-9
"""Part of the forces that data may depart from forces that are linear in the states."""


class ShootingError(Exception):
    """No path was found; the message says why, and what the tangent map was."""


@dataclass(frozen=True)
class Trajectory:
    """A stationary path found by shooting.

    Attributes:
        points: States at all points, shape (N, D).
        arriving: p⁻ at the ends of intervals, shape (intervals + 1, D); 0 at the first.
        leaving: p⁺, likewise; 0 at the last.
        iterations: Newton steps on the begins of the segments.
        tangent: Largest entry of a segment's tangent map: what an error at its begin is multiplied by.
    """

    points: Array
    arriving: Array
    leaving: Array
    iterations: int
    tangent: float


def shoot(action: Action, path: Array, rf: float, segments: int = 1, window: int = 0) -> Trajectory:
    """Find a stationary path of one window by single or multiple shooting.

    Args:
        action: The action; its data and priors are Gaussian and of linear combinations of states.
        path: Flat path, shape (size,), from which begins start; its parameters stay as they are.
        rf: Rf; infinity for the model obeyed exactly.
        segments: Segments that the window is divided into, from 1 to its intervals.
        window: Number of the window.

    Raises:
        ShootingError: Newton's steps on the begins do not converge, or an interval has no solution.
        ValueError: Forces are not linear in the states, or there are not so many intervals.
    """
    return _Shooting(action, path, rf, segments, window).solve()


class _Shooting:
    def __init__(self, action: Action, path: Array, rf: float, segments: int, window: int) -> None:
        problem = action.problem
        path = np.ascontiguousarray(problem.ties.tied(path), dtype=np.float64)
        blocks, constants = problem.split(path)
        lagrangian = DiscreteLagrangian(action.equations, window)
        self._d, self._m = lagrangian.states, lagrangian.span
        known = constants[problem.layout.seen(window)]
        self._integrator = VariationalIntegrator(lagrangian, rf, known)
        first = blocks[window][:, : self._d]
        self._intervals = (len(first) - 1) // self._m
        if not 1 <= segments <= self._intervals:
            raise ValueError(
                f"{segments} segments of {self._intervals} intervals: give 1 … {self._intervals}"
            )
        self._ends = np.linspace(0, self._intervals, segments + 1).round().astype(int)
        self._force, self._stiff = _affine(action, path, window)
        x = first[self._ends[:-1] * self._m]
        p = np.zeros_like(x)
        p[0] = self._force[0] + self._stiff[0] @ x[0]
        self._begin = np.hstack([x, p])
        self._near: list[Interval | None] = [None] * self._intervals

    def solve(self) -> Trajectory:
        z, tangent = self._begin, 0.0
        at = self._shot(z)
        for iteration in range(MOST_STEPS):
            mismatch, matrix, largest = at[0], at[1], at[2]
            tangent = max(tangent, largest)
            try:
                step = -splu(sp.csc_matrix(matrix)).solve(mismatch).reshape(z.shape)
            except RuntimeError:
                raise ShootingError(_why("the matrix of the begins is singular", tangent)) from None
            if not np.isfinite(step).all():
                raise ShootingError(_why("steps are not finite", tangent))
            size = self._sizes(z)
            moved = float(np.max(np.abs(step) / size))
            if moved <= ROUNDING:
                return self._path(z + step, iteration + 1, tangent)
            share, before = 1.0, self._length(mismatch, size)
            for _ in range(HALVINGS):
                trial = z + share * step
                try:
                    at = self._shot(trial)
                    if self._length(at[0], size) < before:
                        break
                except NoStepError:
                    pass
                share *= 0.5
            else:
                if moved <= CLOSE:
                    return self._path(z, iteration + 1, tangent)
                raise ShootingError(_why("no Newton step brings the ends together", tangent))
            z = trial
        raise ShootingError(_why(f"not converged after {MOST_STEPS} Newton steps", tangent))

    def _sizes(self, z: Array) -> Array:
        """Natural sizes of states and momenta."""
        d = self._d
        x, p = max(np.abs(z[:, :d]).max(), 1e-300), max(np.abs(z[:, d:]).max(), np.abs(self._force).max())
        return np.concatenate([np.full(d, x), np.full(d, max(p, 1e-300))])

    def _length(self, mismatch: Array, size: Array) -> float:
        d = self._d
        scaled = np.concatenate([mismatch[:d] / size[d:], mismatch[d:-d] / np.tile(size, len(self._ends) - 2),
                                 mismatch[-d:] / size[d:]])  # fmt: skip
        return float(np.linalg.norm(scaled))

    def _shot(self, z: Array) -> tuple[Array, sp.coo_matrix, float]:
        """What the ends of all segments miss, its derivative by the begins, the largest tangent."""
        d, count = self._d, len(z)
        missed = [z[0, d:] - self._force[0] - self._stiff[0] @ z[0, :d]]
        blocks: list[list[sp.csr_matrix | None]] = [
            [sp.csr_matrix(np.hstack([-self._stiff[0], np.eye(d)]))] + [None] * (count - 1)
        ]
        largest = 0.0
        for k in range(count):
            end, tangent = self._segment(z[k], k)
            largest = max(largest, float(np.abs(tangent).max()))
            row: list[sp.csr_matrix | None] = [None] * count
            if k + 1 < count:
                missed.append(end - z[k + 1])
                row[k], row[k + 1] = sp.csr_matrix(tangent), -sp.identity(2 * d, format="csr")
            else:
                missed.append(end[d:])
                row[k] = sp.csr_matrix(tangent[d:])
            blocks.append(row)
        return np.concatenate(missed), sp.bmat(blocks), largest

    def _segment(self, begin: Array, number: int) -> tuple[Array, Array]:
        """(x, p⁺) at the end of a segment, and its derivative by those at its begin."""
        d, m = self._d, self._m
        x, p, whole = begin[:d], begin[d:], np.eye(2 * d)
        for n in range(self._ends[number], self._ends[number + 1]):
            one = self._step(x, p, n, True)
            end = (n + 1) * m
            x, p = one.points[-1], one.momentum + self._force[end] + self._stiff[end] @ one.points[-1]
            assert one.tangent is not None
            kicked = one.tangent.copy()
            kicked[d:] += self._stiff[end] @ one.tangent[:d]
            whole = kicked @ whole
        return np.concatenate([x, p]), whole

    def _step(self, x: Array, p: Array, n: int, tangents: bool) -> Interval:
        inner, forces = slice(n * self._m + 1, (n + 1) * self._m), None
        if self._stiff[inner].any() or self._force[inner].any():
            forces = self._force[inner] + self._stiff[inner] @ x, self._stiff[inner]
        near = self._near[n]
        try:
            found = self._integrator.step(x, p, n, forces=forces, near=near, tangent=tangents)
        except NoStepError:
            if near is None:
                raise
            found = self._integrator.step(x, p, n, forces=forces, tangent=tangents)
        self._near[n] = found
        return found

    def _path(self, z: Array, iterations: int, tangent: float) -> Trajectory:
        d, m, count = self._d, self._m, self._intervals
        points = np.zeros((count * m + 1, d))
        arriving, leaving = np.zeros((count + 1, d)), np.zeros((count + 1, d))
        for k in range(len(z)):
            x, p = z[k, :d], z[k, d:]
            for n in range(self._ends[k], self._ends[k + 1]):
                one = self._step(x, p, n, False)
                end = (n + 1) * m
                points[n * m : end + 1], leaving[n], arriving[n + 1] = one.points, p, one.momentum
                x, p = one.points[-1], one.momentum + self._force[end] + self._stiff[end] @ one.points[-1]
        return Trajectory(points, arriving, leaving, iterations, tangent)


def _affine(action: Action, path: Array, window: int) -> tuple[Array, Array]:
    """Forces of data and priors at all points as f + F x, shapes (N, D) and (N, D, D).

    Raises:
        ValueError: They are not of this form.
    """
    problem = action.problem
    places = problem.layout.points(window)[:, : problem.dimension]
    pull = action.gradient(path, 0.0)[1][places]
    indptr, indices, values = action.hessian(path, 0.0)
    matrix = sp.csr_matrix((values, indices, indptr))
    whole = matrix + sp.triu(matrix, 1).T if sp.tril(matrix, -1).nnz == 0 else matrix
    stiff = np.array([whole[row][:, row].toarray() for row in places])
    force = pull - np.einsum("nab,nb->na", stiff, path[places])
    other = path.copy()
    other[places] *= 1.0 + 1e-2
    other[places] += 1e-2
    seen = action.gradient(other, 0.0)[1][places]
    made = force + np.einsum("nab,nb->na", stiff, other[places])
    if np.abs(seen - made).max() > AFFINE * max(float(np.abs(seen).max()), 1e-300):
        raise ValueError(
            "the forces of the data are not linear in the states: shooting needs Gaussian data of them"
        )
    return force, stiff


def _why(what: str, tangent: float) -> str:
    return f"{what}; an error at the begin of a segment grows by {tangent:.1e} to its end: give more segments"
