"""A run written by hand: Lorenz63 paths with known minima, as a finished ensemble would leave them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

from hpcda.action import Parts
from hpcda.annealing import Reason, Rung, Task
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Beyond, Estimated, Problem, Window
from hpcda.store import Layout, Shard, build_index
from tests.chance import generator


@dataclass(frozen=True)
class Truth:
    t: np.ndarray
    states: np.ndarray
    parameters: dict[str, float]


def lorenz63(x, p):
    return p.sigma * (x[1] - x[0]), x[0] * (p.rho - x[2]) - x[1], x[0] * x[1] - p.beta * x[2]


MODEL = Model(
    name="lorenz63",
    states=(State("x"), State("y"), State("z")),
    parameters=(Parameter("sigma", 10.0), Parameter("rho", 28.0), Parameter("beta", 8 / 3)),
    equations=lorenz63,
    title="Lorenz (1963)",
    citation="J. Atmos. Sci. 20, 130",
)


def trajectory(times, initial=(1.0, 2.0, 20.0)):
    def f(t, x):
        return MODEL(x, MODEL.defaults)

    return solve_ivp(
        f, (times[0], times[-1]), initial, method="DOP853", t_eval=times, rtol=1e-10, atol=1e-10
    ).y.T


def obeying(window, initial):
    """The path that obeys the Runge-Kutta rule exactly, from an initial state."""

    def rate(x):
        return np.array(MODEL(x, MODEL.defaults))

    path = [np.asarray(initial)]
    for _ in range(window.times - 1):
        x, dt = path[-1], window.dt
        a = rate(x)
        b = rate(x + dt / 2 * a)
        c = rate(x + dt / 2 * b)
        d = rate(x + dt * c)
        path.append(x + dt / 6 * (a + 2 * b + 2 * c + d))
    return np.array(path)


def make_problem(windows=1, times=81, after=60, noise=0.5, seed=0):
    rng = generator(seed)
    parts, beyond, truths = [], [], []
    for k in range(windows):
        t = 0.02 * np.arange(times + after)
        truth = trajectory(t, (1.0 + k, 2.0, 20.0 + k))
        data = truth[:, [0]] + noise * rng.standard_normal((len(t), 1))
        empty = np.zeros((len(t), 0))
        parts.append(Window(t[:times], data[:times], np.full((times, 1), noise), empty[:times]))
        beyond.append(Beyond(t[times - 1 :], data[times - 1 :], empty[times - 1 :]))
        truths.append(Truth(t, truth, {"rho": 28.0}))
    problem = Problem(
        model=MODEL,
        discretization="rk4",
        windows=tuple(parts),
        observed={"x": "x"},
        parameters=(Estimated("rho", (15.0, 40.0), (0.0, 60.0)),),
        fixed={"sigma": 10.0, "beta": 8 / 3},
        state_start=np.tile([-20.0, 20.0], (3, 1)),
        state_bounds=np.tile([-np.inf, np.inf], (3, 1)),
        model_error_weight=np.ones(3),
    )
    return problem, tuple(beyond), tuple(truths)


def make_layout(windows=1, rungs=24, starts=40, keep_paths="final", job_toml="", **keywords):
    problem, beyond, truth = make_problem(windows, **keywords)
    beta = np.arange(rungs)
    return Layout(
        problem=problem,
        rf=1e-2 * 2.0**beta,
        beta=beta,
        alpha=2.0,
        starts=starts,
        seed=7,
        keep_paths=keep_paths,
        job_toml=job_toml,
        provenance={"hpcda": "0.1.0", "host": "node1", "command": "hpcda run job.toml", "threads": "1"},
        truth=truth,
        beyond=beyond,
    )


def minima_of(layout, kind="separate"):
    """Paths and final measurement and model errors of four minima; the lowest begins at the truth."""
    problem = layout.problem
    rng = generator(3)
    data = [window.data for window in problem.windows]
    truth = [t.states[: w.times] for t, w in zip(layout.truth, problem.windows, strict=True)]
    exact = sum(
        0.5 * np.nansum(((d - x[:, [0]]) / w.noise_std) ** 2)
        for d, x, w in zip(data, truth, problem.windows, strict=True)
    )
    extra = {
        "separate": [0, 90, 130, 400],
        "rivals": [0, 3, 90, 200],
        "rising": [0, 90, 130, 400],
        "wrong": [80, 90, 130, 400],
        "no minimum": [0, 90, 130, 400],
    }
    minima = []
    for j, more in enumerate(extra[kind]):
        blocks = [x + (j or 0.02) * rng.standard_normal(x.shape).cumsum(0) * 0.05 for x in truth]
        if j == 0 and kind != "no minimum":
            blocks = [obeying(w, x[0]) for w, x in zip(problem.windows, truth, strict=True)]
        minima.append((problem.join(blocks, np.array([28.0 - 1.7 * j])), exact + more, 0.4 + 2.0 * j))
    return minima


def write_run(
    run_dir: Path, layout: Layout, ranks=3, kind="separate", index=True, fail=(5,), late=4, ran=None, probes=0
):
    """Deal the starts (the first `ran`) to the ranks; 5 fails at rung 6, every fourth begins at `late`.

    The last `probes` starts are openings of start 0 that fell back.
    """
    minima = minima_of(layout, kind)
    rungs = len(layout.rf)
    for rank in range(ranks):
        with Shard.create(run_dir, rank, layout) as shard:
            for start in range(rank, ran or layout.starts, ranks):
                rng = generator(layout.seed, start)
                probe = start >= layout.starts - probes
                which = int(rng.choice(4, p=[0.45, 0.25, 0.2, 0.1])) if start and not probe else 0
                path, measurement, model = minima[which]
                first = late if start % 4 == 3 else 0
                way = "opening" if probe else ("uniform", "quiet")[start % 2]
                row = shard.begin(Task(start, way, first, (0,) if probe else ()))
                for rung in range(first, rungs):
                    grown = 1 / (1 + np.exp(-(rung - 9) / 1.5))
                    failing = start in fail and rung == 6
                    slope = 60.0 * max(0, rung - 12) if kind == "rising" else 0.0
                    here = path.copy()
                    here[-1] += 5 * (1 - grown) * rng.standard_normal()
                    noise = np.nan if failing else 1 + 1e-9 * rng.standard_normal()
                    one = Rung(
                        path=here,
                        parts=Parts(measurement * grown * noise, (model / grown + slope) * noise, 0.0),
                        gradient_norm=1e-9,
                        iterations=int(rng.integers(3, 20)),
                        factorizations=0,
                        reason=Reason.FAILED_NON_FINITE if failing else Reason.CONVERGED_GRADIENT,
                        number=rung,
                        seconds=0.01 * (1 + rng.random()),
                    )
                    shard.rungs([(row, one, here[-1:])])
                    if failing:
                        break
                shard.finish(row, None if start in fail else path)
    if index:
        build_index(run_dir)
    return minima
