"""``hpcda check``: describes a job, tests its derivatives and estimates its cost; nothing is run.

Time and memory are estimated from the sizes of the problem and from a trial: as many starts as are worked on
at once climb for about a second. Where the job does not run in lockstep, they are estimated from one measured
evaluation of the action with its Hessian and one banded Cholesky factorization of it (LAPACK dpbtrf). What
drawing first paths takes is measured as well. Of a search it is assumed that no level ever agrees with the
data: it runs all its starts then, and draws most paths by ways that take long.

A check ends within `SECONDS` beyond what reading the data, making a twin (`twin.max_seconds` for each window)
and compiling the action take: what would take longer, by one evaluation, one factorization and the length of
the code, is left out and told in a note. The pilot of `steps_per_sample = "auto"` comes before it and has a
limit of its own, `PILOT_SECONDS`.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cholesky_banded
from scipy.sparse import csr_array

from hpcda.action import Action, Verification, unused, verify
from hpcda.action.blocks import in_time
from hpcda.annealing import Ladder
from hpcda.annealing.choice import chosen
from hpcda.annealing.elimination import FRONTS
from hpcda.annealing.eliminations import ELIMINATIONS, plan
from hpcda.annealing.lockstep import Settings, climbs_of, code_of, lanes_that_fit, memory
from hpcda.annealing.stretch import spread_cost
from hpcda.build import Built, build_problem, refuse_used
from hpcda.build.weights import unlike
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted, short_time, size_of
from hpcda.job import Job, load_job
from hpcda.native.compile import kept
from hpcda.native.unit import length
from hpcda.patience import FIRST_WORD, Patience, tell
from hpcda.pilot import PilotTimeError, choose
from hpcda.problem import Problem
from hpcda.progress import duration
from hpcda.search import WAYS, SearchContext, Way, at_once, begin, expected, searched

Array = npt.NDArray[np.float64]

SECONDS = 60.0
TRIAL_SECONDS = 1.0
PILOT_SECONDS = 30.0
"""How long the pilot of `steps_per_sample = "auto"` may take."""
EVALUATIONS = 30.0
"""A derivative check takes about as long as so many evaluations of the action with its Hessian."""
COMPILED = 3e4
"""Bytes of the run's code that are compiled in a second: 33,000 were measured for Lorenz96, D = 20 and 60."""
FLOPS = 2e9
ITERATIONS = 6.0
"""Newton steps of one rung: 173 in 29 rungs were measured for Lorenz96, D = 20, L = 8."""
BASE_MEMORY = 2.0e8
"""Bytes that Python, PETSc and MPI take on every rank."""
MOST_BAND = 2.0e9


@dataclass(frozen=True)
class Cost:
    """What a run needs.

    Attributes:
        evaluation: Seconds for the action, its gradient and its Hessian.
        factorization: Seconds for one factorization of the Hessian.
        nonzeros: Entries of the Hessian.
        memory: Bytes on every rank.
        start: Seconds of one core for one start.
        total: Core-seconds for all starts.
        disk: Bytes of the results.
        elimination: How Hessians are eliminated, as a sentence; empty where PETSc is left to choose.
    """

    evaluation: float
    factorization: float
    nonzeros: int
    memory: float
    start: float
    total: float
    disk: float
    elimination: str


@dataclass(frozen=True)
class Checked:
    """What the check found.

    Attributes:
        built: The problem.
        verifications: Derivative checks at the first and at the last Rf.
        cost: The estimate.
        notes: What the user should know, one sentence each.
        steps: How the steps from sample to sample were chosen, where the job leaves that open.
    """

    built: Built
    verifications: tuple[tuple[float, Verification], ...]
    cost: Cost
    notes: tuple[str, ...] = ()
    steps: str = ""

    @property
    def ok(self) -> bool:
        """Whether all derivative checks passed."""
        return all(one.ok for _, one in self.verifications)


