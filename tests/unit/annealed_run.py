"""A small real ensemble: Lorenz96 with D = 10, four states measured, annealed by a plain Newton method."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from hpcda.action import Action
from hpcda.annealing import Reason, Rung, Task
from hpcda.models.lorenz96 import build
from hpcda.models.twin import simulate, spin_up
from hpcda.problem import Beyond, Estimated, Problem, Window
from hpcda.store import Layout, Shard, build_index
from tests.chance import generator
from tests.unit.synthetic_run import Truth


def make_problem(discretization="trapezoid", times=81, after=60, seen=(0, 2, 5, 7), noise=0.5, seed=1):
    model = build(dimension=10)
    rng = generator(seed)
    t = 0.025 * np.arange(times + after)
    truth = simulate(model, None, spin_up(model, None, rng.normal(2, 3, 10), 5.0), t)
    data = truth[:, seen] + noise * rng.standard_normal((times + after, len(seen)))
    none = np.zeros((times + after, 0))
    window = Window(t[:times], data[:times], np.full((times, len(seen)), noise), none[:times])
    beyond = Beyond(t[times - 1 :], data[times - 1 :], none[times - 1 :])
    problem = Problem(
        model=model,
        discretization=discretization,
        windows=(window,),
        observed={model.state_names[k]: model.state_names[k] for k in seen},
        parameters=(Estimated(model.parameter_names[0], (4.0, 14.0)),),
        state_start=np.tile([-10.0, 15.0], (10, 1)),
        state_bounds=np.tile([-np.inf, np.inf], (10, 1)),
        model_error_weight=np.ones(10),
    )
    return problem, beyond, Truth(t, truth, {model.parameter_names[0]: model.parameters[0].default})


def minimize(action, path, rf, most=80):
    """Newton steps on A'' + λ I; returns the path, its parts, gradient norm and iterations."""
    damping = 0.0
    parts, gradient = action.gradient(path, rf)
    for iteration in range(most):
        norm = np.linalg.norm(gradient)
        if norm < 1e-7 * (1 + parts.total):
            return path, parts, norm, iteration, Reason.CONVERGED_GRADIENT
        indptr, indices, values = action.hessian(path, rf)
        hessian = sp.csc_matrix(sp.csr_matrix((values, indices, indptr)))
        for _ in range(30):
            shifted = hessian + damping * sp.identity(len(path), format="csc")
            step = -splu(shifted, permc_spec="COLAMD").solve(gradient)
            trial = action.value(path + step, rf)
            slope = gradient @ step
            if slope < 0 and np.isfinite(trial.total) and trial.total <= parts.total + 1e-4 * slope:
                damping = 0.0 if damping < 1e-3 else damping / 10
                break
            if abs(slope) < 1e-10 * (1 + abs(parts.total)):
                return path, parts, norm, iteration, Reason.CONVERGED_GRADIENT
            damping = max(1.0, 10 * damping)
        path = path + step
        parts, gradient = action.gradient(path, rf)
    return path, parts, np.linalg.norm(gradient), most, Reason.STOPPED_ITERATIONS


def anneal(run_dir, starts=24, rungs=22, alpha=3.0, ranks=2, keep_paths="final", job_toml="", **keywords):
    problem, beyond, truth = make_problem(**keywords)
    beta = np.arange(rungs)
    provenance = {"hpcda": "0.1.0", "host": "node1", "command": "hpcda run job.toml", "petsc": "3.22"}
    layout = Layout(
        problem=problem,
        rf=1e-2 * alpha**beta,
        beta=beta,
        alpha=alpha,
        starts=starts,
        seed=1,
        keep_paths=keep_paths,
        job_toml=job_toml,
        provenance=provenance,
        truth=(truth,),
        beyond=(beyond,),
    )
    action = Action(problem)
    for rank in range(ranks):
        with Shard.create(run_dir, rank, layout) as shard:
            for start in range(rank, starts, ranks):
                rng = generator(1, start)
                states = rng.uniform(-10, 15, (problem.windows[0].times, 10))
                if start % 3 == 0:
                    data = problem.windows[0].data
                    states = data.mean() + 0.1 * rng.standard_normal(states.shape)
                for column, name in enumerate(problem.observed):
                    states[:, problem.model.state_names.index(name)] = problem.windows[0].data[:, column]
                path = problem.join([states], rng.uniform(4, 14, 1))
                first = 8 if start % 3 == 0 or start % 4 == 1 else 0
                row = shard.begin(Task(start, "quiet" if start % 3 == 0 else "uniform", first))
                for rung in range(first, rungs):
                    path, parts, norm, iterations, reason = minimize(action, path, layout.rf[rung])
                    one = Rung(path, parts, norm, iterations, 0, reason, rung, 0.01)
                    shard.rungs([(row, one, path[-1:])])
                shard.finish(row, path)
    build_index(run_dir)
    return layout
