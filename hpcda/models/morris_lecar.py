"""The Morris-Lecar neuron: calcium, potassium and leak currents in two states.

    C dV/dt = I(t) - gL (V - VL) - gCa m∞(V) (V - VCa) - gK w (V - VK)
      dw/dt = phi (w∞(V) - w) cosh((V - V3) / (2 V4))
    m∞ = (1 + tanh((V - V1)/V2)) / 2,   w∞ = (1 + tanh((V - V3)/V4)) / 2

Source: C. Morris, H. Lecar, "Voltage oscillations in the barnacle giant muscle fiber", Biophys. J. 35,
193-213 (1981), equations (9); values: the Hopf regime of J. Rinzel, B. Ermentrout, "Analysis of neural
excitability and oscillations", in Methods in Neuronal Modeling, 2nd ed., MIT Press (1998), table 7.1, in
which rest loses its stability near I = 94 µA/cm². It is the neuron of M. J. Moye, C. O. Diekman, J. Math.
Neurosci. 8, 11 (2018), where its parameters are estimated from one voltage trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.models.model import Model, Parameter, State, Stimulus


def equations(x: Any, p: Any, u: Any) -> list[Any]:
    """dx/dt of V (mV/ms) and w (1/ms)."""
    V, w = x
    m_inf = 0.5 * (1.0 + np.tanh((V - p.V1) / p.V2))
    w_inf = 0.5 * (1.0 + np.tanh((V - p.V3) / p.V4))
    current = p.gL * (V - p.VL) + p.gCa * m_inf * (V - p.VCa) + p.gK * w * (V - p.VK)
    return [(u.I - current) / p.C, p.phi * (w_inf - w) * np.cosh((V - p.V3) / (2.0 * p.V4))]


def build() -> Model:
    """Build the model; it has no options."""
    siemens = "mS/cm^2"
    return Model(
        name="morris_lecar",
        title="Morris-Lecar neuron, two states",
        time_unit="ms",
        states=(
            State("V", "mV", range=(-70.0, 60.0), initial=-60.0),
            State("w", range=(0.0, 1.0), initial=0.015),
        ),
        parameters=(
            Parameter("C", 20.0, "uF/cm^2"),
            Parameter("gL", 2.0, siemens),
            Parameter("VL", -60.0, "mV", (-70.0, -50.0)),
            Parameter("gCa", 4.4, siemens),
            Parameter("VCa", 120.0, "mV", (100.0, 140.0)),
            Parameter("gK", 8.0, siemens),
            Parameter("VK", -84.0, "mV", (-100.0, -70.0)),
            Parameter("V1", -1.2, "mV", (-10.0, 10.0)),
            Parameter("V2", 18.0, "mV", (10.0, 30.0)),
            Parameter("V3", 2.0, "mV", (-10.0, 15.0)),
            Parameter("V4", 30.0, "mV", (15.0, 40.0)),
            Parameter("phi", 0.04, "1/ms"),
        ),
        equations=equations,
        stimuli=(Stimulus("I", "uA/cm^2"),),
        citation="C. Morris, H. Lecar, Biophys. J. 35, 193-213 (1981)",
    )