def check(job: Job, fresh: bool = True) -> Checked:
    """Build the problem of a job, check its derivatives and estimate its cost.

    Args:
        job: The job.
        fresh: Refuse an output directory that holds a run.

    Raises:
        InputError: The job, its model or its data hold mistakes, its output directory holds a run, or the
            action is not finite where a start begins.
    """
    mistakes: list[Mistake] = []
    try:
        if fresh:
            refuse_used(job.output_directory)
    except InputError as error:
        mistakes += error.mistakes
    chosen = ""
    try:
        if job.action.steps_per_sample == "auto":
            job, chosen = _chosen(job, fresh)
        built = build_problem(job)
    except InputError as error:
        raise InputError([*error.mistakes, *mistakes]) from None
    if mistakes:
        raise InputError(mistakes)
    action = Action(built.problem)
    context = SearchContext(built.problem, job.ladder.ladder, action)
    patience = Patience("the check", SECONDS)
    left_out: list[str] = []
    path = _first_path(job, context, patience, left_out)
    ends = {context.ladder.near(rung) for rung in (min(job.ladder.first_rungs), -1)}
    rungs = sorted(ends)
    if not np.isfinite(action.value(path, rungs[0]).total):
        raise InputError(
            Mistake(
                "ensemble",
                "the action is not finite at the initial path of start 0",
                "narrow the ranges of states and parameters, or check for a logarithm of, or "
                "division by, zero",
            )
        )
    evaluation = _evaluation(action, path, rungs[-1])
    checks = []
    for rf in rungs:
        if EVALUATIONS * evaluation > patience.left / 2.0:
            left_out.append(f"the derivatives at Rf = {rf:.3g} were not checked: {_too_long(evaluation)}")
        else:
            checks.append((rf, verify(action, path, rf)))
    cost = _cost(job, context, path, rungs[-1], evaluation, patience, left_out)
    loose = unlike(built.problem, rungs[-1])
    notes = (*built.notes, *unused(action.equations), *([loose] if loose else []), *left_out)
    return Checked(built, tuple(checks), cost, notes, chosen)


class _LateError(Exception):
    """Drawing a first path takes longer than there is time for."""


def _first_path(job: Job, context: SearchContext, patience: Patience, left_out: list[str]) -> Array:
    """The first path of start 0; a quiet one where drawing it takes half of the time of a check."""
    way, began = _way(job), patience.left
    quick = at_once()

    def watch(reserve: float) -> None:
        if patience.left < reserve:
            raise _LateError

    context.meanwhile = lambda: watch(SECONDS / 2.0)
    try:
        path = begin(context, way, job.ensemble.seed, 0).path
    except _LateError:
        path = begin(context, quick, job.ensemble.seed, 0).path
        taken = duration(began - patience.left)
        left_out.append(
            f"{way.name} takes more than {taken} to draw a path: a {quick.name} path was checked instead"
        )
    context.meanwhile = lambda: watch(0.0)
    return path


def _evaluation(action: Action, path: Array, rf: float) -> float:
    """Seconds of one evaluation of the action with its Hessian."""
    action.hessian(path, rf)
    begin = time.perf_counter()
    action.hessian(path, rf)
    return time.perf_counter() - begin


def _too_long(evaluation: float) -> str:
    return f"one evaluation of the action takes {short_time(evaluation)}, the limit is {SECONDS:g} s"


def _chosen(job: Job, fresh: bool) -> tuple[Job, str]:
    """The job with a number of steps, and what is to be told of it."""
    stored = job.output_directory / "job.toml"
    if not fresh and stored.is_file():
        begun = load_job(stored)
        steps = begun.steps if isinstance(begun, Job) else 1  # another kind of job is refused where it is run
        return job.with_steps(steps), f"{steps}, chosen by the run"
    try:
        chosen = choose(job, PILOT_SECONDS)
    except PilotTimeError:
        late = f"the pilot takes longer than {PILOT_SECONDS:g} s; the rest of this check assumes 2"
        return job.with_steps(2), f"chosen when the run begins: {late}"
    return job.with_steps(chosen.steps), str(chosen)


def _rungs(ladder: Ladder) -> str:
    """A ladder, for people."""
    if not ladder.infinity:
        return f"{counted(ladder.rungs, 'rung')}, Rf from {ladder.rf[0]:.3g} to {ladder.rf[-1]:.3g}"
    if ladder.rungs == 1:
        return f"1 rung, at infinity: the model is obeyed exactly (penalty from {ladder.rf0:.3g} on)"
    finite = _rungs(ladder.finite)
    return f"{finite}, and one at infinity, where the model is obeyed exactly"


def _way(job: Job) -> Way:
    return at_once() if job.ensemble.way == "auto" else WAYS[job.ensemble.way]


