"""``hpcda check`` of a network job: describes it, tests its derivatives and estimates its cost.

The cost is that of a trial on one rank: the first start begins and descends for about `SECONDS` of CPU each
at most; a training that goes on for longer tells which part of it is done by then. Of ranks that share the
pairs of a start it is what their shares are by the counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from hpcda.action import Verification, verify
from hpcda.action.dealt import refuse_ranks
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.verify import Total
from hpcda.annealing import Rung, Task
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.layered import PETSC, chosen, of_package, sentence
from hpcda.build import BuiltNetwork, build_network, refuse_used
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted, run_lengths, short_time, size_of
from hpcda.job import NetworkJob
from hpcda.problem import Array, Numbers
from hpcda.progress import duration
from hpcda.search.training import NetworkContext
from hpcda.search.trainings import TRAININGS

SECONDS = 10.0
BASE_MEMORY = 1.5e8
"""Bytes that Python and MPI take on every rank."""
MOST_VERIFIED = 3000
"""Weights up to which derivatives are checked."""
AFTER = 30
"""Iterations that are told of a descent not seen to its end, after a training that comes near it."""
TRIED = 5
"""Iterations of a first trial, which tells how many fit into `SECONDS`."""


@dataclass(frozen=True)
class CheckedNetwork:
    """What the check found.

    Attributes:
        built: The network.
        verification: The derivative check where a start begins; None where the network is too large for it.
        step: Seconds of an iteration.
        start: Seconds of a small start.
        iterations: Its iterations, as far as it came.
        begins: Seconds of these that its first weights take.
        shared: What one of the ranks that share the pairs of a start takes of these seconds, by the counts.
        total: Core-seconds of all starts, if each took as long.
        memory: Bytes on every rank.
        disk: Bytes of the results.
        elimination: How steps are computed, as a sentence.
        notes: What the user should know, one sentence each.
    """

    built: BuiltNetwork
    verification: Verification | None
    step: float
    start: float
    iterations: int
    begins: float
    shared: float
    total: float
    memory: float
    disk: float
    elimination: str
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the derivatives are right, as far as they were checked."""
        return self.verification is None or self.verification.ok


class _Dense:
    """An exact network as `verify` sees an action."""

    def __init__(self, action: ExactNetwork) -> None:
        self._action, self.size = action, action.size

    def gradient(self, path: Array, rf: float) -> tuple[Total, Array]:
        value, gradient = self._action.gradient(path)
        return _Value(value), gradient

    def hessian(self, path: Array, rf: float) -> tuple[Numbers, Numbers, Array]:
        size = self.size
        return (
            size * np.arange(size + 1),
            np.tile(np.arange(size), size),
            self._action.derivatives(path)[2].ravel(),
        )

    def sizes(self, path: Array) -> Array:
        return np.full(self.size, max(float(np.abs(path).max()), 1e-3))


@dataclass(frozen=True)
class _Value:
    total: float


def check_network(job: NetworkJob, fresh: bool = True) -> CheckedNetwork:
    """Build the network of a job, check its derivatives and estimate its cost.

    Args:
        job: The job.
        fresh: Refuse an output directory that holds a run.

    Raises:
        InputError: The job or its data hold mistakes, or its output directory holds a run.
    """
    mistakes: list[Mistake] = []
    try:
        if fresh:
            refuse_used(job.output_directory)
    except InputError as error:
        mistakes += error.mistakes
    try:
        built = build_network(job)
        refuse_ranks(built.network.pairs, job.ensemble.ranks_per_start)
        context = NetworkContext(built.network, finite=job.ladder.finite)
        context.refuse(job.ensemble.way, job.ensemble.seed)
    except InputError as error:
        raise InputError([*error.mistakes, *mistakes]) from None
    if mistakes:
        raise InputError(mistakes)
    action, notes = context.action, list(built.notes)
    theta = context.first_weights(action, np.random.default_rng([job.ensemble.seed, 0]))
    way, ranks = of_package(job.solver.elimination), job.ensemble.ranks_per_start
    elimination = chosen(action, way)
    cost = elimination.cost.on(action.deal.pairs, ranks)
    verification = None
    if action.size <= MOST_VERIFIED:
        verification = verify(_Dense(action), theta, np.inf)
    else:
        notes.append(
            f"The derivatives were not checked: {action.size} weights are more than {MOST_VERIFIED}."
        )
    if job.solver.elimination == PETSC:
        notes.append("Steps were timed without PETSc, which performs the same operations.")
    settings = ExactSettings(TRIED, elimination=way)
    began = _begun(context, job)
    point = theta if began.theta is None else began.theta
    first, tried = _timed(action, point, settings)
    step = first / max(tried.factorizations, 1)
    more = int(min(job.solver.max_iterations, (SECONDS - first) / step))
    seconds, found = _timed(action, point, replace(settings, max_iterations=max(more, 1)))
    whole = found.reason.converged or more >= job.solver.max_iterations
    steps = found.factorizations
    if began.theta is None or (began.seconds and not whole):
        steps = max(steps if began.theta is not None else 0, AFTER)
        seconds, whole = steps * step, True
    seconds += began.seconds
    if not whole:
        notes.append(f"The first start did not finish within {SECONDS:g} s: the estimate is a lower bound.")
    starts, shared = job.ensemble.starts, cost.seconds / elimination.cost.seconds
    kept = job.output.keep_paths
    paths = min(int(kept[5:]), starts) if kept.startswith("best:") else starts
    pairs = built.network.inputs.size + built.network.outputs.size
    return CheckedNetwork(
        built,
        verification,
        step,
        seconds,
        steps,
        began.seconds,
        shared,
        min(starts * ranks * shared * seconds, job.ensemble.core_seconds or np.inf),
        BASE_MEMORY + cost.bytes,
        8.0 * (paths * action.size + pairs),
        sentence(elimination, action.deal.pairs, ranks),
        tuple(notes),
    )


