"""The FitzHugh-Nagumo neuron: a fast voltage and a slow recovery.

    dV/dt = V - V³/3 - w + I(t),   dw/dt = (V + a - b w) / tau

Source: R. FitzHugh, "Impulses and physiological states in theoretical models of nerve membrane", Biophys. J.
1, 445-466 (1961), equations (1) and (2) with the signs of V and I turned as in J. Nagumo, S. Arimoto, S.
Yoshizawa, Proc. IRE 50, 2061 (1962); values: FitzHugh's a = 0.7, b = 0.8, 1/tau = 0.08. Rest loses its
stability near I = 0.33.
"""

from __future__ import annotations

from typing import Any

from hpcda.models.model import Model, Parameter, State, Stimulus


def equations(x: Any, p: Any, u: Any) -> list[Any]:
    """dx/dt of V and w."""
    V, w = x
    return [V - V * V * V / 3.0 - w + u.I, (V + p.a - p.b * w) / p.tau]


def build() -> Model:
    """Build the model; it has no options."""
    return Model(
        name="fitzhugh_nagumo",
        title="FitzHugh-Nagumo neuron, two states",
        states=(State("V", range=(-2.5, 2.5), initial=-1.2), State("w", range=(-1.0, 2.0), initial=-0.62)),
        parameters=(
            Parameter("a", 0.7, range=(0.3, 1.1)),
            Parameter("b", 0.8, range=(0.4, 1.2)),
            Parameter("tau", 12.5, range=(5.0, 25.0)),
        ),
        equations=equations,
        stimuli=(Stimulus("I"),),
        citation="R. FitzHugh, Biophys. J. 1, 445-466 (1961)",
    )
