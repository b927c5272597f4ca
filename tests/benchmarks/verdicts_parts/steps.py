"""Time steps from fine to far too coarse: is a wrong answer called stable, and is a right one not?

    .venv/bin/python tests/benchmarks/verdicts.py steps [--seed 1] [--only lorenz63]

Each twin is a true run of SciPy's DOP853 with noise, from equations written here, measured every dt and
assimilated at one step a sample: the job's default but for the discretization. The right answer is SciPy's
least-squares fit of the first state and the parameters, run on by DOP853 (LSODA where it is stiff). An answer
is wrong where a parameter lies more than one of the fit's standard deviations from the fit, or more than
three from the truth where the fit does not; it is right within a fifth. In between it is neither.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

import hpcda
from hpcda import runner

WRONG, RIGHT, FAR = 1.0, 0.2, 3.0
STARTS = 40


@dataclass(frozen=True)
class Experiment:
    """What is measured of which system.

    Attributes:
        model: The model as the job names it, or its source, for a file of its own.
        options: Options of the model.
        states: Names of the states.
        rates: (t, x, parameters, stimulus) -> dx/dt.
        first: States at the first sample.
        observed: Positions of the measured states.
        noise: Standard deviation of the noise.
        parameters: True values of the estimated parameters.
        fixed: Other parameters, in the order in which `rates` takes them after those.
        span: Length of the window.
        stimulus: Function of time, sampled with the data and linear between the samples, or None.
        known: Standard deviation with which the first states are known, or None.
    """

    model: str
    options: dict[str, int]
    states: tuple[str, ...]
    rates: Callable[..., list[float] | np.ndarray]
    first: tuple[float, ...]
    observed: tuple[int, ...]
    noise: float
    parameters: dict[str, float]
    span: float
    stimulus: Callable[[np.ndarray], np.ndarray] | None = None
    known: float | None = None


def lorenz63(t, x, p, u):
    rho, beta = p
    return [10.0 * (x[1] - x[0]), x[0] * (rho - x[2]) - x[1], x[0] * x[1] - beta * x[2]]


def lorenz96(t, x, p, u):
    return (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + p[0]


def rossler(t, x, p, u):
    return [-x[1] - x[2], x[0] + p[0] * x[1], 0.2 + x[2] * (x[0] - p[1])]


def colpitts(t, x, p, u):
    gamma, eta = p
    return [5.0 * x[1], -gamma * (x[0] + x[2]) - 0.6898 * x[1], eta * (x[1] + 1.0 - np.exp(-x[0]))]


def epidemic(t, x, p, u):
    new = p[0] * x[0] * x[1] / 763.0
    return [-new, new - p[1] * x[1], p[1] * x[1]]


EPIDEMIC = """
from hpcda import Model, Parameter, State

def equations(x, p):
    new = p.beta * x.S * x.I / 763
    return [-new, new - p.gamma * x.I, p.gamma * x.I]

def build():
    states = (State("S", range=(600, 763)), State("I", range=(0, 300)), State("R", range=(0, 500)))
    parameters = (Parameter("beta", 2.0, range=(0.5, 4)), Parameter("gamma", 0.5, range=(0.1, 1)))
    return Model(name="epidemic", states=states, parameters=parameters, equations=equations)
"""


def relaxation(t, x, p, u):
    return [x[1], p[0] * (1.0 - x[0] ** 2) * x[1] - x[0]]


RELAXATION = """
from hpcda import Model, Parameter, State

def equations(x, p):
    return [x.v, p.mu * (1 - x.x**2) * x.v - x.x]

def build():
    states = (State("x", range=(-3, 3)), State("v", range=(-8, 8)))
    parameters = (Parameter("mu", 3.0, range=(1, 6)),)
    return Model(name="relaxation", states=states, parameters=parameters, equations=equations)
"""


def driven(t, x, p, u):
    return [x[1], -p[0] * x[1] - p[1] * np.sin(x[0]) + u(t)]


DRIVEN = """
import numpy as np
from hpcda import Model, Parameter, State, Stimulus

def equations(x, p, u):
    return [x.v, -p.damping * x.v - p.pull * np.sin(x.x) + u.I]

def build():
    return Model(
        name="driven",
        states=(State("x", range=(-4, 4)), State("v", range=(-4, 4))),
        parameters=(Parameter("damping", 0.3, range=(0.1, 1)), Parameter("pull", 2.0, range=(1, 4))),
        stimuli=(Stimulus("I"),),
        equations=equations,
    )
