r"""How the estimates and standard deviations would change if all model equations held exactly.

The action is a sum of squares, A = ½ Σ ρ². Around a minimum, with the Jacobian J of ρ, the model errors of
state a weighted κ_a times as heavily as they are move the path by the Gauss–Newton step

    δ = -G⁻¹ Σ_a (κ_a - 1) J_aᵀ ρ_a,    G = Jᵀ K J,    K = diag(κ_a, and 1 for all other squares).

κ_a is 1 where the equation binds already. Elsewhere it is so large that an error of 10⁻⁴ of the state's
motion costs half a nat, or, to keep rounding errors out, so small that one of 10⁻⁵·⁵ still does. What is left
of the errors falls as 1/κ (`hpcda.search.plateau`), so that the rest of the way to κ = ∞ is

    -G⁻¹ Σ_a κ_a J_aᵀ (ρ_a + J_a δ).

By linearity the whole shift is a sum over the states: what each one's model errors do to the estimates. G⁻¹
holds the variances of paths that obey the equations, (JᵀJ)⁻¹ those of the ensemble's paths; both come from
the block-tridiagonal factor (`hpcda.action.blocks`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array

from hpcda.action import Action
from hpcda.action.blocks import InTime, blocks_of
from hpcda.action.residuals import Residuals
from hpcda.action.weights import loosest
from hpcda.annealing.scale import scales
from hpcda.problem import Array, Problem
from hpcda.search.obeyed import SHIFT, WIDER, Equation, Obedience

Index = npt.NDArray[np.int64]

BINDING, MOST = 1e8, 1e11
"""Rf s (motion)² from which an equation is taken for binding, and up to which it is computed with: the rest
is extrapolated. More would drown the data in rounding errors."""
SLOW = 1e-3
"""Part of a state's value that counts as its motion where it hardly moves."""
FINE = 0.1
"""Part of a state's standard deviation that does, at least."""
WIDE = 1e3
"""Width of a prior that keeps directions finite which the data leave open, in units of the first guess."""
ROUNDING = 1e-15
"""Part of a diagonal entry that rounding may take away."""
HELD = 1e-6
"""Distance to a bound, in units of the first guess, from which an unknown may be held by it."""
MANY = 2e7
"""Numbers that the shifts of several states may hold at once."""


@dataclass(frozen=True)
class _Squares:
    """The sum of squares at a path.

    Attributes:
        values: ρ, shape (M,).
        slopes: J, shape (M, size).
        state: Of each square that is a model error the position of its state, else -1, shape (M,).
    """

    values: Array
    slopes: csr_array
    state: Index

    def weights(self, kappa: Array) -> Array:
        """K, of κ of each state, shape (M,)."""
        return np.where(self.state >= 0, kappa[self.state], 1.0)

    def pull(self, weights: Array, values: Array, states: Index | None = None) -> Array:
        """Jᵀ (weights · values) of the model errors, shape (size,); or of some states, (size, states)."""
        pulled = np.where(self.state >= 0, weights * values, 0.0)
        if states is None:
            return np.asarray(self.slopes.T @ pulled)
        return np.asarray(self.slopes.T @ np.where(self.state[:, None] == states, pulled[:, None], 0.0))


def obedience(action: Action, path: Array, rf: float) -> Obedience:
    """How the equations of all states are obeyed at a minimum.

    Args:
        action: The action.
        path: The minimum, flat, shape (size,).
        rf: Rf there.

    Raises:
        NotPositiveDefiniteError: The path holds numbers that are not finite.
        NotBlockTridiagonalError: The action couples times that are far apart.
    """
    problem = action.problem
    squares = _squares(action, path, rf)
    precision = rf * loosest(problem)
    own = _motions(problem, path)
    relaxed = np.minimum(1.0, MOST / np.maximum(precision * own**2, MOST))
    weak = np.sqrt(_factor(problem, squares, squares.weights(relaxed)).variances)
    bound = precision * np.maximum(own, FINE * _per_state(problem, weak, _rms).min(axis=0)) ** 2
    kappa = np.clip(bound, BINDING, MOST) / bound
    weights = squares.weights(kappa)
    held = _held(problem, path, squares.pull(weights, squares.values))
    factor = _factor(problem, squares, weights, held)
    exact = np.sqrt(factor.variances)
    free = np.where(held, 0.0, 1.0)
    step = -factor.solve(free * squares.pull(weights - 1.0, squares.values))
    rest = squares.values + squares.slopes @ step
    whole = step - factor.solve(free * squares.pull(weights, rest))
    deviations = np.where(held, np.inf, exact)
    moved, shift = _largest(problem, whole[:, None] / deviations[:, None])
    shifts = np.zeros(problem.dimension)
    if not shift[0] <= SHIFT:
        at_once = max(1, int(MANY / problem.size))
        for begin in range(0, problem.dimension, at_once):
            states = np.arange(begin, min(begin + at_once, problem.dimension))
            pulled = squares.pull(weights - 1.0, squares.values, states) + squares.pull(weights, rest, states)
            shifts[states] = _largest(problem, -factor.solve(free[:, None] * pulled) / deviations[:, None])[1]
        if shifts.max() <= SHIFT:
            shifts[shifts == shifts.max()] = shift[0]
    loose, tight = (_per_state(problem, np.where(held, 0.0, std), _rms) for std in (weak, exact))
    wider = np.where(tight > 0.0, loose, 1.0) / np.where(tight > 0.0, tight, 1.0)
    return Obedience(
        _equations(problem, action, squares, path, precision, shifts, wider, tight),
        float(shift[0]),
        moved,
    )


