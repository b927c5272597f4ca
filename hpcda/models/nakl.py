"""The NaKL neuron: Hodgkin and Huxley's sodium, potassium and leak currents with tanh gates.

    dV/dt = I(t) - gNa m³ h (V - ENa) - gK n⁴ (V - EK) - gL (V - EL)        (capacitance C = 1 µF/cm²)
    dg/dt = (g∞(V) - g) / τg(V),   g = m, h, n
    g∞ = (1 + tanh((V - vg)/dvg)) / 2,   τg = tg0 + tg1 (1 - tanh²((V - vg)/dvg))

All 18 parameters can be estimated. For another capacitance, divide I and the conductances by it.

Source: B. A. Toth, M. Kostuk, C. D. Meliza, D. Margoliash, H. D. I. Abarbanel, "Dynamical estimation of
neuron and network properties I: variational methods", Biol. Cybern. 105, 217-237 (2011); part II, ibid. 106,
155 (2012). Values: those of C. D. Meliza's simulator spyks (its model nakl), with one width, 30 mV, for both
curves of n.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.models.model import Model, Parameter, State, Stimulus

Pair = tuple[float, float]


def equations(x: Any, p: Any, u: Any) -> list[Any]:
    """dx/dt of V (mV/ms) and of the gates m, h, n (1/ms)."""
    V, m, h, n = x
    sodium = p.gNa * m * m * m * h * (V - p.ENa)
    potassium = p.gK * n * n * n * n * (V - p.EK)
    leak = p.gL * (V - p.EL)
    rates = []
    for name, gate in (("m", m), ("h", h), ("n", n)):
        bend = np.tanh((V - p[f"v{name}"]) / p[f"dv{name}"])
        tau = p[f"t{name}0"] + p[f"t{name}1"] * (1.0 - bend * bend)
        rates.append((0.5 * (1.0 + bend) - gate) / tau)
    return [u.I - sodium - potassium - leak, *rates]


def build() -> Model:
    """Build the model; it has no options."""
    siemens = "mS/cm^2"
    return Model(
        name="nakl",
        title="NaKL neuron, Hodgkin-Huxley currents with 18 parameters",
        time_unit="ms",
        states=(
            State("V", "mV", range=(-100.0, 60.0), initial=-65.0),
            State("m", range=(0.0, 1.0), initial=0.035),
            State("h", range=(0.0, 1.0), initial=0.66),
            State("n", range=(0.0, 1.0), initial=0.34),
        ),
        parameters=(
            Parameter("gNa", 120.0, siemens, (50.0, 200.0)),
            Parameter("ENa", 50.0, "mV", (40.0, 60.0)),
            Parameter("gK", 20.0, siemens, (5.0, 40.0)),
            Parameter("EK", -77.0, "mV", (-90.0, -65.0)),
            Parameter("gL", 0.3, siemens, (0.1, 1.0)),
            Parameter("EL", -54.4, "mV", (-70.0, -45.0)),
            *_gate("m", -40.0, (-60.0, -25.0), 15.0, (8.0, 30.0), (0.1, 0.4)),
            *_gate("h", -60.0, (-75.0, -45.0), -15.0, (-30.0, -8.0), (1.0, 7.0)),
            *_gate("n", -55.0, (-70.0, -40.0), 30.0, (15.0, 50.0), (1.0, 5.0)),
        ),
        equations=equations,
        stimuli=(Stimulus("I", "uA/cm^2"),),
        citation="B. A. Toth, M. Kostuk, C. D. Meliza, D. Margoliash, H. D. I. Abarbanel, "
        "Biol. Cybern. 105, 217-237 (2011)",
    )


def _gate(
    name: str, middle: float, middles: Pair, width: float, widths: Pair, tau: Pair
) -> tuple[Parameter, ...]:
    """The four parameters of a gate, with their ranges."""
    return (
        Parameter(f"v{name}", middle, "mV", middles),
        Parameter(f"dv{name}", width, "mV", widths),
        Parameter(f"t{name}0", tau[0], "ms", (0.25 * tau[0], 3.0 * tau[0])),
        Parameter(f"t{name}1", tau[1], "ms", (0.25 * tau[1], 3.0 * tau[1])),
    )
