"""The Kuramoto-Sivashinsky equation on a ring, in central finite differences.

    ∂u/∂t = -u ∂u/∂x - ∂²u/∂x² - nu ∂⁴u/∂x⁴,   u(x + length) = u(x)

At D sites dx = length/D apart, u ∂u/∂x is (u_{a+1} + u_a + u_{a-1})/3 · (u_{a+1} - u_{a-1})/(2 dx) of N. J.
Zabusky, M. D. Kruskal, Phys. Rev. Lett. 15, 240-243 (1965), which keeps both Σ u and Σ u² as u ∂u/∂x does;
the others are the usual differences over three and five points. The mean of u is conserved, a wave exp(ikx)
grows at k² - nu k⁴.

Source: Y. Kuramoto, T. Tsuzuki, Prog. Theor. Phys. 55, 356-369 (1976); G. I. Sivashinsky, Acta Astronaut.
4, 1177-1206 (1977). nu = 1, length = 22: a small ring with sustained chaos, P. Cvitanović, R. L.
Davidchack, E. Siminos, SIAM J. Appl. Dyn. Syst. 9, 1-33 (2010).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model, Parameter, State

MOST_SITES = 10_000


def build(dimension: int = 32, length: float = 22.0) -> Model:
    """Build the model.

    Args:
        dimension: Number of sites D on the ring, from 5 to 10,000.
        length: Circumference of the ring, positive.

    Raises:
        InputError: Too few or too many sites, or a length that is not positive.
    """
    mistakes = []
    if not 5 <= dimension <= MOST_SITES:
        problem = f"{dimension} sites are too {'few' if dimension < 5 else 'many'}"
        mistakes.append(Mistake("model.options.dimension", problem, f"write from 5 to {MOST_SITES}"))
    if not 0.0 < length < np.inf:
        mistakes.append(
            Mistake("model.options.length", f"{length} is not a length", "write a positive number")
        )
    if mistakes:
        raise InputError(mistakes)
    dx = length / dimension

    def equations(u: Any, p: Any) -> list[Any]:
        """du/dt at every site."""
        right, left = np.roll(u, -1, axis=0), np.roll(u, 1, axis=0)
        advection = (right + u + left) * (right - left) / (6.0 * dx)
        bend = (right - 2.0 * u + left) / dx**2
        damping = (np.roll(bend, -1, axis=0) - 2.0 * bend + np.roll(bend, 1, axis=0)) / dx**2
        return [-a - b - p.nu * c for a, b, c in zip(advection, bend, damping, strict=True)]

    waves = [2.0 * math.pi * a / dimension for a in range(dimension)]
    start = [0.1 * math.cos(wave) * (1.0 + math.sin(wave)) for wave in waves]
    return Model(
        name="kuramoto_sivashinsky",
        title=f"Kuramoto-Sivashinsky equation, {dimension} sites on a ring of length {length:g}",
        states=tuple(State(f"u{a}", range=(-3.0, 3.0), initial=start[a]) for a in range(dimension)),
        parameters=(Parameter("nu", 1.0, range=(0.5, 2.0)),),
        equations=equations,
        citation="Y. Kuramoto, T. Tsuzuki, Prog. Theor. Phys. 55, 356-369 (1976); "
        "G. I. Sivashinsky, Acta Astronaut. 4, 1177-1206 (1977)",
    )
