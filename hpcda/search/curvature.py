"""The Hessian of the action at one path in natural units, factored backward in time, also if indefinite.

Every unknown is measured in its natural scale, so that nothing depends on units: an eigenvalue λ < 1 says
that a step of one natural scale changes the action by less than 1/2, which is as good as nothing. Such a
direction is flat; the factor holds it by a Gaussian of one natural scale, and tells. The chains are
eliminated from the last time to the first, as a path is given by its initial states: what the data leave open
of those is seen in the last pivot of each chain, and what they leave open of the shared parameters in the
border's Schur complement, the paths having been minimized over (the curvature of the profile likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.sparse import csr_array, diags_array

from hpcda.action.blocks import Csr, InTime, blocks_of
from hpcda.action.native import priors
from hpcda.annealing.scale import scales
from hpcda.linalg.blocktridiagonal import (
    Chain,
    Factor,
    Lift,
)
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Problem

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WIDE = 3.0
"""Natural scale over the width of the first guess, the estimate, or the range of a state along its path."""
LEAST = 1.0
"""Curvature in natural units below which a direction is flat."""
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps)
DIRECTIONS = 32
"""Flat directions of chains whose effect on all unknowns is computed; further ones stay at their times."""
HELD = 1e8
"""Curvature of an unknown that is held, in place of its own."""


def natural_scales(problem: Problem, path: Array) -> Array:
    """How far each unknown may reasonably lie from its estimate, shape (size,).

    Of a state that is three times the range of its path, of a parameter three times the width of its first
    guess or its size, whichever is more; but no more than the standard deviation of what is uniform between
    its bounds, and no less than that of its prior.

    Args:
        problem: The problem.
        path: The estimate, flat, shape (size,).
    """
    blocks, parameters = problem.split(path)
    every = np.concatenate(blocks)
    size, width = np.abs(every).max(axis=0), np.ptp(every, axis=0)
    block = np.where(width > 1e-9 * size, width, size)
    varying = problem.dimension
    first = [q.start[1] - q.start[0] for q in problem.varying]
    block[varying:] = np.maximum(size[varying:], first)
    constants = np.maximum([p.start[1] - p.start[0] for p in problem.constants], np.abs(parameters))
    usual = problem.layout.spread(block, constants)
    usual = WIDE * np.where(usual > 0, usual, scales(problem))
    lower, upper = problem.bounds
    natural = np.minimum(usual, (upper - lower) / np.sqrt(12.0))
    natural = np.where(natural > 0, natural, usual)
    places, _, precision = priors(problem)
    natural[places] = np.maximum(natural[places], 1.001 / np.sqrt(precision))
    return np.asarray(natural)


def in_units(csr: Csr, scale: Array, held: Mask) -> Csr:
    """A full symmetric matrix in units of `scale`; unknowns that are held stand alone, with `HELD`."""
    indptr, indices, values = csr
    kept = np.where(held, 0.0, scale)
    rows = np.repeat(kept, np.diff(np.asarray(indptr)))
    entries = rows * np.asarray(values, dtype=np.float64) * kept[np.asarray(indices)]
    if not held.any():
        return indptr, indices, entries
    matrix = csr_array((entries, indices, indptr), shape=(len(scale),) * 2)
    made = csr_array(matrix + diags_array(np.where(held, HELD, 0.0)))
    return made.indptr, made.indices, made.data


@dataclass(frozen=True)
class Curvature:
    """The Hessian in natural units, its chains eliminated from the last time to the first.

    Attributes:
        chains: The chains of the Cholesky factor.
        schur: Information on the shared parameters, the paths minimized over, shape (P, P).
        lifts: What was lifted in the chains.
        order: Place of each row of the factor in the flat path, shape (size,).
        corner: Largest entry of the Hessian's corner, which `schur` is a difference of.
    """

    chains: tuple[Chain, ...]
    schur: Array
    lifts: tuple[Lift, ...]
    order: Index
    corner: float

    @classmethod
    def of(cls, problem: Problem, csr: Csr, scale: Array, held: Mask) -> Curvature:
        """Eliminate the chains.

        Args:
            problem: The problem.
            csr: The Hessian: row starts, columns, values of the full symmetric matrix.
            scale: Natural scales, shape (size,).
            held: Unknowns that are left out, shape (size,); copies are left out too.

        Raises:
            NotBlockTridiagonalError: It couples times that are more than four apart.
            NotPositiveDefiniteError: An entry is not finite.
        """
        blocks = blocks_of(problem, in_units(csr, scale, held | problem.ties.copied)).reversed()
        chains, schur, lifts = blocks.matrix.lifted(LEAST)
        return cls(chains, schur, lifts, blocks.order, float(np.abs(blocks.matrix.corner).max(initial=0.0)))

    def factor(self, corner: Array) -> Factor:
        """The factor with a Cholesky factor of its own in the border, shape (P, P)."""
        return Factor(self.chains, corner)

    def solve(self, factor: Factor, right: Array) -> Array:
        """Solve with vectors in the order of the flat path, shape (size,) or (size, m)."""
        return InTime(factor, self.order).solve(right)

    def variances(self, factor: Factor) -> Array:
        """Diagonal of the inverse in the order of the flat path, shape (size,)."""
        return InTime(factor, self.order).variances

    @property
    def logdet(self) -> float:
        """Log determinant of the chains."""
        return 2.0 * float(
            sum(np.log(np.diagonal(block)).sum() for chain in self.chains for block in chain.diagonal)
        )

    def rows(self, lift: Lift) -> Index:
        """Places in the flat path of a lift's block."""
        assert lift.chain is not None
        sizes = [[len(block) for block in chain.diagonal] for chain in self.chains]
        begin = sum(map(sum, sizes[: lift.chain])) + sum(sizes[lift.chain][: lift.block])
        return self.order[begin : begin + len(lift.directions)]

    def lifted(self, most: int) -> tuple[Array, list[Lift]]:
        """Directions that were lifted in the chains, those of initial times first.

        Args:
            most: Most of them as vectors.

        Returns:
            Unit vectors, shape (size, at most `most`), and the lifts that are left.
        """

        def later(lift: Lift) -> int:
            assert lift.chain is not None
            return len(self.chains[lift.chain].diagonal) - lift.block

        vectors: list[Array] = []
        rest: list[Lift] = []
        for lift in sorted(self.lifts, key=later):
            if len(vectors) + lift.directions.shape[1] > most:
                rest.append(lift)
                continue
            for direction in lift.directions.T:
                vector = np.zeros(len(self.order))
                vector[self.rows(lift)] = direction
                vectors.append(vector)
        return (np.stack(vectors, axis=1) if vectors else np.zeros((len(self.order), 0))), rest


