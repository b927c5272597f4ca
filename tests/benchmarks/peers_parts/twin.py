"""The action of a problem once more, in CasADi: one interval written out, mapped over time.

A = 1/2 Σ ((y - x)/σ)² + Rf Σ_k e(z_k), where z_k are the points and the parameters of interval k and
e = 1/2 Σ s r². CasADi differentiates e; constant sparse matrices add up the derivatives of all intervals, so
that the exact sparse Hessian costs one sweep over time. Rf is a parameter: nothing is built anew from rung to
rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from hpcda.problem import Array, Problem

from .fields import FIELDS, residuals


@dataclass(frozen=True)
class Twin:
    """CasADi functions of the flat path x and p = Rf, with the names that `nlpsol` wants.

    Attributes:
        nlp: (x, p) -> f and no constraints.
        gradient: (x, p) -> f, its gradient.
        hessian: (x, p, lam_f, lam_g) -> the upper triangle of lam_f times the Hessian.
    """

    nlp: Any
    gradient: Any
    hessian: Any

    def value(self, path: Array, rf: float) -> tuple[float, Array]:
        """The action and its gradient."""
        value, gradient = self.gradient(path, rf)
        return float(value), np.array(gradient)[:, 0]

    def curvature(self, path: Array, rf: float) -> Any:
        """The upper triangle of the Hessian, a SciPy matrix."""
        return self.hessian(path, rf, 1.0, 0.0 * ca.DM(0, 1)).sparse()


def make_twin(problem: Problem) -> Twin:
    """The twin of a problem of one window, states measured as they are, and no priors."""
    assert len(problem.windows) == 1 and not problem.varying and not problem.initial_prior
    assert not problem.series and all(parameter.prior is None for parameter in problem.parameters)
    local, places, inputs = _interval(problem)
    size, count = problem.size, places.shape[1]
    x, rf = ca.MX.sym("x", size), ca.MX.sym("p")
    z = ca.reshape(x[places.ravel(order="F").tolist()], places.shape[0], count)

    measured, data, precision = _measurement(problem)
    deviation = x[measured.tolist()] - ca.DM(data)
    value = 0.5 * ca.dot(ca.DM(precision), deviation**2) + rf * ca.sum2(local["value"].map(count)(z, inputs))

    gathered = _adder(places.ravel(order="F"), size) @ ca.vec(local["gradient"].map(count)(z, inputs))
    pull = _adder(measured, size) @ (ca.DM(precision) * deviation)
    gradient = rf * gathered + pull

    row, column = (np.array(part) for part in local["pattern"].get_triplet())
    rows, columns = places[row], places[column]
    swapped = rows > columns
    rows, columns = np.where(swapped, columns, rows), np.where(swapped, rows, columns)
    pattern = ca.Sparsity.triplet(
        size,
        size,
        np.concatenate([rows.ravel(), measured]).tolist(),
        np.concatenate([columns.ravel(), measured]).tolist(),
    )
    at = np.array(pattern.get_nz((rows + size * columns).ravel(order="F").tolist()))
    diagonal = np.array(pattern.get_nz(((size + 1) * measured).tolist()))
    fixed = np.zeros(pattern.nnz())
    np.add.at(fixed, diagonal, precision)
    values = rf * (_adder(at, pattern.nnz()) @ ca.vec(local["hessian"].map(count)(z, inputs))) + ca.DM(fixed)

    lam_f, lam_g = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", 0)
    names = ["x", "p"], ["f", "g"]
    return Twin(
        ca.Function("nlp", [x, rf], [value, ca.MX(0, 1)], *names),
        ca.Function("nlp_grad_f", [x, rf], [value, gradient], names[0], ["f", "grad_f_x"]),
        ca.Function(
            "nlp_hess_l",
            [x, rf, lam_f, lam_g],
            [ca.MX(pattern, lam_f * values)],
            ["x", "p", "lam_f", "lam_g"],
            ["triu_hess_gamma_x_x"],
        ),
    )


def _interval(problem: Problem) -> tuple[dict[str, Any], Array, Any]:
    """Functions of one interval; where its unknowns stand, shape (unknowns, intervals); its stimuli."""
    window, dimension = problem.windows[0], problem.dimension
    span = 3 if problem.discretization == "hermite-simpson" else 2
    firsts = np.arange(0, window.times - span + 1, span - 1)
    x = ca.SX.sym("x", dimension, span)
    free = ca.SX.sym("p", len(problem.constants))
    values = dict(problem.fixed) | {p.name: free[k] for k, p in enumerate(problem.parameters)}
    p = ca.vertcat(*[values[name] for name in problem.model.parameter_names])
    series = max(window.series.shape[1], 1)
    u = ca.SX.sym("u", series, span)
    inputs = window.series if window.series.shape[1] else np.zeros((window.times, 1))
    errors = residuals(
        FIELDS[problem.model.name],
        problem.discretization,
        window.dt,
        [x[:, i] for i in range(span)],
        [u[:, i] for i in range(span)],
        p,
    )
    weight = np.tile(problem.model_error_weight, span - 1)
    z = ca.vertcat(ca.vec(x), free)
    error = 0.5 * ca.dot(ca.DM(weight), errors**2)
    hessian, gradient = ca.hessian(error, z)
    triangle = ca.triu(hessian)
    given = [z, ca.vec(u)]
    local = {
        "value": ca.Function("value", given, [error]),
        "gradient": ca.Function("gradient", given, [gradient]),
        "hessian": ca.Function("hessian", given, [ca.vertcat(*triangle.nonzeros())]),
        "pattern": triangle.sparsity(),
    }
    points = np.arange(dimension * span)[:, None] + dimension * firsts[None, :]
    shared = np.arange(problem.layout.tail.start, problem.size)[:, None] + 0 * firsts[None, :]
    stimuli = np.array([inputs[n : n + span].ravel() for n in firsts]).T
    return local, np.vstack([points, shared]), ca.DM(stimuli)


def _measurement(problem: Problem) -> tuple[Array, Array, Array]:
    """Where the measured states stand in the path, what was measured there, and how precisely."""
    window = problem.windows[0]
    states = [problem.model.state_names.index(text) for text in problem.observed.values()]
    known = np.isfinite(window.data)
    places = problem.dimension * np.arange(window.times)[:, None] + np.array(states)[None, :]
    return places[known], window.data[known], window.noise_std[known] ** -2.0


def _adder(places: Array, size: int) -> Any:
    """The matrix of zeros and ones that adds entry i of a vector to place[i]."""
    count = len(places)
    pattern = ca.Sparsity.triplet(size, count, np.asarray(places).tolist(), list(range(count)))
    return ca.DM(pattern, np.ones(count))
