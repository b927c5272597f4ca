"""A small Lorenz 1963 problem from synthetic data, with and without bounds."""

from __future__ import annotations

import numpy as np

from hpcda.models.lorenz63 import build
from hpcda.models.twin import simulate, spin_up
from hpcda.problem import Estimated, Problem, Window
from tests.chance import generator

FREE = (-np.inf, np.inf)


def lorenz_problem(
    times=31, discretization="trapezoid", bounded=False, rho_bounds=FREE, **changes
) -> Problem:
    """x and z measured with noise, rho estimated."""
    model = build()
    t = 0.02 * np.arange(times)
    truth = simulate(model, None, spin_up(model, None, np.array([1.0, 1.0, 20.0]), 10.0), t)
    data = truth[:, [0, 2]] + 0.5 * generator(1).standard_normal((times, 2))
    data[5:8] = np.nan
    bounds = [(-30.0, 30.0), (-40.0, 40.0), (0.0, 60.0)] if bounded else [FREE] * 3
    fields = {
        "model": model,
        "discretization": discretization,
        "windows": (Window(t, data, np.full(data.shape, 0.5), np.zeros((times, 0))),),
        "observed": {"x": "x", "z": "z"},
        "parameters": (Estimated("rho", (20.0, 40.0), bounds=rho_bounds),),
        "fixed": {"sigma": 10.0, "beta": 8.0 / 3.0},
        "state_start": np.array([state.range for state in model.states]),
        "state_bounds": np.array(bounds),
        "model_error_weight": np.ones(3),
    }
    return Problem(**(fields | changes))
