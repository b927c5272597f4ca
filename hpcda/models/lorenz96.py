"""Lorenz's model of 1996: D sites of an atmospheric variable around a circle of latitude.

    dx_a/dt = (x_{a+1} - x_{a-2}) x_{a-1} - x_a + F,   a = 0 … D-1, indices modulo D

Source: E. N. Lorenz, "Predictability: a problem partly solved", Proc. Seminar on Predictability, ECMWF,
vol. 1, 1-18 (1996), equation (1). The quadratic terms conserve Σ x². F = 8.17 is the value of the
data-assimilation papers: J. Ye, D. Rey, N. Kadakia, M. Eldridge, U. I. Morone, P. Rozdeba, H. D. I.
Abarbanel, J. C. Quinn, "Systematic variational method for statistical nonlinear state and parameter
estimation", Phys. Rev. E 92, 052901 (2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model, Parameter, State

FORCING = 8.17
MOST_SITES = 10_000


def _drift(x: Any) -> Any:
    """dx/dt without the forcing, shape of x."""
    return (np.roll(x, -1, axis=0) - np.roll(x, 2, axis=0)) * np.roll(x, 1, axis=0) - x


def uniform(x: Any, p: Any) -> list[Any]:
    """dx/dt with one forcing F for all sites."""
    return [rate + p.F for rate in _drift(x)]


def by_site(x: Any, p: Any) -> list[Any]:
    """dx/dt with a forcing F0, F1, … for each site."""
    return [rate + p[f"F{site}"] for site, rate in enumerate(_drift(x))]


def build(dimension: int = 20, site_forcing: bool = False) -> Model:
    """Build the model.

    Args:
        dimension: Number of sites D, from 4 to 10,000.
        site_forcing: Give every site its own forcing F0 … F{D-1} instead of the common F.

    Raises:
        InputError: The dimension is not one of these.
    """
    if not 4 <= dimension <= MOST_SITES:
        problem = f"{dimension} sites are too {'few' if dimension < 4 else 'many'}"
        raise InputError(Mistake("model.options.dimension", problem, f"write from 4 to {MOST_SITES}"))
    names = [f"F{site}" for site in range(dimension)] if site_forcing else ["F"]
    return Model(
        name="lorenz96",
        title=f"Lorenz 1996, {dimension} sites on a circle of latitude",
        states=tuple(
            State(f"x{site}", range=(-10.0, 15.0), initial=FORCING + (site == 0)) for site in range(dimension)
        ),
        parameters=tuple(Parameter(name, FORCING, range=(4.0, 14.0)) for name in names),
        equations=by_site if site_forcing else uniform,
        citation='E. N. Lorenz, "Predictability: a problem partly solved", '
        "Proc. Seminar on Predictability, ECMWF, vol. 1, 1-18 (1996)",
    )
