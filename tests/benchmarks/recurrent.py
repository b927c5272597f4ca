"""The jobs of jobs/recurrent beside GRU, LSTM and a neural ODE in PyTorch, on the same data and split.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.recurrent [--seeds 3] [--only sunspots]
    OMP_NUM_THREADS=1 python -m tests.benchmarks.recurrent --diffrax /its/venv/bin/python

Needs PyTorch and torchdiffeq; with --diffrax only a Python of its own that has JAX, diffrax and optax, which
need NumPy 2, and of the jobs Lorenz 1963 alone is run. Every forecast begins at the end of the window and
sees nothing after it. Ours is that of the lowest level, and the median over all starts; a peer's is that of
the seed with the lowest loss in training, and the median over seeds. Errors are roots of mean squares over
the first half of what is kept back, and over all of it. Naive: the last value (persistence), the mean of the
window, and, by the calendar, the mean of each month.

GRU and LSTM: as many units as the job has, one step ahead from the data (teacher forcing) by Adam, weight
decay 1e-4, the last tenth of the window chooses when to stop; then their own output is fed back. Neural ODE:
the equations of the job, classical Runge-Kutta at the time of the samples, multiple shooting: segments of ten
samples begin at states of their own, y too, and their ends are drawn to where the next one begins; Adam. That
in diffrax has the noise and the priors of the job, and gaps between segments of growing weight.
Times are CPU seconds of one core.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpcda
from hpcda import runner
from hpcda.job import load_job

JOBS = Path(__file__).parents[2] / "jobs/recurrent"
Array = np.ndarray


def rms(error: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(error))))


def report(name: str, forecast: Array, data: Array, seconds: float | None = None, more: str = "") -> None:
    """One row of the table; forecasts and data of shape (M, L)."""
    half = len(data) // 2
    columns = [" ".join(f"{rms(forecast[:n, k] - data[:n, k]):8.3f}" for k in range(data.shape[1]))
               for n in (half, len(data))]  # fmt: skip
    spent = "" if seconds is None else f"{seconds:8.1f} s"
    print(f"  {name:24s} {columns[0]}  | {columns[1]}  {spent} {more}", flush=True)


def ours(job: Any) -> tuple[Any, Array, Array, Array, float]:
    """The run, forecasts of every start from the lowest level on, data, levels, CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run = hpcda.open_run(runner.run(job, output=Path(folder) / "run", quiet=True))
        seconds = time.process_time() - began
        levels = run.actions.values[:, -1]
        order = np.argsort(levels)
        made = [run.predicted(int(start)) for start in order]
        forecasts = np.array([one.observed[1:] for one in made])
        path = run.kept_path(int(order[0]))[0][0]
        return run.windows[0], forecasts, made[0].data[1:], (levels[order], path), seconds


def of_seeds(one: Callable[[int], tuple[float, Array]], seeds: int) -> tuple[Array, Array, float]:
    """The forecast of lowest loss, the median over seeds, CPU seconds of one."""
    began = time.process_time()
    found = sorted((one(seed) for seed in range(seeds)), key=lambda pair: pair[0])
    seconds = (time.process_time() - began) / seeds
    forecasts = np.array([forecast for _, forecast in found])
    return forecasts[0], np.median(forecasts, axis=0), seconds


def series(name: str, units: int, period: int, seeds: int) -> None:
    """A job of one measured series."""
    window, forecasts, data, (levels, _), seconds = ours(load_job(JOBS / f"{name}.toml"))
    y, steps = window.data[:, 0], len(data)
    every = np.arange(len(y) + steps)
    print(f"{name}: {len(y)} samples, {steps} kept back; levels {np.round(levels[:4], 2)}")
    report("hpcda, lowest level", forecasts[0], data, seconds, f"all {len(levels)} starts")
    report("hpcda, median of starts", np.median(forecasts, axis=0), data)
    mean, std = y.mean(), y.std()
    angle = 2 * np.pi * every[:, None] / period if period else np.zeros((len(every), 0))
    clock = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    from tests.benchmarks.recurrent_parts.pytorch import fed_back

    for kind in ("GRU", "LSTM"):
        best, middle, spent = of_seeds(
            lambda seed, kind=kind: fed_back(kind, units, (y - mean) / std, clock, steps, seed), seeds
        )
        report(f"{kind}, lowest loss", (mean + std * best)[:, None], data, spent, "a seed")
        report(f"{kind}, median of seeds", (mean + std * middle)[:, None], data)
    report("persistence", np.full((steps, 1), y[-1]), data)
    report("mean", np.full((steps, 1), mean), data)
    if period:
        months = np.array([y[k::period].mean() for k in range(period)])
        report("mean of the month", months[every[len(y) :] % period][:, None], data)


