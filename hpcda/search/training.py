"""Defines `Training`: how a network's weights are initialized before they descend at Rf = ∞."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError

from hpcda.action.dealt import ALONE, Ranks
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.graph import GraphAction
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.layered.krylov import MOST, Krylov
from hpcda.annealing.layered.states import States
from hpcda.annealing.record import Rung, Task
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array
from hpcda.search.canonical import canonical
from hpcda.search.merge import RandomSums
from hpcda.search.pruning import pruned
from hpcda.search.streams import narrowable
from hpcda.userfile import called

FIRST, BETWEEN = ExactSettings(200), ExactSettings(25)
"""Limits of the descent of a wider network, and of one between two units that are taken out of it."""
HOPELESS = 3.0
"""Part of the lowest action above which a network that is wider is not worth its pruning."""
FINITE = Ladder(1.0, 10.0, 8)
"""Rungs of finite Rf where a job names none."""
STEPS = 100
"""Steps of a descent from far away, where nothing is known of it."""


class NetworkContext:
    """What trainings may use; to an ensemble it is the counterpart of `hpcda.search.context.SearchContext`.

    Args:
        network: The network and its pairs.
        ladder: The ladder, whose last rung is at infinity.
        ranks: The ranks over which the pairs are distributed.
        finite: Ladder of finite Rf for trainings that anneal first.

    Attributes:
        network: The network.
        ladder: The ladder.
        finite: Rungs of finite Rf.
        action: Its action at Rf = ∞.
        meanwhile: Called now and then during a training, for messages and time limits; it must not change the
            result.
        cap: Action above which a network is not worth further work, see `hpcda.search.plan.Plan`.
        begun: Fraction of the training that is done, 0 to 1, where the training reports it.
    """

    meanwhile: Callable[[], object]
    cap: float

    def __init__(
        self,
        network: Network,
        ladder: Ladder | None = None,
        ranks: Ranks = ALONE,
        finite: Ladder = FINITE,
    ) -> None:
        self.network, self.finite = network, finite
        self.ladder = ladder or Ladder.at_infinity()
        self.action = ExactNetwork(network, ranks)
        self.meanwhile = lambda: None
        self.cap = np.inf
        self.begun = 0.0
        measured = [own[np.isfinite(own)] for own in network.outputs.T]
        spread = np.array([np.std(own) if len(own) else 0.0 for own in measured])
        scale = np.where(spread > 0.0, spread, 1.0) * np.ones(network.outputs.shape)
        self._sums = RandomSums(scale.ravel())

    @cached_property
    def graph(self) -> GraphAction:
        """The action at finite Rf, of units and weights."""
        return self.network.action()

    @property
    def size(self) -> int:
        """Number of weights and biases."""
        return self.action.size

    def draw(self, task: Task, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
        """Initial weights of a start, shape (size,), and its first rung, always 0.

        Raises:
            InputError: The training returns an array of another shape, or raises an exception.
        """
        from hpcda.search.trainings import TRAININGS

        place, training = f"training {task.way!r}", TRAININGS[task.way]
        theta = np.asarray(called(training.weights, place, self, minima, rng), dtype=np.float64)
        if theta.shape != (self.size,):
            problem = f"gives an array of shape {theta.shape}"
            raise InputError(Mistake(place, problem, f"return {self.size} numbers"))
        return theta, 0

    def refuse(self, way: str, seed: int) -> None:
        """Refuse a training that does not fit the network, and first weights from which none can descend.

        Args:
            way: Name of the training, or "auto".
            seed: Seed of the ensemble.

        Raises:
            InputError: It does not fit, or the action there is not finite or does not depend on the weights.
        """
        from hpcda.search.trainings import TRAININGS

        names = [one.name for one in TRAININGS.values() if one.fits(self.network) and not one.parents]
        if way != "auto" and way not in names:
            needs = (
                "starts from networks found by others" if TRAININGS[way].parents else "needs hidden layers"
            )
            if self.network.continuum is not None and not TRAININGS[way].fits(self.network):
                needs = "does not fit a network whose layers integrate a field"
            remedy = f'use "auto", or one of: {", ".join(names)}'
            raise InputError(Mistake("ensemble.way", f"{way!r} {needs}", remedy))
        first = self.first_weights(self.action, np.random.default_rng([seed, 0]))
        value, gradient = self.action.gradient(first)
        if not np.isfinite(value):
            problem = "the action of the first weights is not finite"
            remedy = "narrow it, standardize the inputs, or give an output_activation whose values the loss "
            remedy += 'takes, such as "softplus" for counts'
            raise InputError(Mistake("network.start", problem, remedy))
        if not np.any(gradient):
            problem = "the action does not depend on the initial weights"
            raise InputError(Mistake("network.start", problem, "give a wider range, or another activation"))

    def sketch(self, theta: Array) -> Array:
        """What is kept of weights, by which networks are compared: random sums of their outputs."""
        return self._sums(self.action.outputs(theta).ravel())

    def recorded(self, theta: Array) -> Array:
        """What is stored of weights at every rung: the norm of each W and of each b, shape (2 layers,)."""
        layers = self.action.matrices(theta)
        return np.array([float(np.linalg.norm(part)) for layer in layers for part in layer])

    def canonical(self, theta: Array) -> Array:
        """The canonical form of weights."""
        return canonical(self.action, theta)

    def representative(self, theta: Array) -> Array:
        """The weights that stand for all of the same network: themselves, since descents end in that form."""
        return theta

    def first_weights(self, action: ExactNetwork, rng: np.random.Generator) -> Array:
        """Weights and biases drawn evenly from `Network.start`, after noisy inputs at their data.

        Those of a field are the same at all times.
        """
        drawn = rng.uniform(*self.network.start, action.size - action.inputs)
        return action.first(action.network.alike(drawn))

    def wider(self, inner: Sequence[int]) -> ExactNetwork:
        """The same network with other hidden layers."""
        widths = self.network.widths
        return self.action.of(replace(self.network, widths=(widths[0], *inner, widths[-1])))

    def fitted(self, wider: ExactNetwork, theta: Array, interest: float) -> Rung:
        """The descent of a wider network, which ends where it falls too slowly to come to an action."""
        self.meanwhile()
        return descend(wider, theta, replace(FIRST, elimination=_direct(wider), interest=interest))

    def narrowed(self, wider: ExactNetwork, theta: Array, before: int = 0) -> Array:
        """The weights that are left of a wider network, whose units are taken out one after the other.

        They are NaN, with which a start fails, where the wider network's matrix is not finite. Others do not
        make up for them by more than one step where the wider network is hopeless.

        Args:
            wider: The wider network.
            theta: Its weights.
            before: Descents of such networks that were needed before; they count as done.
        """
        first = self.fitted(wider, theta, self.cap)
        fitted, hopeless = first.path, first.parts.total > HOPELESS * self.cap
        widths = wider.network.widths
        self.begun = _narrowed_part(self.network, widths, before + 1, widths)

        def fit(action: ExactNetwork, theta: Array) -> Array:
            self.begun = _narrowed_part(self.network, widths, before + 1, action.network.widths)
            self.meanwhile()
            return (
                theta
                if hopeless
                else descend(action, theta, replace(BETWEEN, elimination=_direct(action))).path
            )

        try:
            return pruned(wider, fitted, self.network.widths, fit)[1]
        except LinAlgError:
            return np.full(self.size, np.nan)


@dataclass(frozen=True)
class Training:
    """A training: how the initial weights of a network are made.

    Attributes:
        name: The value of `ensemble.way` in a network job.
        sentence: Description in one line, for people.
        weights: (context, weights of the parent networks, each of shape (size,), rng) -> initial weights,
            shape (size,).
        parents: Number of parent networks: 0, or 1 for the lowest found so far.
        fits: (network) -> whether it can be used for the network.
        work: (network) -> operations of the training and the descent after it. A search leaves out trainings
            that need too many, unless no other fits.
        climbs: Whether it anneals along the finite rungs of the job, `NetworkContext.finite`.
        reports: Whether it reports its progress in `NetworkContext.begun`.
        place: Position in lists; a search takes trainings in this order, in turn.
    """

    name: str
    sentence: str
    weights: Callable[[NetworkContext, Sequence[Array], np.random.Generator], Array]
    parents: int = 0
    fits: Callable[[Network], bool] = lambda network: True
    work: Callable[[Network], float] = lambda network: 0.0
    climbs: bool = False
    reports: bool = False
    place: int = 100


def _direct(action: ExactNetwork) -> str:
    """The elimination of a descent that goes on where the matrix is hardly determined.

    Conjugate gradients take all the products there that they may, not those that they usually take.
    """
    states, krylov = States(action).cost, Krylov(action)
    quick = states.fits and states.seconds <= MOST / krylov.usual * krylov.cost.seconds
    return States.__name__.lower() if quick else "auto"


def step_work(network: Network) -> float:
    """Operations of a Gauss-Newton step: a product over the pairs, and a Cholesky factorization."""
    size = float(network.weights)
    return 2.0 * network.pairs * size**2 + size**3 / 3.0


def pass_work(network: Network) -> float:
    """Operations of a gradient, a pass forward and back, counted as slow as they are beside products."""
    return 12.0 * network.pairs * float(network.weights)


def narrowing_steps(network: Network, widths: Sequence[int]) -> int:
    """Steps of the descents between the units that are taken out of a wider network."""
    return BETWEEN.max_iterations * (sum(widths) - sum(network.widths))


def _narrowed_part(network: Network, wider: Sequence[int], descents: int, widths: Sequence[int]) -> float:
    """The part of `NetworkContext.narrowed` that is done when a network of these widths is left, 0 to 1."""
    first, total = descents * STEPS, narrowing_steps(network, wider)
    return (first + total - narrowing_steps(network, widths)) / (first + total)


def narrowing_work(network: Network, inner: Sequence[int]) -> float:
    """Operations of `NetworkContext.narrowed` from hidden layers of these widths."""
    widths = (network.widths[0], *inner, network.widths[-1])
    return (STEPS + narrowing_steps(network, widths)) * step_work(replace(network, widths=widths))


def narrows(network: Network, inner: Sequence[int]) -> bool:
    """Whether there are hidden layers, to which those of the widths `inner` can be narrowed."""
    if network.continuum is not None:
        return False
    wider = replace(network, widths=(network.widths[0], *inner, network.widths[-1]))
    return len(network.widths) > 2 and narrowable(wider, network.widths)