def _squares(action: Action, path: Array, rf: float) -> _Squares:
    residuals, problem = Residuals(action), action.problem
    values, slopes = residuals.evaluate(path, rf)
    scheme = action.structure.scheme
    state = []
    for number, window in enumerate(problem.windows):
        errors = (window.times - 1) // scheme.span * scheme.errors
        walks = sum(len(walk.places) for walk in problem.walks if walk.window == number)
        state.append(np.full(int(np.isfinite(window.data).sum()), -1))
        state.append(np.tile(np.arange(problem.dimension), errors))
        state.append(np.full(walks, -1))
    state.append(np.full(len(action.priors[0]), -1))
    shape = (residuals.count, problem.size)
    return _Squares(
        values, csr_array((slopes, residuals.indices, residuals.indptr), shape=shape), np.concatenate(state)
    )


def _factor(
    problem: Problem, squares: _Squares, weights: Array, held: npt.NDArray[np.bool_] | None = None
) -> InTime:
    """Factor of Jᵀ K J, with what is held taken out."""
    weighted = squares.slopes.multiply(weights[:, None]).tocsr()
    matrix = squares.slopes.T @ weighted
    diagonal = matrix.diagonal()
    slack = (WIDE * scales(problem)) ** -2.0 + ROUNDING * diagonal
    if held is None:
        matrix = matrix + diags_array(slack)
    else:
        keep = diags_array(np.where(held, 0.0, 1.0))
        matrix = keep @ matrix @ keep + diags_array(np.where(held, 1.0, slack))
    whole = csr_array(matrix)
    blocks = blocks_of(problem, (whole.indptr, whole.indices, whole.data))
    return InTime(blocks.matrix.cholesky(), blocks.order)


def _held(problem: Problem, path: Array, gradient: Array) -> npt.NDArray[np.bool_]:
    """Unknowns that lie at a bound, and that exact equations would push out of it."""
    (lower, upper), near = problem.bounds, HELD * scales(problem)
    low, high = path <= lower + near, path >= upper - near
    return np.asarray((low & (gradient >= 0.0)) | (high & (gradient <= 0.0)))


def _motions(problem: Problem, path: Array) -> Array:
    """How much each state moves, in the window where it moves least, shape (D,).

    Of a state that hardly moves, a thousandth of its value or of its motion in another window.
    """
    own = np.maximum(_per_state(problem, path, np.std), SLOW * _per_state(problem, path, _rms))
    return np.asarray(np.maximum(own.min(axis=0), SLOW * own.max(axis=0)))


def _rms(values: Array, axis: int) -> Array:
    return np.asarray(np.sqrt(np.mean(values**2, axis=axis)))


def _per_state(problem: Problem, flat: Array, measure: object) -> Array:
    """A measure over the times of each window, of each state, shape (windows, D)."""
    blocks, _ = problem.split(flat)
    assert callable(measure)
    return np.array([measure(block[:, : problem.dimension], axis=0) for block in blocks])


def _largest(problem: Problem, shifts: Array) -> tuple[str, Array]:
    """Largest shift of an estimate, of each column: shape (size, n) -> name of the first column's, (n,).

    Estimates are the parameters, and each unknown that varies in time over one window, by its root mean
    square.
    """
    layout = problem.layout
    blocks = [_rms(shifts[layout.points(window)], axis=0) for window in range(len(problem.windows))]
    estimates = np.concatenate([*blocks, np.abs(shifts[layout.tail])])
    names = [*(layout.names * len(problem.windows)), *(constant.label for constant in layout.constants)]
    return names[int(np.argmax(estimates[:, 0]))], np.asarray(estimates.max(axis=0))


def _equations(
    problem: Problem, action: Action, squares: _Squares, path: Array, precision: Array,
    shifts: Array, wider: Array, exact: Array,
) -> tuple[Equation, ...]:  # fmt: skip
    """One record a state."""
    span = action.structure.scheme.span
    allowed = precision**-0.5
    errors, motions, begin = [], [], 0
    own = squares.values[squares.state >= 0].reshape(-1, problem.dimension) * allowed
    for window, block in zip(problem.windows, problem.split(path)[0], strict=True):
        count = (window.times - 1) // span * action.structure.scheme.errors
        errors.append(_rms(own[begin : begin + count], axis=0))
        motions.append(_rms(np.diff(block[::span, : problem.dimension], axis=0), axis=0))
        begin += count
    steps = np.array([[(window.times - 1) // span] for window in problem.windows])
    free = (wider > WIDER) & (np.sqrt(steps) * allowed > 0.5 * exact)
    error, motion = np.array(errors), np.array(motions)
    ratio = error / np.where(motion > 0.0, motion, np.inf)
    found = []
    for k, name in enumerate(problem.model.state_names):
        worst = int(np.argmax(np.where(free[:, k], wider[:, k], ratio[:, k] / (1.0 + ratio[:, k]))))
        found.append(
            Equation(
                state=name,
                window=worst,
                error=float(error[worst, k]),
                motion=float(motion[worst, k]),
                allowed=float(allowed[k]),
                shift=float(shifts[k]),
                wider=float(wider[worst, k]),
                obeyed=bool(shifts[k] <= SHIFT and not free[:, k].any()),
            )
        )
    return tuple(found)