"""

RING = tuple(f"x{k}" for k in range(5))
EXPERIMENTS = {
    "lorenz63": Experiment(
        "lorenz63", {}, ("x", "y", "z"), lorenz63, (-6.0, -8.0, 20.0), (0, 2), 0.5,
        {"rho": 28.0, "beta": 8 / 3}, 2.0,
    ),
    "lorenz96": Experiment(
        "lorenz96", {"dimension": 5}, RING, lorenz96, (3.0, -1.0, 2.0, 6.0, 1.0), (0, 2, 3), 0.5, {"F": 8.17},
        2.0,
    ),
    "rossler": Experiment(
        "rossler", {}, ("x", "y", "z"), rossler, (4.0, -5.0, 0.1), (0, 1), 0.3, {"a": 0.2, "c": 5.7}, 20.0
    ),
    "colpitts": Experiment(
        "colpitts", {}, ("x1", "x2", "x3"), colpitts, (0.5, 0.2, -1.0), (0, 2), 0.2,
        {"gamma": 0.0797, "eta": 6.2723}, 12.0,
    ),
    "epidemic": Experiment(
        EPIDEMIC, {}, ("S", "I", "R"), epidemic, (762.0, 1.0, 0.0), (1,), 10.0, {"beta": 1.7, "gamma": 0.45},
        16.0, known=0.01,
    ),
    "relaxation": Experiment(
        RELAXATION, {}, ("x", "v"), relaxation, (2.0, 0.0), (0,), 0.1, {"mu": 3.0}, 16.0
    ),
    "driven": Experiment(
        DRIVEN, {}, ("x", "v"), driven, (0.5, 0.0), (0,), 0.05, {"damping": 0.3, "pull": 2.0}, 20.0,
        lambda t: 1.5 * np.sin(1.1 * t) + np.cos(2.7 * t),
    ),
}  # fmt: skip

TWINS = (
    "lorenz63 trapezoid 0.002, 0.005, 0.01, 0.04",
    "lorenz63 implicit-midpoint 0.01, 0.04",
    "lorenz63 hermite-simpson 0.02, 0.05, 0.1",
    "lorenz63 rk4 0.02, 0.1",
    "lorenz96 trapezoid 0.005, 0.025, 0.05, 0.1",
    "lorenz96 hermite-simpson 0.025, 0.1",
    "rossler trapezoid 0.01, 0.05, 0.5",
    "rossler rk4 0.05, 0.2",
    "colpitts trapezoid 0.01, 0.05, 0.2",
    "colpitts hermite-simpson 0.05, 0.1",
    "epidemic trapezoid 0.1, 1.0",
    "epidemic rk4 1.0",
    "relaxation trapezoid 0.02, 0.1",
    "relaxation hermite-simpson 0.05, 0.1",
    "driven trapezoid 0.2",
    "driven implicit-midpoint 0.2",
    "driven hermite-simpson 0.05, 0.2",
)
"""Experiment, discretization, times from sample to sample."""


@dataclass(frozen=True)
class Answer:
    """What became of one twin.

    Attributes:
        off: Largest distance of a parameter from the fit, in standard deviations of the fit.
        truth: The same from the truth.
        fit: The same of the fit from the truth.
        told: The shift that the analysis tells, in standard deviations; None where it does not know it.
        enough: The steps a sample that it names, or None.
        verdict: Code of the verdict.
    """

    off: float
    truth: float
    fit: float
    told: float | None
    enough: int | None
    verdict: str

    @property
    def wrong(self) -> bool:
        """Whether the answer is wrong because of the step."""
        return self.off > WRONG or (self.truth > FAR >= self.fit)

    @property
    def stable(self) -> bool:
        """Whether it was called stable."""
        return self.verdict == "consistent_and_stable"


def run_on(experiment: Experiment, first: np.ndarray, parameters: np.ndarray, t: np.ndarray) -> np.ndarray:
    """States at times t, shape (N, D)."""
    known = None if experiment.stimulus is None else experiment.stimulus(t)
    stimulus = None if known is None else (lambda time: np.interp(time, t, known))
    longest = np.inf if known is None else t[1] - t[0]
    done = solve_ivp(
        experiment.rates, (t[0], t[-1]), first, "DOP853", t, args=(parameters, stimulus), rtol=1e-11,
        atol=1e-10, max_step=longest,
    )  # fmt: skip
    return done.y.T


def fitted(experiment: Experiment, t: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of the least-squares fit, and their standard deviations."""
    size, seen = len(experiment.states), list(experiment.observed)
    begin = np.array([*experiment.first, *experiment.parameters.values()])

    def misfit(unknown: np.ndarray) -> np.ndarray:
        states = run_on(experiment, unknown[:size], unknown[size:], t)
        parts = [((states[:, seen] - data) / experiment.noise).ravel()]
        if experiment.known is not None:
            parts.append((unknown[:size] - experiment.first) / experiment.known)
        return np.concatenate(parts)

    scale = np.maximum(np.abs(begin), 0.1)
    found = least_squares(misfit, begin, "3-point", x_scale=scale, xtol=1e-12, ftol=1e-12, diff_step=1e-5)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    return found.x[size:], np.sqrt(np.diag(covariance))[size:]


