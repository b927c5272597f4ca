"""Runs a data-assimilation job: paths climb the ladder, in lockstep or by PETSc."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcda.action import Action, unused
from hpcda.annealing import Reason, Team
from hpcda.annealing.teams import Solver
from hpcda.annealing.teams import make_team as own_team
from hpcda.build import build_problem
from hpcda.errors import InputError, Mistake
from hpcda.job import AnyJob, Job
from hpcda.ranks import all_agree
from hpcda.results.layout import Layout
from hpcda.runner.layout import layout_of
from hpcda.runner.petsc import given, wanted
from hpcda.runner.plan import plan_of
from hpcda.runner.world import group_of
from hpcda.search import WAYS, Plan, SearchContext, Share, at_once, begin

if TYPE_CHECKING:
    from hpcda.petsc import SolverOptions

TRIED = 20
"""Paths of which one at least must have a finite action."""


class PathStudy:
    """See `hpcda.runner.study.Study`.

    Args:
        job: The job, its steps from sample to sample chosen.
        world: The ranks that make it together.
        petsc_options: Options of the command line.
    """

    def __init__(self, job: Job, world: Any, petsc_options: Sequence[str]) -> None:
        self._job, self._petsc_options = job, petsc_options
        comm = world.comm
        self._built = all_agree(comm, lambda: build_problem(job))
        action = all_agree(comm, lambda: Action(self._built.problem))
        self.context = SearchContext(self._built.problem, job.ladder.ladder, action)
        self._solver = solver_of(job)
        ranks, options = world.group.size, given(job.solver.petsc, petsc_options)
        self._options: SolverOptions | None = None
        if all_agree(comm, lambda: wanted(action, self.context.ladder, self._solver, ranks, options)):
            from hpcda.petsc import SolverOptions

            self._options = SolverOptions(job.solver.petsc, petsc_options)
        self.notes = (*self._built.notes, *unused(action.equations))
        self.max_seconds = job.solver.max_seconds

    def options(self) -> contextlib.AbstractContextManager[object]:
        """See `Study`: PETSc's options, where it works."""
        return self._options or contextlib.nullcontext()

    def try_once(self, world: Any, share: Share) -> str:
        """See `Study`: one iteration from the first path whose action is finite; is every option used?"""
        job, context = self._job, self.context
        way = at_once() if job.ensemble.way == "auto" else WAYS[job.ensemble.way]
        tried = min(job.ensemble.starts, TRIED)
        for start in range(tried):
            climb = begin(context, way, job.ensemble.seed, start)
            rf = context.ladder.near(climb.next)
            if np.isfinite(context.action.value(climb.path, rf).total):
                break
        else:
            which = "the first path" if tried == 1 else f"each of the first {tried} paths"
            raise InputError(
                Mistake(
                    "ensemble",
                    f"the action of {which} is not finite at Rf = {rf:g}",
                    "narrow the ranges of states and parameters, or look for a logarithm, root or division "
                    "that fails there",
                )
            )
        solver = replace(self._solver, max_iterations=1)
        team = all_agree(world.comm, lambda: self._team(world, share, solver, None))
        try:
            team.take(climb)
            tried_out = team.work()
            if self._options is not None:
                self._options.check()
            unsolved = any(one.rung.reason is Reason.FAILED_LINEAR for one in tried_out)
            if unsolved and np.isfinite(context.action.derivatives(climb.path, rf)[2]).all():
                problem = f"no linear system of the first path can be solved: {team.linear or 'no details'}"
                remedy = "check solver.elimination, solver.petsc and the options after --"
                raise InputError(Mistake("solver", problem, remedy))
            return team.linear
        finally:
            team.destroy()

    def layout(self, world: Any, solver: str, whole: AnyJob) -> Layout:
        """See `Study`."""
        assert isinstance(whole, Job)
        petsc = "none"
        if self._options is not None:
            from hpcda.petsc import petsc_version

            petsc = petsc_version()
        return layout_of(whole, self._built, self.context, world, self._petsc_options, solver, petsc)

    def team(self, world: Any, share: Share, watch: Callable[[int, float], None]) -> Team:
        """See `Study`."""
        return self._team(world, share, self._solver, watch)

    def _team(
        self, world: Any, share: Share, solver: Solver, watch: Callable[[int, float], None] | None
    ) -> Team:
        context, each = self.context, share.count(self._job.ensemble.starts) / world.groups
        if self._options is None:
            return own_team(context.action, context.ladder, solver, watch, each)
        from hpcda.petsc import make_team

        return make_team(context.action, context.ladder, solver, group_of(world), watch, each)

    def plan(self, world: Any, share: Share) -> Plan:
        """See `Study`."""
        return plan_of(self._job, self.context, world, share)


def solver_of(job: Job) -> Solver:
    """How a job minimizes."""
    table = job.solver
    return Solver(
        table.minimizer, table.elimination, table.max_iterations, table.barrier, table.rung_tolerance
    )