def moved(response: Array, flat: Array) -> tuple[Array, Array]:
    """What of the spread of all unknowns is movement along some directions.

    Args:
        response: The covariance times the directions, shape (size, f).
        flat: The directions, shape (size, f).

    Returns:
        The part of each variance, shape (size,), and the movement with each direction, the others held, shape
        (size, f).

    Raises:
        NotPositiveDefiniteError: Rounding does not leave the directions apart.
    """
    if not flat.shape[1]:
        return np.zeros(len(flat)), flat
    try:
        lower = cholesky(flat.T @ response, lower=True)
    except LinAlgError:
        place = f"the covariance of the {flat.shape[1]} directions that the data leave open"
        raise NotPositiveDefiniteError(place) from None
    parts = solve_triangular(lower, response.T, lower=True)
    return np.sum(parts**2, axis=0), solve_triangular(lower, parts, lower=True, trans="T").T


def falls(csr: Csr, scale: Array, moves: Array) -> bool:
    """Whether the action falls along one of some directions.

    By more than `LEAST` says is nothing, and by more than the rounding of the Hessian's entries may feign.

    Args:
        csr: The Hessian.
        scale: Natural scales, shape (size,).
        moves: The directions in natural units, shape (size, f).
    """
    steps = moves / np.maximum(np.abs(moves).max(axis=0, initial=0.0), 1e-300)
    whole = csr_array((csr[2], csr[1], csr[0]), shape=(len(scale),) * 2)
    steps = scale[:, None] * steps
    curvature = np.sum(steps * (whole @ steps), axis=0)
    return bool((curvature < -np.maximum(LEAST, 3.0 * rounding(whole, steps))).any())


def rounding(matrix: csr_array, steps: Array) -> Array:
    """Standard deviation of uᵀ H u when each entry of H is off by its last digit.

    Args:
        matrix: H, shape (size, size).
        steps: Directions u, shape (size, m).

    Returns:
        Shape (m,).
    """
    squares = csr_array((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)
    size = np.sum(steps**2 * (squares @ steps**2), axis=0)
    return np.asarray(UNIT_ROUNDOFF * np.sqrt(2.0 * size))