def answered(name: str, discretization: str, dt: float, seed: int) -> Answer:
    """Make the twin, let it be assimilated and judged, and compare with the fit."""
    experiment = EXPERIMENTS[name]
    count = 2 * int(round(experiment.span / dt / 2)) + 1
    t = dt * np.arange(count)
    true = np.array([*experiment.parameters.values()])
    states = run_on(experiment, np.array(experiment.first), true, t)
    rng = np.random.default_rng([seed, count])
    seen = list(experiment.observed)
    data = states[:, seen] + experiment.noise * rng.standard_normal((count, len(seen)))
    right, std = fitted(experiment, t, data)
    with tempfile.TemporaryDirectory() as folder:
        run = hpcda.open_run(_assimilated(Path(folder), experiment, discretization, t, data))
        verdict, evidence = run.verdict, run.evidence
        found = np.array([run.levels[0].parameters[one] for one in experiment.parameters])
    step = evidence.step
    return Answer(
        off=float(np.abs((found - right) / std).max()),
        truth=float(np.abs((found - true) / std).max()),
        fit=float(np.abs((right - true) / std).max()),
        told=None if step is None or step.shift is None else step.shift.largest[1],
        enough=None if step is None else step.enough,
        verdict=verdict.code,
    )


def _assimilated(
    folder: Path, experiment: Experiment, discretization: str, t: np.ndarray, data: np.ndarray
) -> Path:
    """The directory of the run."""
    names = [experiment.states[k] for k in experiment.observed]
    columns, heads = [t, *data.T], ["t", *names]
    table = {
        "file": "d.csv",
        "time": "t",
        "observed": {name: name for name in names},
        "noise_std": experiment.noise,
    }
    if experiment.stimulus is not None:
        columns.append(experiment.stimulus(t))
        heads.append("I")
        table["stimulus"] = {"I": "I"}
    np.savetxt(folder / "d.csv", np.column_stack(columns), delimiter=",", header=",".join(heads), comments="")
    model = experiment.model
    if "\n" in model:
        (folder / "own.py").write_text(model)
        model = "own.py:build"
    job = {
        "folder": folder,
        "model": {
            "name": model,
            "options": experiment.options,
            "parameters": {
                name: {
                    "estimate": True,
                    "start": [0.6 * value, 1.6 * value],
                    "bounds": [0.2 * value, 5 * value],
                }
                for name, value in experiment.parameters.items()
            },
            "states": {
                name: {"initial_prior": {"mean": value, "std": experiment.known}}
                for name, value in zip(experiment.states, experiment.first, strict=True)
                if experiment.known is not None
            },
        },
        "data": table,
        "action": {"discretization": discretization},
        "ladder": {"rf0": 1e-2, "alpha": 4.0, "rf_max": 1e11},
        "ensemble": {"starts": STARTS, "seed": 1},
    }
    return runner.run(job, output=folder / "run", quiet=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the noise")
    parser.add_argument("--only", default="", help="twins whose line holds this text")
    given = parser.parse_args()
    print(f"{'twin':<36}{'off':>8}{'told':>8}{'enough':>8}  verdict")
    answers = []
    for line in TWINS:
        name, discretization, times = line.split(" ", 2)
        for dt in map(float, times.split(", ")):
            title = f"{name} {discretization} {dt:g}"
            if given.only not in title:
                continue
            one = answered(name, discretization, dt, given.seed)
            answers.append(one)
            told = "?" if one.told is None else f"{one.told:.2f}"
            mark = " WRONG and stable" if one.wrong and one.stable else ""
            print(
                f"{title:<36}{one.off:>8.2f}{told:>8}{one.enough or '':>8}  {one.verdict}{mark}", flush=True
            )
    wrong = [one for one in answers if one.wrong]
    right = [one for one in answers if one.off <= RIGHT and not one.wrong]
    print(
        f"\n{len(answers)} twins: {len(wrong)} answers wrong, {sum(one.stable for one in wrong)} of them "
        f"called stable; {len(right)} right, {sum(not one.stable for one in right)} of them not called stable"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
