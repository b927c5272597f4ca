"""The jobs of jobs/recurrent beside GRU, LSTM and a neural ODE in PyTorch, on the same data and split.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.recurrent [--seeds 3] [--only sunspots]

Needs PyTorch and torchdiffeq. Every forecast begins at the end of the window and sees nothing after it. Ours
is that of the lowest level, and the median over all starts; a peer's is that of the seed with the lowest loss
in training, and the median over seeds. Errors are roots of mean squares over the first half of what is kept
back, and over all of it. Naive: the last value (persistence), the mean of the window, and, by the calendar,
the mean of each month.

GRU and LSTM: as many units as the job has, one step ahead from the data (teacher forcing) by Adam, weight
decay 1e-4, the last tenth of the window chooses when to stop; then their own output is fed back. Neural ODE:
the equations of the job, classical Runge-Kutta at the time of the samples, multiple shooting: segments of ten
samples begin at states of their own, y too, and their ends are drawn to where the next one begins; Adam.
Times are CPU seconds of one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchdiffeq import odeint

import hpcda
from hpcda.job import load_job

JOBS = Path(__file__).parents[2] / "jobs/recurrent"
EPOCHS, PATIENCE = 1500, 200
SEGMENT, SHOTS, DRAWN = 10, 2000, 10.0
"""Samples of a segment; steps of Adam; weight of the squares by which segments miss each other."""
Array = np.ndarray


def rms(error: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(error))))


def told(name: str, forecast: Array, data: Array, seconds: float | None = None, more: str = "") -> None:
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
        run = hpcda.open_run(hpcda.run(job, output=Path(folder) / "run", quiet=True))
        seconds = time.process_time() - began
        levels = run.actions.values[:, -1]
        order = np.argsort(levels)
        made = [run.predicted(int(start)) for start in order]
        forecasts = np.array([one.observed[1:] for one in made])
        path = run.path(int(order[0]))[0][0]
        return run.windows[0], forecasts, made[0].data[1:], (levels[order], path), seconds


class Recurrent(torch.nn.Module):
    """A GRU or LSTM of one layer with a linear output."""

    def __init__(self, kind: str, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = getattr(torch.nn, kind)(inputs, units, batch_first=True)
        self.out = torch.nn.Linear(units, 1)

    def forward(self, x: torch.Tensor, memory: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs and memory."""
        found, memory = self.cell(x, memory)
        return self.out(found)[..., 0], memory


def fed_back(kind: str, units: int, y: Array, clock: Array, steps: int, seed: int) -> tuple[float, Array]:
    """Loss in training, and forecast of `steps` values; y standardized, clock of shape (N + steps, C)."""
    torch.manual_seed(seed)
    series, calendar = torch.tensor(y, dtype=torch.float32), torch.tensor(clock, dtype=torch.float32)
    net = Recurrent(kind, 1 + clock.shape[1], units)
    adam = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
    count = len(y)
    x = torch.cat([series[:-1, None], calendar[1:count]], dim=1)[None]
    kept = count - 1 - count // 10
    best, weights, since = np.inf, None, 0
    for _ in range(EPOCHS):
        adam.zero_grad()
        errors = (net(x)[0][0] - series[1:]) ** 2
        errors[:kept].mean().backward()
        held = float(errors[kept:].mean().detach())
        if held < best:
            best, since = held, 0
            weights = {name: value.clone() for name, value in net.state_dict().items()}
        since += 1
        if since > PATIENCE:
            break
        adam.step()
    net.load_state_dict(weights)
    with torch.no_grad():
        out, memory = net(x)
        loss = float(((out[0] - series[1:]) ** 2).mean())
        value, found = series[-1], []
        for n in range(steps):
            step = torch.cat([value[None], calendar[count + n]])[None, None]
            out, memory = net(step, memory)
            value = out[0, 0]
            found.append(float(value))
    return loss, np.array(found)


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
    told("hpcda, lowest level", forecasts[0], data, seconds, f"all {len(levels)} starts")
    told("hpcda, median of starts", np.median(forecasts, axis=0), data)
    mean, std = y.mean(), y.std()
    angle = 2 * np.pi * every[:, None] / period if period else np.zeros((len(every), 0))
    clock = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    for kind in ("GRU", "LSTM"):
        best, middle, spent = of_seeds(
            lambda seed, kind=kind: fed_back(kind, units, (y - mean) / std, clock, steps, seed), seeds
        )
        told(f"{kind}, lowest loss", (mean + std * best)[:, None], data, spent, "a seed")
        told(f"{kind}, median of seeds", (mean + std * middle)[:, None], data)
    told("persistence", np.full((steps, 1), y[-1]), data)
    told("mean", np.full((steps, 1), mean), data)
    if period:
        months = np.array([y[k::period].mean() for k in range(period)])
        told("mean of the month", months[every[len(y) :] % period][:, None], data)