def shots(python: str, units: int, dt: float, sigma: Array, data: Array, steps: int, seed: int) -> Any:
    """What recurrent_parts/shooting.py finds: loss, path of shape (N + steps, 3), gaps, seconds."""
    program = Path(__file__).parent / "recurrent_parts/shooting.py"
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "data.npz", Path(folder) / "found.npz"
        np.savez(given, data=data, dt=dt, noise_std=sigma, steps=steps, units=units)
        without = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        one_core = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
        subprocess.run([python, program, given, found, str(seed)], check=True, env=without | one_core)
        return dict(np.load(found))


def lorenz(units: int, seeds: int, diffrax: str | None = None) -> None:
    """The job with a network for two equations of Lorenz 1963."""
    job = load_job(JOBS / "lorenz63.toml")
    window, forecasts, data, (levels, path), seconds = ours(job)
    count, steps = len(window.data), len(data)
    at = np.searchsorted(window.truth_t, window.t - 1e-9)
    truth = window.truth[at, 1]
    print(f"lorenz63: {count} samples, {steps} kept back (x, z); levels {np.round(levels[:4], 2)}")
    report("hpcda, lowest level", forecasts[0], data, seconds,
         f"all {len(levels)} starts; y to {rms(path[:, 1] - truth):.3f}")  # fmt: skip
    report("hpcda, median of starts", np.median(forecasts, axis=0), data)
    dt = float(window.t[1] - window.t[0])
    if diffrax:
        sigma = np.array([0.5, 0.5])
        every = [shots(diffrax, units, dt, sigma, window.data, steps, seed) for seed in range(seeds)]
        every.sort(key=lambda one: float(one["loss"]))
        paths = [one["path"] for one in every]
        spent = float(np.mean([one["seconds"] for one in every]))
        print(f"  diffrax: losses {[round(float(one['loss']), 1) for one in every]}, "
              f"Σ gap²/σ² {[round(float(one['gaps']), 2) for one in every]}")  # fmt: skip
    else:
        from tests.benchmarks.recurrent_parts.pytorch import shooting

        began = time.process_time()
        found = sorted(
            (shooting(units, dt, window.data, steps, seed) for seed in range(seeds)), key=lambda one: one[0]
        )
        paths, spent = [one for _, one in found], (time.process_time() - began) / seeds
    report("neural ODE, lowest loss", paths[0][count:, [0, 2]], data, spent,
         f"a seed; y to {rms(paths[0][:count, 1] - truth):.3f}")  # fmt: skip
    report("neural ODE, median", np.median(paths, axis=0)[count:, [0, 2]], data)
    report("persistence", np.repeat(window.data[-1:], steps, axis=0), data)
    report("mean", np.repeat(window.data.mean(axis=0)[None], steps, axis=0), data)


CASES: dict[str, Callable[[int], None]] = {
    "sunspots": lambda seeds: series("sunspots", 8, 0, seeds),
    "elnino": lambda seeds: series("elnino", 6, 12, seeds),
    "lorenz63": lambda seeds: lorenz(8, seeds),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--diffrax", metavar="PYTHON", help="a Python that has diffrax")
    given = parser.parse_args(arguments)
    if given.diffrax:
        if given.only not in (None, "lorenz63"):
            parser.error(f"--only {given.only}: diffrax is for lorenz63 alone; leave one out")
        lorenz(8, given.seeds, given.diffrax)
        return
    for name, run in CASES.items():
        if given.only in (None, name):
            run(given.seeds)


if __name__ == "__main__":
    main()
