"""Lorenz's convection model of 1963, the smallest chaotic flow of meteorology.

    dx/dt = sigma (y - x),   dy/dt = rho x - y - x z,   dz/dt = x y - beta z

Source: E. N. Lorenz, "Deterministic nonperiodic flow", J. Atmos. Sci. 20, 130-141 (1963), equations
(25)-(27) with its values sigma = 10, rho = 28, beta = 8/3. The fixed points x = y = ±√(beta (rho - 1)), z =
rho - 1 lose their stability at rho = sigma (sigma + beta + 3) / (sigma - beta - 1) = 24.74.
"""

from __future__ import annotations

from typing import Any

from hpcda.models.model import Model, Parameter, State


def equations(x: Any, p: Any) -> list[Any]:
    """dx/dt of x, y and z."""
    u, v, w = x
    return [p.sigma * (v - u), p.rho * u - v - u * w, u * v - p.beta * w]


def build() -> Model:
    """Build the model; it has no options."""
    return Model(
        name="lorenz63",
        title="Lorenz 1963, chaotic convection in three modes",
        states=(
            State("x", range=(-20.0, 20.0), initial=1.0),
            State("y", range=(-25.0, 25.0), initial=1.0),
            State("z", range=(0.0, 50.0), initial=20.0),
        ),
        parameters=(
            Parameter("sigma", 10.0, range=(5.0, 20.0)),
            Parameter("rho", 28.0, range=(20.0, 40.0)),
            Parameter("beta", 8.0 / 3.0, range=(1.0, 5.0)),
        ),
        equations=equations,
        citation='E. N. Lorenz, "Deterministic nonperiodic flow", J. Atmos. Sci. 20, 130-141 (1963)',
    )