class Field(torch.nn.Module):
    """The vector field of jobs/recurrent/field.py."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(3, units), torch.nn.Tanh(), torch.nn.Linear(units, 2))
        self.middle = torch.tensor([0.0, 0.0, 25.0])

    def forward(self, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """Rates, shape (..., 3)."""
        known = 10.0 * (s[..., 1:2] - s[..., :1])
        return torch.cat([known, 10.0 * self.net((s - self.middle) / 10.0)], dim=-1)


def shooting(units: int, dt: float, data: Array, steps: int, seed: int) -> tuple[float, Array]:
    """Loss, and x, y, z of the window and after it, shape (N + steps, 3)."""
    torch.manual_seed(seed)
    field, seen = Field(units), torch.tensor(data, dtype=torch.float32)
    segments = (len(data) - 1) // SEGMENT
    used = segments * SEGMENT
    begin = torch.stack([seen[:used:SEGMENT, 0], seen[:used:SEGMENT, 0], seen[:used:SEGMENT, 1]], dim=1)
    begin = torch.nn.Parameter(begin.clone())
    wanted = torch.stack([seen[k : used + k : SEGMENT] for k in range(SEGMENT + 1)])
    times = dt * torch.arange(SEGMENT + 1, dtype=torch.float32)
    adam = torch.optim.Adam([{"params": field.parameters(), "lr": 1e-2}, {"params": [begin], "lr": 5e-2}])
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(adam, SHOTS)
    for _ in range(SHOTS):
        adam.zero_grad()
        path = odeint(field, begin, times, method="rk4")
        misfit = ((path[..., [0, 2]] - wanted) ** 2).mean()
        missed = ((path[-1, :-1] - begin[1:]) ** 2).mean()
        loss = misfit + DRAWN * missed
        loss.backward()
        adam.step()
        slower.step()
    with torch.no_grad():
        inside = path[:-1].transpose(0, 1).reshape(-1, 3)
        ahead = dt * torch.arange(len(data) - used + steps, dtype=torch.float32)
        after = odeint(field, path[-1, -1], ahead, method="rk4")
    return float(loss.detach()), np.concatenate([inside.numpy(), after.numpy()])


def lorenz(units: int, seeds: int) -> None:
    """The job with a network for two equations of Lorenz 1963."""
    window, forecasts, data, (levels, path), seconds = ours(load_job(JOBS / "lorenz63.toml"))
    count, steps = len(window.data), len(data)
    at = np.searchsorted(window.truth_t, window.t - 1e-9)
    truth = window.truth[at, 1]
    print(f"lorenz63: {count} samples, {steps} kept back (x, z); levels {np.round(levels[:4], 2)}")
    told("hpcda, lowest level", forecasts[0], data, seconds,
         f"all {len(levels)} starts; y to {rms(path[:, 1] - truth):.3f}")  # fmt: skip
    told("hpcda, median of starts", np.median(forecasts, axis=0), data)
    dt = float(window.t[1] - window.t[0])
    best, middle, spent = of_seeds(lambda seed: shooting(units, dt, window.data, steps, seed), seeds)
    told("neural ODE, lowest loss", best[count:, [0, 2]], data, spent,
         f"a seed; y to {rms(best[:count, 1] - truth):.3f}")  # fmt: skip
    told("neural ODE, median", middle[count:, [0, 2]], data)
    told("persistence", np.repeat(window.data[-1:], steps, axis=0), data)
    told("mean", np.repeat(window.data.mean(axis=0)[None], steps, axis=0), data)


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
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name, run in CASES.items():
        if given.only in (None, name):
            run(given.seeds)


if __name__ == "__main__":
    main()
