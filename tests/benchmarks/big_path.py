"""One big path over ranks: seconds of every phase, memory, Newton iterations and linear solutions.

    .venv/bin/python tests/benchmarks/big_path.py [--dimension 1000] [--times 500] [--ranks 2] [--rungs 3]
        [--rf0 1e-2] [--alpha 10] [--way quiet] [--elimination auto] [--out FOLDER] [-- -pc_type cholesky]

Lorenz 1996, 2 of 5 sites measured with noise 0.5 every 0.025, forcing estimated, trapezoid, a short ladder.
Calls mpirun itself, prints a table and writes big_path.json. PETSc options after -- go to the minimizer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder, step
from hpcda.models.lorenz96 import build
from hpcda.problem import Array, Estimated, Problem, Window
from hpcda.search import WAYS, SearchContext, begin

DT, NOISE, FORCING = 0.025, 0.5, 8.17
CHILD = "HPCDA_BIG_PATH_CHILD"


class Clock:
    """Wall seconds and calls by the name of a phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside as one call of the phase."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
            self.calls[name] = self.calls.get(name, 0) + 1

    def watched(self, name: str, function: Any) -> Any:
        """The function, its calls counted."""

        def counted(*arguments: Any) -> Any:
            with self.phase(name):
                return function(*arguments)

        return counted


def truth(dimension: int, times: int) -> Array:
    """States, shape (times, dimension), by the Runge-Kutta method of order 4 with steps of DT / 2."""
    x = FORCING + np.random.default_rng(0).normal(size=dimension)
    h = DT / 2

    def rate(x: Array) -> Array:
        return (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + FORCING

    def later(x: Array) -> Array:
        k1 = rate(x)
        k2 = rate(x + h / 2 * k1)
        k3 = rate(x + h / 2 * k2)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(x + h * k3))

    for _ in range(1600):
        x = later(x)
    found = np.empty((times, dimension))
    for number in range(times):
        found[number] = x
        x = later(later(x))
    return found


def problem_of(dimension: int, times: int) -> Problem:
    """The benchmark problem."""
    measured = [site for site in range(dimension) if site % 5 in (0, 2)]
    data = truth(dimension, times)[:, measured]
    data = data + NOISE * np.random.default_rng(1).standard_normal(data.shape)
    return Problem(
        model=build(dimension=dimension),
        discretization="trapezoid",
        windows=(Window(DT * np.arange(times), data, np.full(data.shape, NOISE), np.zeros((times, 0))),),
        observed={f"x{site}": f"x{site}" for site in measured},
        parameters=(Estimated("F", (4.0, 14.0)),),
        state_start=np.tile([-10.0, 15.0], (dimension, 1)),
        state_bounds=np.tile([-np.inf, np.inf], (dimension, 1)),
        model_error_weight=np.ones(dimension),
    )


def measure(arguments: argparse.Namespace) -> None:
    """What every rank does."""
    from mpi4py import MPI

    from hpcda.petsc import SolverOptions, make_minimizer
    from hpcda.petsc.start import PETSc

    comm, clock, rungs = MPI.COMM_WORLD, Clock(), []
    with clock.phase("twin"):
        problem = problem_of(arguments.dimension, arguments.times)
    with clock.phase("compile, tables"):
        action = Action(problem)
    ladder = Ladder(arguments.rf0, arguments.alpha, arguments.rungs)
    climb = begin(SearchContext(problem, ladder), WAYS[arguments.way], 1, 0)
    with SolverOptions(line=arguments.petsc) as options:
        with clock.phase("system"):
            minimizer = make_minimizer(action, comm=comm, elimination=arguments.elimination)
        system = minimizer.system
        minimizer.tao.setObjectiveGradient(
            clock.watched("action, gradient", system.objective_gradient), system.gradient
        )
        minimizer.tao.setHessian(clock.watched("assembly", system.assemble), system.hessian, system.hessian)
        newton = minimizer._newton
        newton._solve_shifted = clock.watched("linear: solve", newton._solve_shifted)
        newton._lengths = clock.watched("linear: length", newton._lengths)
        info = system.hessian.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)
        while not climb.ended(ladder):
            before = dict(clock.seconds)
            climb, rung = step(climb, ladder, minimizer)
            outcome = rung
            row = {
                "rf": float(ladder.rf[rung.number]),
                "action": outcome.parts.total,
                "measurement": outcome.parts.measurement,
                "seconds": rung.seconds,
                "iterations": outcome.iterations,
                "linear": outcome.factorizations,
                "gradient_norm": outcome.gradient_norm,
                "reason": outcome.reason.name,
                "F": float(outcome.path[-1]),
                "phases": {name: value - before.get(name, 0.0) for name, value in clock.seconds.items()},
                "solver": newton.chain[newton._solvers.index(newton._ksp)].sentence,
            }
            rungs.append(row)
            if comm.rank == 0:
                print(
                    f"Rf {row['rf']:8.3g}  action {row['action']:14.8g}  {row['iterations']:4d} iterations "
                    f"{row['linear']:4d} linear systems {row['seconds']:8.1f} s  gradient "
                    f"{row['gradient_norm']:.1e}  F {row['F']:.4f}  {row['reason']}  [{row['solver']}]",
                    flush=True,
                )
        options.check()
        memory = comm.gather(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
        result = {
            "dimension": arguments.dimension,
            "times": arguments.times,
            "ranks": comm.size,
            "unknowns": problem.size,
            "nonzeros": int(info["nz_used"]),
            "linear_solver": minimizer.linear,
            "petsc_options": arguments.petsc,
            "peak_mb": memory,
            "seconds": clock.seconds,
            "calls": clock.calls,
            "rungs": rungs,
        }
        minimizer.destroy()
    if comm.rank == 0:
        report(result)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "big_path.json").write_text(json.dumps(result, indent=1))


def report(result: dict[str, Any]) -> None:
    """Print the table."""
    print(
        f"\n{result['unknowns']} unknowns, {result['nonzeros']} nonzeros, {result['ranks']} ranks\n"
        f"solver: {result['linear_solver']}\n"
        f"peak memory a rank: {', '.join(f'{value:.0f} MB' for value in result['peak_mb'])}"
    )
    for name, seconds in result["seconds"].items():
        print(f"{name:20s} {seconds:9.2f} s in {result['calls'][name]:5d} calls")


def main() -> None:
    """Start the ranks, or be one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dimension", type=int, default=1000)
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rungs", type=int, default=3)
    parser.add_argument("--rf0", type=float, default=1e-2)
    parser.add_argument("--alpha", type=float, default=10.0)
    parser.add_argument("--way", choices=list(WAYS), default="quiet")
    parser.add_argument("--elimination", default="auto", help="auto, tree, mumps or krylov")
    parser.add_argument("--out", type=Path, default=Path())
    own, petsc = sys.argv[1:], []
    if "--" in own:
        own, petsc = own[: own.index("--")], own[own.index("--") + 1 :]
    arguments = parser.parse_args(own)
    arguments.petsc = petsc
    if arguments.ranks == 1 or os.environ.get(CHILD):
        measure(arguments)
        return
    mpirun = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if mpirun is None:
        parser.error("mpirun is not on PATH")
    single = {name: "1" for name in (CHILD, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [mpirun, "-n", str(arguments.ranks), sys.executable, *sys.argv]
    raise SystemExit(subprocess.run(command, env=os.environ | single, check=False).returncode)


if __name__ == "__main__":
    main()
