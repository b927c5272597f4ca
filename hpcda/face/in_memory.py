"""An ensemble in this process, without files: ``hpcda.anneal(problem, starts=32, seed=1)``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO, overload

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.face.checks import number, of_kind
from hpcda.face.network_problem import NetworkProblem
from hpcda.face.options import Ladder, Solver
from hpcda.face.problem import Problem
from hpcda.formatting import counted

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult
    from hpcda.analysis.rundata import Result
    from hpcda.job import AnyJob, Job, NetworkJob
    from hpcda.ranks import AloneWorld
    from hpcda.results.layout import RunLayout
    from hpcda.results.memory import Recorder
    from hpcda.runner.study import Study


@overload
def anneal(
    problem: Problem,
    starts: int = 100,
    seed: int = 1,
    *,
    ladder: Ladder | None = None,
    way: str = "auto",
    solver: Solver | None = None,
    core_seconds: float | None = None,
    until: str | None = None,
    progress: bool = False,
) -> Result: ...


@overload
def anneal(
    problem: NetworkProblem,
    starts: int = 100,
    seed: int = 1,
    *,
    ladder: Ladder | None = None,
    way: str = "auto",
    solver: Solver | None = None,
    core_seconds: float | None = None,
    until: str | None = None,
    progress: bool = False,
) -> NetworkResult: ...


def anneal(
    problem: Problem | NetworkProblem,
    starts: int = 100,
    seed: int = 1,
    *,
    ladder: Ladder | None = None,
    way: str = "auto",
    solver: Solver | None = None,
    core_seconds: float | None = None,
    until: str | None = None,
    progress: bool = False,
) -> Result | NetworkResult:
    """Climb the ladder from many initial guesses and say what was found; in this process, without files.

    Args:
        problem: What is known, and what is to be estimated.
        starts: Most initial guesses.
        seed: Every random number follows from it.
        ladder: The rungs of model-error precision. Networks obey their layers exactly, at Rf = ∞, and take
            one with ``way="annealed"`` alone.
        way: How initial guesses are made: "auto" (a search over all strategies), or one that ``hpcda list``
            names, such as "uniform", or, of networks, "scaled".
        solver: How the action is minimized at a rung.
        core_seconds: Seconds after which a search begins no further round.
        until: What ends a search: "verdict" (its conclusion is stable; the default), "core-seconds" or
            "starts" (all were run).
        progress: Show on the standard error stream how far it is.

    Returns:
        The result: what `hpcda.open_run` gives of a stored run.

    Raises:
        InputError: Options that do not fit; all mistakes at once.
    """
    if not isinstance(problem, NetworkProblem):
        of_kind("problem", problem, Problem, 'hpcda.Problem("lorenz63", t, {"x": x}, noise_std=0.5)')
    ensemble: dict[str, Any] = {"starts": starts, "seed": seed, "way": way}
    if core_seconds is not None:
        ensemble["core_seconds"] = number("core_seconds", core_seconds, "60.0")
    if until is not None:
        ensemble["budget"] = until
    try:
        job = problem.job(ladder, solver, ensemble)
    except InputError as error:
        raise InputError([_in_python(one) for one in error.mistakes]) from None
    return annealed(job, sys.stderr if progress else None)


def _in_python(one: Mistake) -> Mistake:
    """A mistake with the name that `anneal` has for what a job calls budget."""
    place = "until" if one.place == "ensemble.budget" else one.place.removeprefix("ensemble.")
    texts = [text.replace("budget = ", "until = ") for text in (one.problem, one.remedy)]
    return Mistake(place, *texts)


@overload
def annealed(job: Job, stream: TextIO | None = None) -> Result: ...


@overload
def annealed(job: NetworkJob, stream: TextIO | None = None) -> NetworkResult: ...


def annealed(job: AnyJob, stream: TextIO | None = None) -> Result | NetworkResult:
    """Run a job in this process, without files; tell `stream` how far it is."""
    from hpcda.job import NetworkJob
    from hpcda.ranks import AloneWorld
    from hpcda.results.memory import MemoryRun

    world = AloneWorld(job.ensemble.ranks_per_start)
    if isinstance(job, NetworkJob):
        from hpcda.analysis.network import NetworkResult
        from hpcda.runner.networks import NetworkStudy

        return NetworkResult(MemoryRun(*_run(job, NetworkStudy(job, world, ()), world, stream)))
    from hpcda.analysis.rundata import Result
    from hpcda.pilot import choose
    from hpcda.results.layout import Layout
    from hpcda.runner.paths import PathStudy

    if job.action.steps_per_sample == "auto":
        job = job.with_steps(choose(job).steps)
    layout, recorder = _run(job, PathStudy(job, world, ()), world, stream)
    assert isinstance(layout, Layout)
    return Result(MemoryRun(layout, recorder), layout.problem)


def _run(job: AnyJob, study: Study, world: AloneWorld, stream: TextIO | None) -> tuple[RunLayout, Recorder]:
    """Run an ensemble; what it holds, and what it left."""
    from hpcda.ensemble import Ensemble, RunControl
    from hpcda.ranks import AloneQueue
    from hpcda.results.memory import Recorder
    from hpcda.search import Share

    share = Share()
    with study.options():
        layout = study.layout(world, study.try_once(world, share), job)
        recorder, asked = Recorder(layout.size), job.ensemble
        ticker = None if stream is None else Ticker(stream, asked.starts, asked.ends != "starts")
        team = study.team(world, share, lambda iteration, value: ensemble.watch())
        ensemble = Ensemble(
            study.context, world, team, lambda: recorder, AloneQueue(), job.ensemble.seed, job.ensemble.merge,
            ticker, RunControl(max_seconds=study.max_seconds),
        )  # fmt: skip
        try:
            ensemble.run(study.plan(world, share))
        finally:
            team.destroy()
        if ticker is not None:
            ensemble.tell()
            ticker.end()
    if not any(one.rungs for one in recorder.starts):
        raise InputError(Mistake("ensemble", "no start has left a single rung", "allow more seconds"))
    return layout, recorder


class Ticker:
    """One line that tells how far an ensemble is; see `hpcda.progress.Progress`.

    Args:
        stream: Where it is written.
        starts: Most starts that are run.
        searches: Whether a search may end before all of them are.
    """

    def __init__(self, stream: TextIO, starts: int, searches: bool) -> None:
        self._stream, self._shown = stream, ""
        self._most = ("at most " if searches else "") + counted(starts, "start")

    def expect(self, starts: int, rungs: int) -> None:
        """So many more starts are run; how many there may be is known from the beginning."""

    def had(self, rungs: int) -> None:
        """Rungs that were done before: none."""

    def drawing(self, way: str) -> None:
        """By which strategy an initial guess is drawn."""

    def update(self, *, done: int, rungs_done: int, failed: int = 0, lowest: float | None = None) -> None:
        """Tell how far it is."""
        line = f"{done} of {self._most}"
        line += f", {failed} failed" if failed else ""
        line += f", lowest action {lowest:.7g}" if lowest is not None and np.isfinite(lowest) else ""
        if line != self._shown:
            self._stream.write("\r" + line.ljust(len(self._shown)))
            self._stream.flush()
            self._shown = line

    def end(self) -> None:
        """The last line."""
        self._stream.write("\n")
