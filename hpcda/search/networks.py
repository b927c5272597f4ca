"""The search of a network job at Rf = ∞: trainings take turns.

The search ends where starts that know nothing of each other came to the lowest level, that level is what
noise alone makes of the data, and beginning anew from its network found nothing lower; else where its starts
or its seconds are over.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpcda.action import Parts
from hpcda.action.factors import DataLoss
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import Rung, Task
from hpcda.problem import Array, Numbers
from hpcda.search.conclusion import Conclusion
from hpcda.search.evidence import Evidence
from hpcda.search.expected import Expected
from hpcda.search.judge import Ends, Facts, judge
from hpcda.search.levels import distinct
from hpcda.search.plan import Found, Listed, Round, Share
from hpcda.search.training import NetworkContext, Training
from hpcda.search.trainings import TRAININGS

LAST = ExactSettings(500)
"""Limits of the descent of a start."""
SAME = 1e-4
"""Relative distance of actions that are one level."""
HITS, PROBES = 2, 2
"""Starts that came to the lowest level, and starts from it that came to none lower, which end a search."""
DEVIATIONS = 2.0
"""χ² deviations above what noise leaves up to which a level is noise's own."""
FEWEST = 10
"""Starts of a search in whose first round those end that fall too slowly to come to the level of noise."""
MOST_WORK = 1e12
"""Operations that a training of a search may take: about a minute of a core."""
NEAR, FAVOR = 0.01, 2.0
"""Part of the lowest action within which a training has succeeded, and how often it then comes."""
ROUNDS, WIDEST = (2, 3, 4, 6, 9, 12, 18), 24
"""Starts of the first rounds, and of all that follow."""


def searched(network: Network, trainings: Collection[Training] | None = None) -> list[Training]:
    """The trainings that a search takes in turn: those that fit, and take no more than `MOST_WORK`.

    Where all take more, the one that takes least.

    Args:
        network: The network and its pairs.
        trainings: Those that there are; by default all.
    """
    known = TRAININGS.values() if trainings is None else trainings
    fitting = [one for one in known if one.fits(network)]
    quick = [one for one in fitting if one.work(network) <= MOST_WORK]
    anew = [one for one in fitting if not one.parents]
    return quick if any(not one.parents for one in quick) else [min(anew, key=lambda one: one.work(network))]


@dataclass(frozen=True)
class NetworkBudget:
    """When a search ends.

    Attributes:
        starts: Most starts.
        seconds: Core-seconds after which no round begins; infinite for none.
        verdict: Whether it ends where it has settled.
    """

    starts: int
    seconds: float = math.inf
    verdict: bool = True


def turns(
    trainings: Sequence[Training],
    network: Network,
    taken: Mapping[str, int] | None = None,
    favored: Collection[str] = (),
) -> Iterator[Training]:
    """Trainings without end: each in proportion to one over the root of its work.

    Where the one that succeeds is not known, that wastes little on those that take long, and does not leave
    them out; one that needs a network comes after one that does not. After the first turns of all, those that
    have succeeded come `FAVOR` times as often.

    Args:
        trainings: The trainings.
        network: The network and its pairs.
        taken: Name of a training -> turns that it had before.
        favored: Names of those that have succeeded.
    """
    before = taken or {}
    all_tried = all(one.name in before for one in trainings)
    favor = [FAVOR if all_tried and one.name in favored else 1.0 for one in trainings]
    weight = [max(one.work(network), 1.0) ** 0.5 / often for one, often in zip(trainings, favor, strict=True)]
    count = [before.get(one.name, 0) for one in trainings]
    ready = [not one.parents or any(count) for one in trainings]
    while True:
        places = [k for k in range(len(trainings)) if ready[k]]
        k = min(places, key=lambda k: ((count[k] + 1) * weight[k], k))
        count[k] += 1
        ready = [True] * len(trainings)
        yield trainings[k]


