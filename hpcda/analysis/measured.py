"""Fitted values of the data, residuals in units of the noise, and the variance that noise alone leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpcda.action.losses import LOSSES
from hpcda.analysis.prediction import observe
from hpcda.problem import Array, Noise, Problem


def parameters_of(problem: Problem, window: int, block: Array, constants: Array) -> dict[str, Any]:
    """Every parameter of a window by name: a number, or its values at all times, shape (N,).

    Args:
        problem: The problem.
        window: Number of the window.
        block: The path in it, shape (N, D + V).
        constants: The path's constants.
    """
    layout, stimuli = problem.layout, len(problem.model.stimuli)
    series = problem.windows[window].series[:, stimuli:]
    return {
        **problem.fixed,
        **dict(zip(problem.series, series.T, strict=True)),
        **dict(zip(layout.varying, block[:, problem.dimension :].T, strict=True)),
        **dict(zip(layout.seen_names, constants[layout.seen(window)].tolist(), strict=True)),
    }


def fitted(problem: Problem, window: int, block: Array, constants: Array) -> Array:
    """Values that a path has for what is measured, shape (N, L)."""
    parameters = parameters_of(problem, window, block, constants)
    expressions = tuple(problem.observed.values())
    return observe(expressions, problem.model.state_names, block[:, : problem.dimension], parameters)


def scales(problem: Problem, window: int, constants: Array) -> Array:
    """Scale of the noise of every datum, shape (N, L): as it is given, or estimated."""
    found = np.array(problem.windows[window].noise_std)
    known = dict(zip(problem.layout.seen_names, constants[problem.layout.seen(window)], strict=True))
    for column, name in enumerate(problem.observed):
        noise = problem.noise.get(name)
        if noise is not None and noise.scale is not None:
            found[:, column] = known[noise.scale]
    return found


def misfits(problem: Problem, window: int, fits: Array, scale: Array) -> Array:
    """Data minus fitted values in units of the noise, shape (N, L), NaN where nothing is measured."""
    data = problem.windows[window].data
    found = (data - fits) / scale
    for column, name in enumerate(problem.observed):
        noise = problem.noise.get(name)
        if noise is not None:
            h, y, s = fits[:, column], data[:, column], scale[:, column]
            found[:, column] = -LOSSES[noise.loss].residual(h, y, s, noise.options)
    return found


def noise_alone(problem: Problem, blocks: Sequence[Array], constants: Array) -> tuple[float, float]:
    """Expectation and variance of the measurement part of the action if a path is the true one."""
    mean = variance = 0.0
    plain = Noise("gaussian")
    for window, block in enumerate(blocks):
        fits, scale = fitted(problem, window, block, constants), scales(problem, window, constants)
        known = np.isfinite(problem.windows[window].data)
        for column, name in enumerate(problem.observed):
            noise, at = problem.noise.get(name, plain), known[:, column]
            h, s = fits[at, column], scale[at, column]
            each = LOSSES[noise.loss].noise(h, s, noise.options)
            mean += float(each[0].sum() + (np.log(s).sum() if noise.scale is not None else 0.0))
            variance += float(each[1].sum())
    return mean, variance
