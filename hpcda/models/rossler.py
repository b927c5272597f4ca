"""Rössler's flow of 1976, chaos with a single quadratic term.

    dx/dt = -y - z,   dy/dt = x + a y,   dz/dt = b + z (x - c)

Source: O. E. Rössler, "An equation for continuous chaos", Phys. Lett. A 57, 397-398 (1976), equation (2)
with its values a = b = 0.2, c = 5.7. Fixed points: z = (c ± √(c² - 4 a b)) / (2 a), y = -z, x = a z.
"""

from __future__ import annotations

from typing import Any

from hpcda.models.model import Model, Parameter, State


def equations(x: Any, p: Any) -> list[Any]:
    """dx/dt of x, y and z."""
    u, v, w = x
    return [-v - w, u + p.a * v, p.b + w * (u - p.c)]


def build() -> Model:
    """Build the model; it has no options."""
    return Model(
        name="rossler",
        title="Rössler 1976, a folded band",
        states=(
            State("x", range=(-10.0, 12.0), initial=1.0),
            State("y", range=(-11.0, 8.0), initial=1.0),
            State("z", range=(0.0, 23.0), initial=0.0),
        ),
        parameters=(
            Parameter("a", 0.2, range=(0.1, 0.4)),
            Parameter("b", 0.2, range=(0.1, 0.4)),
            Parameter("c", 5.7, range=(3.0, 9.0)),
        ),
        equations=equations,
        citation='O. E. Rössler, "An equation for continuous chaos", Phys. Lett. A 57, 397-398 (1976)',
    )