def successful(found: Sequence[Found]) -> set[str]:
    """Trainings that came to within `NEAR` of the lowest action, and lower than from where they began.

    Args:
        found: Starts that have ended.
    """
    action = {one.start: one.action for one in found if not one.failed}
    if not action:
        return set()
    low = min(action.values())
    reached = low + NEAR * abs(low)
    return {
        one.way
        for one in found
        if not one.failed
        and one.action <= reached
        and all(action[parent] > reached for parent in one.parents if parent in action)
    }


class NetworkSearch:
    """The starts of a search, a `Plan`: trainings in turn, those that need a network from the lowest.

    Args:
        network: The network and its pairs.
        budget: When it ends.
        share: The share of all starts that `budget.starts` counts; by default all of them.
        trainings: The trainings that it takes; by default all that fit the network.

    Attributes:
        cap: See `Plan`: where the verdict ends the search, the lowest action found, or, in the first round of
            a search of `FEWEST` starts or more, the most that noise leaves of the data.
    """

    informed = True

    def __init__(
        self,
        network: Network,
        budget: NetworkBudget,
        share: Share | None = None,
        trainings: Collection[Training] | None = None,
    ) -> None:
        self._network, self._budget, self._share = network, budget, share or Share()
        self._trainings = searched(network, trainings)
        self._given = self._rounds = 0
        self.cap = math.inf

    def replay(self, starts: int, cap: float) -> None:
        """See `Plan`."""
        self._given += starts
        self._rounds += 1
        self.cap = cap

    def next(self, found: Sequence[Found]) -> Round | None:
        """See `Plan`."""
        ended = [one for one in found if not one.failed]
        spent = sum(one.seconds for one in found)
        if self._given >= self._budget.starts or spent >= self._budget.seconds:
            return None
        if self._budget.verdict and settled(self._network, found):
            return None
        size = ROUNDS[self._rounds] if self._rounds < len(ROUNDS) else WIDEST
        end = min(self._given + size, self._budget.starts)
        taken, favored = Counter(one.way for one in found), successful(found)
        order = turns(self._trainings, self._network, taken, favored)
        tasks = [
            self._task(position, training, ended)
            for position, training in zip(range(self._given, end), order, strict=False)
        ]
        self.replay(len(tasks), self._cap(ended) if self._budget.verdict else math.inf)
        return Listed(tasks)

    def _cap(self, ended: Sequence[Found]) -> float:
        """The lowest action so far; before there is one, the most that noise leaves of the data."""
        if ended:
            low = min(one.action for one in ended)
            return low + SAME * abs(low)
        if isinstance(self._network.output, DataLoss) or self._budget.starts < FEWEST:
            return math.inf
        inputs = 0 if self._network.input_std is None else self._network.inputs.size
        values = int(self._network.measured.sum()) + inputs
        return 0.5 * values + DEVIATIONS * math.sqrt(0.5 * values)

    def _task(self, position: int, training: Training, ended: Sequence[Found]) -> Task:
        number = self._share.number(position)
        if training.parents and not ended:
            training = next(one for one in self._trainings if not one.parents)
        if not training.parents:
            return Task(number, training.name)
        lowest = distinct(ended)[0]  # the first start that came there: its weights are kept on every world
        return Task(number, training.name, parents=(lowest.start,) * training.parents)


def settled(network: Network, found: Sequence[Found]) -> bool:
    """Whether the judge calls the lowest level stable.

    Args:
        network: The network and its pairs.
        found: Starts that have ended.
    """
    return judged(network, Ends.of(found, 1))[0].stable


