"""The action written a second time, with CasADi, and minimized with IPOPT: the oracle of the tests.

Nothing here imports hpcda. A = 1/2 Σ ((y - h)/σ)² + 1/2 Rf Σ residual², as in the papers; the equations and
the residuals are written anew for one step and summed over the window, so that a mistake of the engine is
not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np


def lorenz96(x, p, u):
    d = x.shape[0]
    return ca.vertcat(*[(x[(a + 1) % d] - x[a - 2]) * x[a - 1] - x[a] + p[0] for a in range(d)])


def lorenz63(x, p, u):
    sigma, rho, beta = p[0], p[1], p[2]
    return ca.vertcat(sigma * (x[1] - x[0]), rho * x[0] - x[1] - x[0] * x[2], x[0] * x[1] - beta * x[2])


def henon(x, p, u):
    return ca.vertcat(1 - p[0] * x[0] * x[0] + x[1], p[1] * x[0])


def nakl(x, p, u):
    """p in the order of `NAKL`; the time constants share the midpoints and widths of the steady states."""
    gna, ena, gk, ek, gl, el = (p[i] for i in range(6))
    v, m, h, n = (x[i] for i in range(4))
    gates = []
    for gate, first in ((m, 6), (h, 10), (n, 14)):
        bend = ca.tanh((v - p[first]) / p[first + 1])
        gates.append((0.5 + 0.5 * bend - gate) / (p[first + 2] + p[first + 3] * (1 - bend * bend)))
    current = gna * m * m * m * h * (v - ena) + gk * n * n * n * n * (v - ek) + gl * (v - el)
    return ca.vertcat(u[0] - current, *gates)


NAKL = (
    "gNa ENa gK EK gL EL vm dvm tm0 tm1 vh dvh th0 th1 vn dvn tn0 tn1".split()
)  # fmt: skip


def residuals(field, scheme, dt, x, u, p):
    """Residuals of one step: x and u are lists of the 2 (or, for Hermite-Simpson, 3) points that it spans."""
    if scheme == "trapezoid":
        return x[1] - x[0] - dt / 2 * (field(x[0], p, u[0]) + field(x[1], p, u[1]))
    if scheme == "heun":
        slope = field(x[0], p, u[0])
        return x[1] - x[0] - dt / 2 * (slope + field(x[0] + dt * slope, p, u[1]))
    if scheme == "implicit-midpoint":
        return x[1] - x[0] - dt * field((x[0] + x[1]) / 2, p, (u[0] + u[1]) / 2)
    if scheme == "rk4":
        middle = (u[0] + u[1]) / 2
        k1 = field(x[0], p, u[0])
        k2 = field(x[0] + dt / 2 * k1, p, middle)
        k3 = field(x[0] + dt / 2 * k2, p, middle)
        k4 = field(x[0] + dt * k3, p, u[1])
        return x[1] - x[0] - dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    if scheme == "hermite-simpson":
        f = [field(x[i], p, u[i]) for i in range(3)]
        simpson = x[2] - x[0] - dt / 3 * (f[0] + 4 * f[1] + f[2])
        hermite = x[1] - (x[0] + x[2]) / 2 - dt / 4 * (f[0] - f[2])
        return ca.vertcat(simpson, hermite)
    if scheme == "map":
        return x[1] - field(x[0], p, u[0])
    raise ValueError(scheme)


@dataclass(frozen=True)
class Oracle:
    """The action as CasADi functions of the flat path [x(0), x(1), …, p] and Rf."""

    variables: ca.SX
    rf: ca.SX
    measurement: ca.SX
    model: ca.SX
    errors: ca.SX

    @classmethod
    def of(cls, field, scheme, dt, data, std, observed, dimension, estimated, fixed=(), stimulus=None):
        """Build it.

        `observed` are indices of states, `fixed` (index, value) pairs of parameters that are not estimated,
        `estimated` the indices of the others in the order of the flat path; `stimulus` has shape (N, U).
        """
        times = len(data)
        path = ca.SX.sym("x", dimension, times)
        free = ca.SX.sym("p", len(estimated))
        rf = ca.SX.sym("rf")
        values = dict(fixed) | {index: free[place] for place, index in enumerate(estimated)}
        p = ca.vertcat(*[values[index] for index in range(len(values))])
        inputs = np.zeros((times, 1)) if stimulus is None else np.asarray(stimulus)
        known = np.isfinite(data)
        std = np.broadcast_to(std, data.shape)
        misfits = [
            (path[state, n] - data[n, place]) / std[n, place]
            for n in range(times)
            for place, state in enumerate(observed)
            if known[n, place]
        ]
        span = 3 if scheme == "hermite-simpson" else 2
        errors = [
            residuals(field, scheme, dt, [path[:, n + i] for i in range(span)], inputs[n : n + span], p)
            for n in range(0, times - span + 1, span - 1)
        ]
        measurement = 0.5 * ca.sumsqr(ca.vertcat(*misfits))
        model = 0.5 * rf * ca.sumsqr(ca.vertcat(*errors))
        return cls(ca.vertcat(ca.vec(path), free), rf, measurement, model, ca.vertcat(*errors))

    @property
    def action(self):
        return self.measurement + self.model

    def derivatives(self):
        """Function (path, rf) -> measurement, model, gradient, Hessian."""
        hessian, gradient = ca.hessian(self.action, self.variables)
        return ca.Function("A", [self.variables, self.rf], [self.measurement, self.model, gradient, hessian])

    def minimizer(self, tolerance=1e-10, **options):
        """IPOPT with exact derivatives: a function of x0, p = Rf and, where there are bounds, lbx and ubx."""
        problem = {"x": self.variables, "p": self.rf, "f": self.action}
        return ca.nlpsol("ipopt", "ipopt", problem, quiet(tolerance) | options)

    def strong(self, tolerance=1e-11):
        """IPOPT with the model as equality constraints: a function of x0 and, with bounds, lbx and ubx."""
        problem = {"x": self.variables, "f": self.measurement, "g": self.errors}
        options = quiet(tolerance) | {"ipopt.bound_relax_factor": 0.0}
        solve = ca.nlpsol("ipopt", "ipopt", problem, options)
        return lambda **given: solve(lbg=0.0, ubg=0.0, **given)


def quiet(tolerance):
    """Options of an IPOPT that says nothing."""
    return {
        "ipopt.print_level": 0,
        "ipopt.sb": "yes",
        "print_time": False,
        "ipopt.tol": tolerance,
        "ipopt.max_iter": 3000,
    }