def _timed(action: ExactNetwork, theta: Array, settings: ExactSettings) -> tuple[float, Rung]:
    """CPU seconds of a descent, and its end."""
    began = time.process_time()
    found = descend(action, theta, settings)
    return time.process_time() - began, found


class _Enough(BaseException):
    """A trial has taken the time that it may."""


@dataclass(frozen=True)
class _Begun:
    """How the first weights of a start were drawn: they, None where that took too long, and CPU seconds."""

    theta: Array | None
    seconds: float


def _begun(context: NetworkContext, job: NetworkJob) -> _Begun:
    """The first start's weights, of a training that tells how far it is."""
    training = TRAININGS.get(job.ensemble.way)
    if training is None or not training.reports:
        return _Begun(
            context.first_weights(context.action, np.random.default_rng([job.ensemble.seed, 0])), 0.0
        )
    began = time.process_time()

    def look() -> None:
        if time.process_time() - began > SECONDS and context.begun > 0.0:
            raise _Enough

    context.meanwhile = look
    try:
        theta, _ = context.draw(Task(0, training.name), [], np.random.default_rng([job.ensemble.seed, 0]))
    except _Enough:
        return _Begun(None, (time.process_time() - began) / context.begun)
    return _Begun(theta, time.process_time() - began)


def _rungs(job: NetworkJob) -> str:
    exact = "Rf = ∞: the layers are obeyed exactly"
    if not job.climbs:
        return exact
    ladder = job.ladder.finite
    return f"{counted(ladder.rungs, 'rung')}, Rf from {ladder.rf0:.3g} to {ladder.largest:.3g}, then {exact}"


def report_network(job: NetworkJob, checked: CheckedNetwork) -> str:
    """The findings for people."""
    built, network = checked.built, checked.built.network
    data = int(np.isfinite(network.outputs).sum())
    kept = f", {counted(len(built.held_back.inputs), 'pair')} held out" if built.held_back else ""
    prior = (
        "no prior" if network.weight_std is None else f"prior of standard deviation {network.weight_std:g}"
    )
    if network.bias_std is not None:
        prior += f", {network.bias_std:g} on biases" if np.isfinite(network.bias_std) else ", none on biases"
    noise = f"standard deviation {network.output:g}" if isinstance(network.output, float) else built.loss[0]
    inputs = "" if network.input_std is None else f"; inputs of standard deviation {network.input_std:g}"
    absent = int((~network.known).sum())
    if absent:
        inputs += (
            f", {counted(absent, 'value')} of them missing: estimated, "
            f"with prior mean 0 and standard deviation {network.missing_std:g}"
        )
    lines = [
        f"network      layers {run_lengths(network.widths, '-')}, "
        f"activations {run_lengths(built.activations, ', ')}",
        f"unknowns     {counted(network.weights, 'weight and bias', 'weights and biases')}, {prior}",
        f"data         {counted(network.pairs, 'pair')}, {counted(data, 'output value')}{kept}; "
        f"{built.pairs.source}; noise: {noise}{inputs}",
        f"ladder       {_rungs(job)}",
        f"ensemble     {_ensemble(job)}, seed {job.ensemble.seed}",
    ]
    if checked.verification is not None:
        one = checked.verification
        lines.append(
            f"derivatives  {'right' if one.ok else 'WRONG'}: Taylor order {one.taylor_gradient:.2f} of the "
            f"gradient, {one.taylor_hessian:.2f} of the Hessian, asymmetry {one.symmetry:.1e}"
        )
    ranks, each = job.ensemble.ranks_per_start, ""
    begins = f" after {short_time(checked.begins)} for its first weights" if checked.begins else ""
    if ranks > 1:
        own = short_time(checked.shared * checked.step)
        each = f"; on each of {ranks} ranks, by the counts, {own} an iteration"
    lines += [
        f"measured     {short_time(checked.step)} an iteration; the first start takes "
        f"{short_time(checked.start)}, {counted(checked.iterations, 'iteration')}{begins}{each}",
        f"elimination  {checked.elimination}",
        f"estimate     {duration(checked.total)} of one core in all if all starts take as long; "
        f"{size_of(checked.memory)} of memory a rank, {size_of(checked.disk)} on disk",
        f"output       {job.output_directory}",
    ]
    return "\n".join(lines + [f"note         {note}" for note in checked.notes])


def _ensemble(job: NetworkJob) -> str:
    """What is run, and what ends a search."""
    starts = job.ensemble.starts
    if job.ensemble.way != "auto":
        return counted(starts, f"{job.ensemble.way} start")
    ends = []
    if job.ensemble.ends == "verdict":
        ends.append("its lowest level is consistent and stable")
    if job.ensemble.core_seconds:
        ends.append(counted(job.ensemble.core_seconds, "core-second is over", "core-seconds are over"))
    if not ends:
        return f"a search of {counted(starts, 'start')}"
    return f"a search until {' or '.join(ends)}, at most {counted(starts, 'start')}"
