"""Equations of the models in CasADi: those of the tests' oracle, and two that it does not have."""

from __future__ import annotations

import sys
from pathlib import Path

import casadi as ca

sys.path.append(str(Path(__file__).parents[3]))
from tests.petsc import casadi_action  # noqa: E402  (the tests' oracle: not a package that can be installed)

residuals = casadi_action.residuals
LENGTH = 22.0
"""Circumference of the ring of the Kuramoto-Sivashinsky equation."""


def colpitts(x, p, u):
    """p: alpha, gamma, q, eta."""
    return ca.vertcat(p[0] * x[1], -p[1] * (x[0] + x[2]) - p[2] * x[1], p[3] * (x[1] + 1 - ca.exp(-x[0])))


def kuramoto_sivashinsky(x, p, u):
    """p: nu; central differences, Zabusky and Kruskal's advection."""
    d = x.shape[0]
    dx = LENGTH / d
    rates = []
    for a in range(d):
        l2, l1, c, r1, r2 = (x[(a + shift) % d] for shift in (-2, -1, 0, 1, 2))
        advection = (r1 + c + l1) * (r1 - l1) / (6 * dx)
        second = (r1 - 2 * c + l1) / dx**2
        fourth = (r2 - 4 * r1 + 6 * c - 4 * l1 + l2) / dx**4
        rates.append(-advection - second - p[0] * fourth)
    return ca.vertcat(*rates)


FIELDS = {
    "lorenz96": casadi_action.lorenz96,
    "lorenz63": casadi_action.lorenz63,
    "nakl": casadi_action.nakl,
    "colpitts": colpitts,
    "kuramoto_sivashinsky": kuramoto_sivashinsky,
}
"""(states, parameters in the model's order, stimuli) -> rates, by the model's name."""