@dataclass(frozen=True)
class _Trial:
    """What starts took in a trial.

    Attributes:
        rung: Seconds of one core for a rung.
        steps: Newton steps of a rung.
        draw: Seconds of one core for a first path of the way that was tried.
    """

    rung: float
    steps: float
    draw: float


def _cost(
    job: Job,
    context: SearchContext,
    path: Array,
    rf: float,
    evaluation: float,
    patience: Patience,
    left_out: list[str],
) -> Cost:
    problem, action = context.problem, context.action
    indptr, indices, values = action.hessian(path, rf)
    if problem.ties.some:
        order = in_time(problem)[0]
        matrix = csr_array((values, indices, indptr), shape=(problem.size,) * 2)[order][:, order]
        indptr, indices, values = matrix.indptr, matrix.indices, matrix.data
    band = _band(problem, indptr, indices)
    factorization = _factorization(problem, indptr, indices, values, band, patience)
    first = np.resize(job.ladder.first_rungs, job.ensemble.starts)
    rungs = float(np.sum(job.ladder.count - first))
    ranks = job.ensemble.ranks_per_start
    rung = ITERATIONS * (evaluation + factorization) / ranks
    solver = job.solver
    options = [name.lstrip("-") for name in solver.petsc]
    if (
        chosen(action, solver.minimizer, solver.elimination, ranks, options, job.ladder.infinity)
        == "lockstep"
    ):
        lanes = lanes_that_fit(action, job.solver.elimination)
        own = memory(action, lanes, job.solver.elimination)
        elimination = plan(action, job.solver.elimination).sentence
        why = _no_trial(action, evaluation + factorization, patience, job.solver.elimination)
        trial = None if why else _trial(job, context)
        if trial is None:
            why = why or f"{_way(job).name} takes too long to draw a path"
            left_out.append(
                "the estimate uses one evaluation and one factorization instead of a trial run, and "
                "omits the "
                f"time to draw first paths: {why}"
            )
    else:
        trial = _Trial(rung, ITERATIONS, _timed_draw(context, _way(job), job.ensemble.seed))
        own = 3.0 * 12.0 * len(values) + 8.0 * problem.size * (1.5 * band + len(problem.constants))
        elimination, linear = "", None
        if solver.elimination != "auto":
            spec = ELIMINATIONS[solver.elimination]
            elimination, linear = spec.sentence, spec.linear
        if linear is not None and linear.package == FRONTS:
            operations, factor = spread_cost(action, ranks)
            own = 3.0 * 12.0 * len(values) + factor
            elimination = (
                f"in trees of fronts on {counted(ranks, 'rank')}, {operations:.2g} operations a step "
            )
            elimination += f"and at most {size_of(factor)} on a rank"
    total = ranks * (rung * rungs if trial is None else trial.rung * rungs + _drawing(job, context, trial))
    keep = job.output.keep_paths
    paths = float(
        min(int(keep[5:]), job.ensemble.starts) if keep.startswith("best:") else job.ensemble.starts
    )
    stored = (rungs if keep == "all" else paths) * problem.size + rungs * (8 + len(problem.constants))
    return Cost(
        evaluation=evaluation,
        factorization=factorization,
        nonzeros=len(values),
        memory=BASE_MEMORY + own + 12.0 * len(values) + 30.0 * 8.0 * problem.size,
        start=total / job.ensemble.starts,
        total=min(total, job.ensemble.core_seconds or np.inf),
        disk=8.0 * stored,
        elimination=elimination,
    )


def _no_trial(action: Action, step: float, patience: Patience, elimination: str) -> str:
    """Why there is no time for a trial whose steps take so many seconds a start; empty where there is."""
    lanes = lanes_that_fit(action, elimination)
    code = code_of(action, lanes)
    compiling = 0.0 if kept(code) else length(code) / COMPILED
    if compiling + lanes * step > patience.left:
        parts = [f"compiling its code takes about {duration(compiling)}"] if compiling else []
        parts.append(f"each of its steps takes about {duration(lanes * step)}")
        return f"{' and '.join(parts)}; a check takes at most {SECONDS:g} s"
    if compiling > FIRST_WORD:
        tell(f"compiling the code of the run, about {duration(compiling)}; the run reuses it")
    return ""


