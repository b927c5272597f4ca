"""Runs a network job: weights descend at Rf = ∞, a search chooses how they are initialized."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcda.action.factors import DataLoss
from hpcda.annealing import Team
from hpcda.annealing.exact import ExactSettings
from hpcda.annealing.exact_minimizer import ExactMinimizer
from hpcda.annealing.layered import PETSC, Elimination
from hpcda.annealing.team import OneByOne
from hpcda.build import build_network
from hpcda.build.bundled import Pairs
from hpcda.errors import InputError, Mistake
from hpcda.job import AnyJob, NetworkJob
from hpcda.problem import Beyond, Window
from hpcda.ranks import all_agree
from hpcda.results.layout import NetworkLayout, RunLayout
from hpcda.results.network import StoredNetwork
from hpcda.runner.alike import refuse_unlike
from hpcda.runner.petsc import require
from hpcda.runner.provenance import files_of, provenance
from hpcda.runner.world import sharing
from hpcda.search import Plain, Plan, Share
from hpcda.search.networks import NetworkBudget, NetworkSearch
from hpcda.search.training import NetworkContext
from hpcda.search.trainings import TRAININGS

if TYPE_CHECKING:
    from hpcda.petsc import SolverOptions

ROUND = 256
"""Starts of one training that are run side by side."""


class NetworkStudy:
    """See `hpcda.runner.study.Study`.

    Args:
        job: The job.
        world: The ranks, in groups that share the pairs of a start.
        petsc_options: Options of the command line.
    """

    max_seconds = 0.0

    def __init__(self, job: NetworkJob, world: Any, petsc_options: Sequence[str]) -> None:
        self._job = job
        self._options: SolverOptions | None = None
        if job.solver.elimination == PETSC:
            require(f"solver.elimination = {PETSC!r}")
            from hpcda.petsc import SolverOptions

            self._options = SolverOptions(job.solver.petsc, petsc_options)
        self._built = all_agree(world.comm, lambda: build_network(job))
        ranks, finite = sharing(world), job.ladder.finite
        self.context = all_agree(
            world.comm, lambda: NetworkContext(self._built.network, ranks=ranks, finite=finite)
        )
        self.notes = self._built.notes

    def options(self) -> contextlib.AbstractContextManager[object]:
        """See `Study`: PETSc's, where it solves for steps."""
        return self._options or contextlib.nullcontext()

    def try_once(self, world: Any, share: Share) -> str:
        """See `Study`: ranks are alike, the training fits, and the first weights have a finite action."""
        all_agree(world.comm, lambda: refuse_unlike(world.group))
        self.context.refuse(self._job.ensemble.way, self._job.ensemble.seed)
        minimizer = self._minimizer(lambda iteration, value: None)
        try:
            if self._options is not None:
                first = self.context.first_weights(self.context.action, np.random.default_rng(0))
                model = minimizer.elimination.gauss_newton(first)
                if np.isfinite(model.scale) and model.solve(model.scale) is None:
                    remedy = "check solver.petsc and the options after --"
                    raise InputError(Mistake("solver", "PETSc cannot solve for the first step", remedy))
                self._options.check()
            return minimizer.linear
        finally:
            minimizer.destroy()

    def layout(self, world: Any, solver: str, whole: AnyJob) -> RunLayout:
        """See `Study`."""
        job, built, ladder = self._job, self._built, self.context.ladder
        searches, trained = job.ensemble.way == "auto", built.pairs
        network, weight_std = built.network, built.network.weight_std
        return NetworkLayout(
            rf=ladder.rf,
            beta=ladder.beta,
            alpha=ladder.alpha,
            starts=job.ensemble.starts if job.ensemble.ends == "starts" else 0,
            seed=job.ensemble.seed,
            keep_paths=job.output.keep_paths,
            job_toml=whole.resolved_toml(),
            provenance=provenance(world) | {"linear_solver": solver},
            extensions=files_of(job),
            sketch=len(self.context.sketch(np.zeros(self.context.size))),
            minima=searches and job.output.keep_paths.startswith("best"),
            network=StoredNetwork(
                widths=network.widths,
                activations=built.activations,
                loss=built.loss,
                weight_std=np.inf if weight_std is None else weight_std,
                bias_std=np.inf if weight_std is None else network.bias_std or weight_std,
                start=network.start,
                residual=network.residual,
                input_std=network.input_std or 0.0,
                missing_std=network.missing_std,
                shift=built.shift,
                scale=built.scale,
                source=trained.source,
                teacher=built.teacher,
                continuum=network.continuum,
            ),
            inputs=trained.input_names,
            outputs=trained.output_names,
            pairs=_window(trained, network.output),
            held_back=None if built.held_back is None else _beyond(built.held_back),
            matrices=network.matrices,
            prior_terms=network.prior_terms,
        )

    def team(self, world: Any, share: Share, watch: Callable[[int, float], None]) -> Team:
        """See `Study`."""
        return OneByOne(self._minimizer(watch), self.context.ladder)

    def plan(self, world: Any, share: Share) -> Plan:
        """See `Study`."""
        ensemble, network = self._job.ensemble, self.context.network
        starts = share.count(ensemble.starts)
        if ensemble.way != "auto":
            return Plain(ensemble.way, self.context.ladder, starts, ROUND, share)
        seconds = (ensemble.core_seconds or np.inf) / share.parts
        files = [one.sha256 for one in self._job.extension_files]
        budget = NetworkBudget(starts, seconds, ensemble.ends == "verdict")
        return NetworkSearch(network, budget, share, TRAININGS.known(files))

    def _minimizer(self, watch: Callable[[int, float], None]) -> ExactMinimizer:
        solver = self._job.solver
        settings = ExactSettings(solver.max_iterations, elimination=self._elimination())
        context = self.context
        return ExactMinimizer(context.action, settings, context.canonical, watch, lambda: context.cap)

    def _elimination(self) -> str | Elimination:
        """How steps are computed: its name, or PETSc's own, which is made here."""
        if self._options is None:
            return self._job.solver.elimination
        from hpcda.petsc.layered import PetscKrylov

        return PetscKrylov(self.context.action)


def _window(pairs: Pairs, output: Any) -> Window:
    """Pairs as the files of a run hold them: outputs are data, inputs series, numbers times."""
    spread = np.full(pairs.outputs.shape, np.nan if isinstance(output, DataLoss) else output)
    return Window(pairs.numbers, pairs.outputs, spread, pairs.inputs)


def _beyond(pairs: Pairs) -> Beyond:
    return Beyond(pairs.numbers, pairs.outputs, pairs.inputs)
