"""The chaotic Colpitts oscillator, an LC circuit around one transistor, without units.

    dx1/dt = alpha x2
    dx2/dt = -gamma (x1 + x3) - q x2
    dx3/dt = eta (x2 + 1 - exp(-x1))

x1 and x3 are voltages of the two capacitors, x2 the current of the coil. The origin is the only fixed
point.

Source: the form and the values alpha = 5, gamma = 0.0797, q = 0.6898, eta = 6.2723 of H. D. I. Abarbanel,
D. R. Creveling, J. M. Jeanne, "Estimation of parameters in nonlinear systems using balanced
synchronization", Phys. Rev. E 77, 016208 (2008); measured circuits: J. C. Quinn, P. H. Bryant, D. R.
Creveling, S. R. Klein, H. D. I. Abarbanel, Phys. Rev. E 80, 016201 (2009), arXiv:0904.2798.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.models.model import Model, Parameter, State


def equations(x: Any, p: Any) -> list[Any]:
    """dx/dt of x1, x2 and x3."""
    x1, x2, x3 = x
    return [p.alpha * x2, -p.gamma * (x1 + x3) - p.q * x2, p.eta * (x2 + 1.0 - np.exp(-x1))]


def build() -> Model:
    """Build the model; it has no options."""
    return Model(
        name="colpitts",
        title="Colpitts oscillator, a chaotic transistor circuit",
        states=(
            State("x1", range=(-5.0, 25.0), initial=0.1),
            State("x2", range=(-5.0, 5.0), initial=0.1),
            State("x3", range=(-25.0, 25.0), initial=0.1),
        ),
        parameters=(
            Parameter("alpha", 5.0, range=(2.5, 7.5)),
            Parameter("gamma", 0.0797, range=(0.04, 0.16)),
            Parameter("q", 0.6898, range=(0.35, 1.4)),
            Parameter("eta", 6.2723, range=(3.0, 12.0)),
        ),
        equations=equations,
        citation="H. D. I. Abarbanel, D. R. Creveling, J. M. Jeanne, Phys. Rev. E 77, 016208 (2008)",
    )