def _trial(job: Job, context: SearchContext) -> _Trial | None:
    """What starts take that are drawn, and climb, for `TRIAL_SECONDS` each; None if none is drawn in time."""
    settings = Settings(
        max_iterations=job.solver.max_iterations,
        barrier=job.solver.barrier,
        rung_tolerance=job.solver.rung_tolerance,
        elimination=job.solver.elimination,
    )
    lanes = lanes_that_fit(context.action, settings.elimination)
    lockstep = climbs_of(context.action, context.ladder, lanes, settings)
    drawn, began = 0, time.thread_time()
    for start, lane in enumerate(lockstep.empty):
        try:
            climb = begin(context, _way(job), job.ensemble.seed, start)
        except _LateError:
            break
        lockstep.put(int(lane), start, climb.path, climb.first, True)
        drawn += 1
        if time.thread_time() - began > TRIAL_SECONDS:
            break
    if not drawn:
        return None
    draw = (time.thread_time() - began) / drawn
    rungs, steps, lane_seconds, began = 0, 0, 0.0, time.perf_counter()
    while lockstep.active and time.perf_counter() - began < TRIAL_SECONDS:
        active, before = lockstep.active, time.thread_time()
        lockstep.advance(1)
        reached = lockstep.reached()
        rungs += len(reached)
        steps += sum(max(one.rung.factorizations, one.rung.iterations) for one in reached)
        lane_seconds += (time.thread_time() - before) * active / lockstep.lanes
    return _Trial(lane_seconds / max(rungs, 1), steps / max(rungs, 1) or ITERATIONS, draw)


def _drawing(job: Job, context: SearchContext, trial: _Trial) -> float:
    """Seconds of one core for the first paths of all starts.

    What the first path of a way takes tells what the others take (`Way.timed`), or it is known in Newton
    steps (`Way.steps`); of ways that take next to nothing the slowest is timed.
    """
    starts = job.ensemble.starts
    if job.ensemble.way != "auto":
        return starts * trial.draw
    usual = trial.steps * job.ladder.count
    files = [one.sha256 for one in job.extension_files]
    draws = expected(context, starts, usual, files)
    quick = [way for way in searched(context, files) if not way.steps]
    slowest = max((_timed_draw(context, way, job.ensemble.seed) for way in quick), default=0.0)
    seconds = (starts - sum(draws.values())) * slowest
    for name, count in draws.items():
        way = WAYS[name]
        timed = _timed_draw(context, way, job.ensemble.seed) if way.timed else 0.0
        seconds += count * (timed if way.timed else way.steps * trial.rung / trial.steps)
    return seconds


def _timed_draw(context: SearchContext, way: Way, seed: int) -> float:
    """Seconds that the first path of start 0 takes, as far as it came; nothing where the way does not fit."""
    if not way.fits(context.problem):
        return 0.0
    context.smoother  # noqa: B018  (compiled here, not on the time of a draw)
    began = time.thread_time()
    with suppress(_LateError):
        begin(context, way, seed, 0)
    return time.thread_time() - began


def _band(problem: Problem, indptr: npt.ArrayLike, indices: npt.ArrayLike) -> int:
    """Diagonals of the lower triangle that hold the chains of the windows."""
    rows, columns = np.repeat(np.arange(problem.size), np.diff(np.asarray(indptr))), np.asarray(indices)
    chains = (rows < problem.layout.tail.start) & (columns < problem.layout.tail.start)
    return int(np.max(rows[chains] - columns[chains])) + 1


def _factorization(
    problem: Problem,
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    values: Array,
    band: int,
    patience: Patience,
) -> float:
    """Seconds for one factorization of the chains; from its number of operations where it is a large one."""
    size = problem.layout.tail.start
    expected = size * float(band) ** 2 / FLOPS
    if 8.0 * size * band > MOST_BAND or expected > patience.left / 3.0:
        return expected
    rows = np.repeat(np.arange(problem.size), np.diff(np.asarray(indptr)))
    columns = np.asarray(indices)
    lower = (rows >= columns) & (rows < size)
    matrix = np.zeros((band, size))
    matrix[rows[lower] - columns[lower], columns[lower]] = values[lower]
    # Large enough for every Hessian to be positive definite (Gershgorin).
    matrix[0] += np.bincount(rows[rows < size], weights=np.abs(values[rows < size]), minlength=size) + 1.0
    begin = time.perf_counter()
    try:
        cholesky_banded(matrix, lower=True, overwrite_ab=True, check_finite=False)
    except LinAlgError:
        return expected
    return time.perf_counter() - begin


