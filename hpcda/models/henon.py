"""Hénon's map of 1976, the model problem of a map with a strange attractor.

    x(n+1) = 1 - a x(n)² + y(n),   y(n+1) = b x(n)

Source: M. Hénon, "A two-dimensional mapping with a strange attractor", Commun. Math. Phys. 50, 69-77
(1976), equation (4) with its values a = 1.4, b = 0.3. Its Jacobian determinant is -b everywhere; its fixed
points are x = (b - 1 ± √((1 - b)² + 4 a)) / (2 a), y = b x.
"""

from __future__ import annotations

from typing import Any

from hpcda.models.model import Model, Parameter, State


def equations(x: Any, p: Any) -> list[Any]:
    """The next x and y."""
    u, v = x
    return [1.0 - p.a * u * u + v, p.b * u]


def build() -> Model:
    """Build the model; it has no options."""
    return Model(
        name="henon",
        title="Hénon 1976, a map of the plane",
        kind="map",
        states=(State("x", range=(-1.3, 1.3), initial=0.1), State("y", range=(-0.4, 0.4), initial=0.1)),
        parameters=(Parameter("a", 1.4, range=(1.0, 1.42)), Parameter("b", 0.3, range=(0.2, 0.4))),
        equations=equations,
        citation='M. Hénon, "A two-dimensional mapping with a strange attractor", '
        "Commun. Math. Phys. 50, 69-77 (1976)",
    )