def judged(
    network: Network,
    ends: Ends,
    predicted: float | None = None,
    complete: float = 1.0,
    expected: Expected | None = None,
    minima: Sequence[Numbers] | None = None,
) -> tuple[Conclusion, Evidence]:
    """What the judge says of a network at Rf = ∞.

    Where there are no more output values than weights, a prior alone says what the others are: the pairs do
    not determine the network. A pair of categories counts once.

    Args:
        network: The network and its pairs.
        ends: How its starts ended.
        predicted: Error of outputs of held-out pairs, over the noise; None where there are none.
        complete: Share of the starts asked for that have ended; 1 where their number was not fixed.
        expected: What noise alone makes of the measurement part, where it is not Gaussian of known width; by
            default it is not known.
        minima: Rows of `ends` that came to each minimum; by default the judge tells them apart.
    """
    if isinstance(network.output, DataLoss):
        expected = expected or Expected(0.0, 0.0, known=False)
    inputs = 0 if network.input_std is None else network.inputs.size
    absent = int((~network.known).sum())
    outputs = int(network.measured.sum())
    facts = Facts(
        outputs + inputs - absent,
        network.weights + inputs,
        network.prior_terms + absent,
        np.array([np.inf]),
        expected,
        complete,
        predicted,
        confirms=lambda evidence: confirmed(network, evidence),
    )
    conclusion, evidence = judge(ends, facts, minima)
    joint = isinstance(network.output, DataLoss) and network.output.loss.joint
    if conclusion.stable and (network.pairs if joint else outputs) <= network.weights:
        conclusion = Conclusion.NOT_ENOUGH_MEASUREMENTS
    return conclusion, evidence


def confirmed(network: Network, evidence: Evidence) -> bool:
    """Whether a level is noise's own, was found anew, and nothing lower was found from it.

    Wrong minima of a network are many and differ from start to start: that starts which know nothing of each
    other end at the same one is rare.
    """
    anew = sum(one.hits for one in evidence.hits.values() if one.anew)
    possible = any(training.parents for training in searched(network))
    if anew < HITS or (possible and evidence.probed < PROBES):
        return False
    return evidence.whole is None or evidence.whole <= DEVIATIONS


@dataclass(frozen=True)
class Trained:
    """A network that a start came to.

    Attributes:
        theta: Its weights in canonical form, flat.
        parts: Its action by terms.
        way: The training.
        reason: Why its descent ended.
        seconds: CPU seconds that it took.
    """

    theta: Array
    parts: Parts
    way: str
    reason: Reason
    seconds: float


def train(network: Network, seconds: float = 60.0, starts: int = 100, seed: int = 0) -> list[Trained]:
    """Search for the lowest action in this process; what all starts came to, lowest first.

    Args:
        network: The network and its pairs; `Network.start` is the range of first weights.
        seconds: CPU seconds after which no start begins.
        starts: Most starts.
        seed: What is random follows from it.

    Raises:
        InputError: An activation cannot be differentiated, or a training gives no weights.
        CompilerError: No C compiler, or no place for compiled code.
    """
    context, plan = NetworkContext(network), NetworkSearch(network, NetworkBudget(starts))
    trained: dict[int, Trained] = {}
    found: list[Found] = []
    end = time.process_time() + seconds
    while time.process_time() < end and (tasks := plan.next(found)) is not None:
        context.cap = plan.cap
        limits = replace(LAST, interest=plan.cap)
        for task in (tasks.task(position) for position in range(len(tasks))):
            began = time.process_time()
            if began >= end:
                break
            rng = np.random.default_rng([seed, task.start])
            theta, _ = context.draw(task, [trained[parent].theta for parent in task.parents], rng)
            last = descend(context.action, theta, limits)
            one = Trained(
                context.canonical(last.path), last.parts, task.way, last.reason, time.process_time() - began
            )
            trained[task.start] = one
            found.append(_found(task, last, one.seconds, context.sketch(one.theta)))
    return sorted(trained.values(), key=lambda one: one.parts.total)


def _found(task: Task, last: Rung, seconds: float, sketch: Array) -> Found:
    return Found(
        task=task,
        end=last.at(0, seconds).bare,
        levels=np.array([last.action]),
        model=np.zeros(1),
        sketch=sketch,
        same_as=task.start,
        failed=last.reason.failed,
        opening=0,
        iterations=0,
        seconds=seconds,
    )


def levels(found: list[Trained]) -> Iterator[tuple[float, int]]:
    """Actions that differ, lowest first, and how many starts came to each."""
    rest = [one.parts.total for one in found]
    while rest:
        own = [value for value in rest if value <= rest[0] + SAME * abs(rest[0])]
        yield own[0], len(own)
        rest = rest[len(own) :]
