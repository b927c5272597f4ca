r"""Time-step test: the shift of a minimum if its steps followed the model's exact flow.

A discretization binds neighboring points of a path by its model errors r, the model itself by its flow.
Points that obey the flow leave r = τ, the local errors (`hpcda.search.local_errors`), so that r - τ is the
model error of the flow. To first order in τ the minimum of the action with r - τ in place of r lies at

    X + ΔX,    A'' ΔX = g,    g = Jᵀ Rf s τ + (∂τ/∂X)ᵀ Rf s r,    ΔA = Rf s (½ |τ|² - r·τ) - ½ g·ΔX

with J = ∂r/∂X (deferred correction: V. Pereyra, Numer. Math. 10, 316 (1967); H. J. Stetter, Numer. Math. 29,
425 (1978)).

The shifts are told in posterior standard deviations, of A''⁻¹ for unknowns and √(n/2), n data values and
priors, for the action. Unknowns at a bound stay there. Directions that the data leave open are held by a
Gaussian of one natural scale (`hpcda.search.curvature`), so that the standard deviations of what moves with
them are that wide; the minimum is not moved along them. A point from which the action falls along one of them
is no minimum; there the shift is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.action.blocks import Csr
from hpcda.action.rates import Rates
from hpcda.action.weights import step_weights
from hpcda.linalg.blocktridiagonal import Factor, NotBlockTridiagonalError, lifted_cholesky
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Array, Numbers, Problem
from hpcda.search.curvature import DIRECTIONS, LEAST, Curvature, Mask, falls, moved, natural_scales
from hpcda.search.local_errors import LocalErrors, StepUnknownError

ACTION = "the action"
LARGEST = 0.2
"""Largest shift, in standard deviations, that a step may cause."""
AIM = 0.1
"""Shift that a recommended step may cause."""
MOST_UNKNOWNS, MOST_OPERATIONS = 2e6, 2e11
"""Unknowns, and operations of a factorization, up to which the shift is computed."""


@dataclass(frozen=True)
class StepShift:
    """What the time step does to a minimum: what it would be under the model's own flow, less what it is.

    Attributes:
        action: Shift of the action, in nats.
        scale: √(n/2), the standard deviation of the action.
        parameters: Shift of each shared parameter, in its standard deviations.
        estimates: What each of them is under the flow.
        states: Root mean square over all times of the shift of each unknown of one time, in its standard
            deviations.
        path: ΔX, flat, shape (size,).
        order: Order of the discretization.
        stiff: Whether the model is stiff: steps much longer than its fastest motion do not show the order,
            and shifts of first order are no more than a sign that a step is too long.
    """

    action: float
    scale: float
    parameters: dict[str, float]
    estimates: dict[str, float]
    states: dict[str, float]
    path: Array
    order: int
    stiff: bool = False

    @property
    def largest(self) -> tuple[str, float]:
        """What moves most, and by how many standard deviations."""
        shifts = {ACTION: abs(self.action) / self.scale}
        shifts |= {name: abs(shift) for name, shift in (self.parameters | self.states).items()}
        name = max(shifts, key=lambda one: shifts[one])
        return name, shifts[name]

    @property
    def fine(self) -> bool:
        """Whether no shift is above `LARGEST`."""
        return self.largest[1] <= LARGEST

    @property
    def finer(self) -> float:
        """How many times as many steps bring the largest shift down to `AIM`: it goes as dt to the order."""
        return max(1.0, float((self.largest[1] / AIM) ** (1.0 / self.order)))

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON, without the path."""
        name, shift = self.largest
        return {
            "moves": name,
            "shift": shift,
            "action": self.action,
            "parameters": self.parameters,
            "estimates": self.estimates,
            "states": self.states,
        }


@dataclass(frozen=True)
class TimeStep:
    """Whether the time step is fine enough.

    Attributes:
        shift: What it does to the minimum; None where that is not known.
        enough: The `steps_per_sample` that is enough, where it is too coarse.
        left: What that step does to a minimum that was found there; None where the number follows from the
            order of the discretization alone.
        unknown: Why the shift is not known.
        lost: Whether it is not known because the path is far from any that the model follows.
        stiff: Whether the model is stiff.
    """

    shift: StepShift | None = None
    enough: int | None = None
    left: StepShift | None = None
    unknown: str = ""
    lost: bool = False
    stiff: bool = False

    @property
    def coarse(self) -> bool:
        """Whether it is known to be too coarse."""
        return self.lost or (self.shift is not None and not self.shift.fine)

    @property
    def advice(self) -> str:
        """What to do where it is too coarse, as a sentence."""
        if self.enough is None and self.stiff:
            return (
                "The sufficient number is not known, as the model is stiff: "
                "increase it until the estimates stop changing."
            )
        if self.enough is None:
            return 'The sufficient number is not known: write steps_per_sample = "auto".'
        how = "by the order of the discretization" if self.left is None else "as a minimum there shows"
        return f"steps_per_sample = {self.enough} is enough, {how}."

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        found = {} if self.shift is None else self.shift.record()
        left = None if self.left is None else self.left.largest[1]
        if self.left is not None:
            found["estimates"] = self.left.estimates
        return found | {
            "coarse": self.coarse,
            "enough": self.enough,
            "left": left,
            "unknown": self.unknown,
        }


