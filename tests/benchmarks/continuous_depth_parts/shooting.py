"""Multiple shooting by SciPy's least_squares for the field of jobs/recurrent/lorenz63.toml.

Segments of ten samples begin at states of their own, y too, which nothing measures; classical Runge-Kutta at
half the time of the samples; residuals are misfits/σ, weights/std (the job's priors), and gaps √w/σ between
segments with w = 0.1 … 1e4, stage after stage. Derivatives are central differences, of all segments at once.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from hpcda.job import load_job

Array = np.ndarray
UNITS, SEGMENT, SIGMA, HALVES = 8, 10, 0.5, 2
STAGES = (0.1, 1.0, 10.0, 100.0, 1e4)
STD = np.repeat([1.0, 1.0, 5.0, 5.0], [UNITS * 3, UNITS, 2 * UNITS, 2])
JOB = Path(__file__).parents[3] / "jobs/recurrent/lorenz63.toml"


def rates(weights: Array, s: Array) -> Array:
    """The field: weights of shape (batch, 58), states (batch, segments, 3)."""
    ends = np.cumsum([UNITS * 3, UNITS, 2 * UNITS])
    w1, b1, w2, b2 = np.split(weights, ends, axis=1)
    scaled = (s - np.array([0.0, 0.0, 25.0])) / 10.0
    hidden = np.tanh(scaled @ w1.reshape(-1, UNITS, 3).transpose(0, 2, 1) + b1[:, None])
    net = hidden @ w2.reshape(-1, 2, UNITS).transpose(0, 2, 1) + b2[:, None]
    return np.concatenate([10.0 * (s[..., 1:2] - s[..., :1]), 10.0 * net], axis=2)


def along(weights: Array, begin: Array, dt: float, samples: int) -> Array:
    """States at the samples, shape (samples + 1, batch, segments, 3)."""
    found, h = [begin], dt / HALVES
    for _ in range(samples):
        s = found[-1]
        for _ in range(HALVES):
            k1 = rates(weights, s)
            k2 = rates(weights, s + h / 2 * k1)
            k3 = rates(weights, s + h / 2 * k2)
            k4 = rates(weights, s + h * k3)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        found.append(s)
    return np.array(found)


def fitted(data: Array, dt: float, seed: int) -> tuple[float, float, Array, float]:
    """½ χ² with priors, Σ gap²/σ², path (times, 3), CPU seconds."""
    rng, segments = np.random.default_rng(seed), (len(data) - 1) // SEGMENT
    weights = rng.uniform(-1.0, 1.0, len(STD)) * np.repeat([1.0, 1.0, 2.0, 1.0], [24, 8, 16, 2])
    first = data[: segments * SEGMENT : SEGMENT]
    begin = np.column_stack([first[:, 0], first[:, 0], first[:, 1]])
    wanted = np.array([data[k : k + segments * SEGMENT : SEGMENT] for k in range(SEGMENT)])

    def split(unknown: Array) -> tuple[Array, Array]:
        return unknown[: len(STD)], unknown[len(STD) :].reshape(segments, 3)

    def residuals(path: Array, begin: Array, weights: Array, w: float) -> tuple[Array, Array, Array, Array]:
        misfit = (path[:-1, :, :, ::2] - wanted[:, None]) / SIGMA
        last = (path[-1][:, -1, ::2] - data[segments * SEGMENT]) / SIGMA
        gaps = np.sqrt(w) * (path[-1][:, :-1] - begin[:, 1:]) / SIGMA
        return misfit, last, gaps, weights / STD

    def value(unknown: Array, w: float) -> Array:
        own, start = split(unknown)
        parts = residuals(along(own[None], start[None], dt, SEGMENT), start[None], own[None], w)
        found = np.concatenate([part.ravel() for part in parts])
        return np.clip(np.nan_to_num(found, nan=1e6, posinf=1e6, neginf=-1e6), -1e6, 1e6)

    def jacobian(unknown: Array, w: float) -> Array:
        own, start = split(unknown)
        count, e = len(own), 1e-6
        moves = np.zeros((count + 3, count)), np.zeros((count + 3, 1, 3))
        moves[0][:count], moves[1][count:, 0] = np.eye(count), np.eye(3)
        both = [along(own + s * e * moves[0], start + s * e * moves[1], dt, SEGMENT) for s in (1, -1)]
        slope = (both[0] - both[1]) / (2 * e)  # (samples + 1, count + 3, segments, 3)
        size = 2 * SEGMENT * segments + 2 + 3 * (segments - 1) + count
        found = np.zeros((size, count + 3 * segments))
        misfit = slope[:-1, :, :, ::2] / SIGMA
        gaps = np.sqrt(w) * slope[-1, :, :-1] / SIGMA
        a, b = 2 * SEGMENT * segments, 2 * SEGMENT * segments + 2
        c = b + 3 * (segments - 1)
        found[:a, :count] = misfit[:, :count].transpose(0, 2, 3, 1).reshape(a, count)
        found[a:b, :count] = slope[-1, :count, -1, ::2].T / SIGMA
        found[b:c, :count] = gaps[:count].transpose(1, 2, 0).reshape(-1, count)
        found[c:, :count] = np.diag(1.0 / STD)
        by_begin = found[:, count:].reshape(size, segments, 3)
        rows = np.arange(a).reshape(SEGMENT, segments, 2)
        after = np.arange(b, c).reshape(segments - 1, 3)
        for k in range(segments):
            by_begin[rows[:, k], k] = misfit[:, count:, k].transpose(0, 2, 1)
            if k < segments - 1:
                by_begin[after[k], k] = gaps[count:, k].T
            if k:
                by_begin[after[k - 1], k] -= np.sqrt(w) * np.eye(3) / SIGMA
        by_begin[a:b, -1] = slope[-1, count:, -1, ::2].T / SIGMA
        return np.nan_to_num(found)

    unknown, began = np.concatenate([weights, begin.ravel()]), time.process_time()
    for w in STAGES:
        found = least_squares(value, unknown, jacobian, args=(w,), max_nfev=300, xtol=1e-9, ftol=1e-9)
        unknown = found.x
    own, start = split(unknown)
    path = along(own[None], start[None], dt, SEGMENT)
    gaps = float(np.sum(((path[-1, 0, :-1] - start[1:]) / SIGMA) ** 2))
    whole = np.concatenate([path[:-1, 0].transpose(1, 0, 2).reshape(-1, 3), path[-1, 0, -1:]])
    return 0.5 * float(np.sum(found.fun**2)), gaps, whole, time.process_time() - began


def shooting(seeds: int) -> None:
    """The table."""
    from tests.benchmarks.recurrent import ours, rms

    job = load_job(JOB)
    window, _, _, (levels, path), seconds = ours(job)
    at = np.searchsorted(window.truth_t, window.t - 1e-9)
    truth, dt = window.truth[at, 1], float(window.t[1] - window.t[0])
    print(f"lorenz63: hpcda {np.round(levels[:4], 2)}; y to {rms(path[:, 1] - truth):.3f} of a spread of "
          f"{truth.std():.1f}; {seconds:.1f} CPU s for {len(levels)} starts", flush=True)  # fmt: skip
    for seed in range(seeds):
        level, gaps, found, spent = fitted(window.data, dt, seed)
        print(f"  multiple shooting, seed {seed}: {level:.2f}, Σ gap²/σ² {gaps:.2g}; y to "
              f"{rms(found[: len(truth), 1] - truth):.3f}; {spent:.1f} CPU s", flush=True)  # fmt: skip