def _steps(problem: Problem) -> str:
    """The steps of the path, for people."""
    every = np.concatenate([window.steps for window in problem.windows])
    least, most = float(every.min()), float(every.max())
    if most - least <= 1e-6 * most:
        return f"step {problem.windows[0].dt:.6g}"
    return f"steps from {least:.6g} to {most:.6g}"


def report(job: Job, checked: Checked) -> str:
    """The findings for people."""
    problem, cost = checked.built.problem, checked.cost
    model = problem.model
    estimated = [constant.label for constant in problem.layout.constants] + [
        f"{one.name} (per time{', of all windows' if one.shared and problem.ties.some else ''})"
        for one in problem.varying
    ]
    points = [window.times for window in problem.windows]
    unit = "" if model.time_unit == "1" else model.time_unit
    lines = [
        f"model        {model.name}: {model.title}".rstrip(": "),
        f"unknowns     {problem.unknowns}: {counted(model.dimension, 'state')} at {_numbers(points)} times"
        + (f", parameters {_some(estimated)}" if estimated else ""),
        f"data         {counted(problem.measured, 'value')} of {_some(list(problem.observed))}"
        + (f", {_held_back(checked.built)} held out" if checked.built.beyond else ""),
        f"action       {problem.discretization}, {_steps(problem)} {unit}".rstrip()
        + (", model error per time" if problem.model_error == "per time" else ""),
        *_weights(job, problem),
        *([f"steps        {checked.steps}"] if checked.steps else []),
        f"ladder       {_rungs(job.ladder.ladder)}",
        f"ensemble     {_ensemble(job)}",
    ]
    for rf, one in checked.verifications:
        verdict = "right" if one.ok else "WRONG"
        lines.append(
            f"derivatives  {verdict} at Rf = {rf:.3g}: Taylor order {one.taylor_gradient:.2f} of the "
            f"gradient, {one.taylor_hessian:.2f} of the Hessian, asymmetry {one.symmetry:.1e}"
        )
    most = "at most " if job.ensemble.way == "auto" else ""
    lines += [
        f"measured     {short_time(cost.evaluation)} an evaluation, {short_time(cost.factorization)} a "
        f"factorization, {counted(cost.nonzeros, 'Hessian entry', 'Hessian entries')}",
        *([f"elimination  {cost.elimination}"] if cost.elimination else []),
        f"estimate     {duration(cost.start)} a start, {most}{duration(cost.total)} of one core in all, "
        f"{size_of(cost.memory)} of memory a rank, {size_of(cost.disk)} on disk",
        f"output       {job.output_directory}",
    ]
    return "\n".join(lines + [f"note         {note}" for note in checked.notes])


def _weights(job: Job, problem: Problem) -> list[str]:
    """The weights of the model errors, where they are not 1."""
    weights = dict(zip(problem.model.state_names, problem.model_error_weight.tolist(), strict=True))
    automatic = job.action.model_error_weight == "auto"
    if not automatic and all(weight == 1.0 for weight in weights.values()):
        return []
    if len(set(weights.values())) == 1:
        named = [f"{next(iter(weights.values())):.6g} of every state"]
    else:
        named = [f"{name} {weight:.6g}" for name, weight in weights.items()]
    return [f"weights      of the model errors: {_some(named)}{' (auto)' if automatic else ''}"]


def _ensemble(job: Job) -> str:
    """What is run."""
    ensemble = job.ensemble
    if ensemble.way != "auto":
        return f"{counted(ensemble.starts, f'{ensemble.way} start')}, seed {ensemble.seed}"
    if ensemble.ends == "starts":
        return f"a search of {counted(ensemble.starts, 'start')}, seed {ensemble.seed}"
    ends = []
    if ensemble.ends == "verdict":
        ends.append("its lowest level is consistent and stable")
    if ensemble.core_seconds:
        ends.append(counted(float(ensemble.core_seconds), "core-second is over", "core-seconds are over"))
    until = " or ".join(ends)
    return f"a search until {until}, at most {counted(ensemble.starts, 'start')}, seed {ensemble.seed}"


def _numbers(points: list[int]) -> str:
    return str(points[0]) if len(points) == 1 else f"{sum(points)} (in {len(points)} windows)"


def _held_back(built: Built) -> int:
    return sum(int(np.isfinite(one.data).sum()) for one in built.beyond or ())


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