def described(record: Mapping[str, Any]) -> str:
    """What `TimeStep.record` returned, or the same read back from a file, for people."""
    if record["unknown"]:
        return f"{'too coarse' if record['coarse'] else 'not known'}: {record['unknown']}"
    name = record["moves"]
    to = f" (to {record['estimates'][name]:.5g})" if name in record["estimates"] else ""
    moves = f"it moves {name} by {record['shift']:.2g} standard deviations{to}"
    if name != ACTION:
        moves += f", {ACTION} by {record['action']:.2g}"
    if not record["coarse"]:
        return f"fine enough: {moves}"
    left = (
        "by the order of the discretization"
        if record["left"] is None
        else f"{record['left']:.2g} standard deviations there"
    )
    return f"too coarse: {moves}; steps_per_sample = {record['enough']} is enough ({left})"


def step_shift(action: Action, path: Array, rf: float) -> StepShift:
    """What the time step does to a minimum.

    Args:
        action: The action of a flow.
        path: The minimum, flat, shape (size,).
        rf: Its Rf.

    Raises:
        StepUnknownError: It cannot be told.
        CompilerError: There is no C compiler.
    """
    problem = action.problem
    refuse_large(problem)
    held = at_bound(problem, path)
    pull, squares, stiff = _pull(action, path, rf)
    pull[held] = 0.0
    scale = natural_scales(problem, path)
    try:
        curvature, factor, flat, moves = _factored(problem, action.hessian(path, rf), scale, held)
    except StepUnknownError as error:
        raise StepUnknownError(str(error), stiff) from None
    natural = curvature.solve(factor, scale * pull)
    # Movement along flat directions tells nothing; `moves` has the unit matrix as its product with `flat`.
    shift = scale * (natural - moves @ (flat.T @ natural))
    std = scale * np.sqrt(curvature.variances(factor))
    if not (np.isfinite(shift).all() and np.isfinite(squares)):
        raise StepUnknownError("the shift is not finite")
    shift, std = problem.ties.tied(shift), problem.ties.tied(std)
    relative = np.where(held, 0.0, shift / std)
    blocks, of_constants = problem.split(relative)
    square = np.sum([np.sum(block**2, axis=0) for block in blocks], axis=0)
    times = sum(window.times for window in problem.windows)
    estimates = problem.split(path + shift)[1]
    labels = [constant.label for constant in problem.layout.constants]
    rms = np.sqrt(square / times)
    return StepShift(
        action=float(squares - 0.5 * shift @ pull),
        scale=float(np.sqrt(max(problem.measured + problem.prior_terms, 1) / 2.0)),
        parameters=dict(zip(labels, of_constants.tolist(), strict=True)),
        estimates=dict(zip(labels, estimates.tolist(), strict=True)),
        states=dict(zip(problem.layout.names, rms.tolist(), strict=True)),
        path=shift,
        order=action.structure.scheme.order,
        stiff=stiff,
    )


def _factored(problem: Problem, csr: Csr, scale: Array, held: Mask) -> tuple[Curvature, Factor, Array, Array]:
    """The Hessian at a minimum in natural units, its factor, flat directions, and the movement with each.

    Raises:
        StepUnknownError: The point is no minimum, or the Hessian cannot be factored.
    """
    try:
        found = Curvature.of(problem, csr, scale, held)
        lower, lift = lifted_cholesky(found.schur, LEAST, found.corner)
        factor = found.factor(lower)
        chain, rest = found.lifted(DIRECTIONS)
        shared = np.zeros((problem.size, 0 if lift is None else lift.directions.shape[1]))
        if lift is not None:
            shared[problem.layout.tail] = lift.directions
        flat = np.hstack([shared, chain])
        _, moves = moved(found.solve(factor, flat), flat)
    except (NotBlockTridiagonalError, NotPositiveDefiniteError) as error:
        raise StepUnknownError(f"no error bars to compare it with: {error}") from None
    saddle = falls(csr, scale, np.where(held[:, None], 0.0, moves))
    if saddle or any((one.curvatures < -LEAST).any() for one in rest):
        raise StepUnknownError("the path is not a minimum: the action decreases along a direction")
    return found, factor, flat, moves


def operations(problem: Problem) -> float:
    """Operations of a factorization of the Hessian, to within a small factor."""
    return problem.size * float(problem.layout.block + len(problem.constants)) ** 2


def refuse_large(problem: Problem) -> None:
    """Refuse what would take too long.

    Raises:
        StepUnknownError: It would.
    """
    if problem.size > MOST_UNKNOWNS or operations(problem) > MOST_OPERATIONS:
        raise StepUnknownError(f"a path of {problem.size} unknowns is too large for the comparison")


def at_bound(problem: Problem, path: Array) -> Numbers:
    """Which unknowns lie at one of their bounds, shape (size,)."""
    lower, upper = problem.bounds
    near = 1e-8 * (1.0 + np.abs(path))
    return (path <= lower + near) | (path >= upper - near)


def _pull(action: Action, path: Array, rf: float) -> tuple[Array, float, bool]:
    """Minus the gradient of the action with r - τ in place of r, how far that is above it, stiffness."""
    problem = action.problem
    rates = Rates(action.equations)
    pull, squares, stiff = np.zeros(problem.size), 0.0, False
    for number, window in enumerate(problem.windows):
        local = LocalErrors(action, rates, number, path)
        stiff = stiff or local.stiff
        errors, entries, columns, widths = action.model_errors(number, path)
        weights = step_weights(problem, window)
        precision = rf * np.tile(weights, (1, errors.shape[1] // weights.shape[1]))
        force = precision * local.values
        squares += float(np.sum(force * (0.5 * local.values - errors)))
        products = entries * np.repeat(force, widths, axis=1)
        pull += np.bincount(columns.ravel(), weights=products.ravel(), minlength=problem.size)
        places, slopes = local.gradient(precision * errors)
        pull += np.bincount(places, weights=slopes, minlength=problem.size)
    return problem.ties.gathered(pull), squares, stiff
