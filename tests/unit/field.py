"""dx/dt = tanh(W(t) x + b) between two ends, D = 3, T = 2: its problem, and what others compute of it."""

from __future__ import annotations

import casadi as ca
import numpy as np
import scipy.sparse as sp
from scipy.integrate import solve_bvp
from scipy.sparse.linalg import splu

from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window

BASE = np.array([[0.9, -1.1, 0.3], [0.7, 0.2, -0.8], [-0.4, 0.6, 0.5]])
SWING = np.array([[0.3, 0.2, -0.5], [0.1, -0.4, 0.6], [0.5, 0.3, -0.2]])
BIAS = np.array([0.1, -0.2, 0.3])
FIRST, LAST = np.array([0.5, -0.3, 0.8]), np.array([-0.6, 0.9, 0.4])
PRECISION, SPAN, OMEGA = 4.0, 2.0, 1.5
FREE = np.tile([-np.inf, np.inf], (3, 1))


def model(swing: float = 1.0) -> Model:
    """W(t) = BASE + swing sin(ω t) SWING; the entries of BASE are the parameters W[i,j]."""

    def equations(x, p, u, t):
        wave = swing * np.sin(OMEGA * t) if swing else 0.0
        rows = [
            sum((p[f"W[{i},{j}]"] + wave * SWING[i, j]) * x[j] for j in range(3)) + BIAS[i] for i in range(3)
        ]
        return [np.tanh(row) for row in rows]

    states = tuple(State(name, range=(-2.0, 2.0)) for name in "xyz")
    return Model("field", states, (Parameter("W", BASE, shape=(3, 3)),), equations)


def problem(scheme: str, steps: int, swing: float = 1.0, estimated: bool = False, **changes) -> Problem:
    """Measured at both ends; Rf per time."""
    t = np.linspace(0.0, SPAN, steps + 1)
    data = np.full((steps + 1, 3), np.nan)
    data[0], data[-1] = FIRST, LAST
    own = model(swing)
    fields = {
        "model": own,
        "discretization": scheme,
        "windows": (Window(t, data, np.full(data.shape, PRECISION**-0.5), np.zeros((steps + 1, 0))),),
        "observed": {name: name for name in "xyz"},
        "parameters": tuple(Estimated(name, (-2.0, 2.0)) for name in own.parameter_names if estimated),
        "fixed": {} if estimated else own.defaults,
        "state_start": np.tile([-2.0, 2.0], (3, 1)),
        "state_bounds": FREE,
        "model_error_weight": np.ones(3),
        "model_error": "per time",
    }
    return Problem(**(fields | changes))


def straight(steps: int) -> np.ndarray:
    """A first path."""
    return np.linspace(FIRST, LAST, steps + 1).ravel()


def minimized(action, path, rf: float):
    """The minimum downhill by plain Newton steps, to rounding."""
    for _ in range(60):
        indptr, indices, values = action.hessian(path, rf)
        matrix = sp.csc_matrix(sp.csr_matrix((values, indices, indptr)))
        step = splu(matrix).solve(action.gradient(path, rf)[1])
        path = path - step
        if np.abs(step).max() < 1e-14:
            return path
    return path


def boundary_value(rf: float):
    """SciPy's solution of the Hamiltonian boundary value problem: a function of time, rows x then p."""

    def rates(t, z):
        x, p = z[:3], z[3:]
        weights = BASE[:, :, None] + SWING[:, :, None] * np.sin(OMEGA * t)
        g = np.tanh(np.einsum("ijn,jn->in", weights, x) + BIAS[:, None])
        return np.vstack([g + p / rf, -np.einsum("ijn,in->jn", weights, (1.0 - g**2) * p)])

    def ends(a, b):
        return np.concatenate([a[3:] - PRECISION * (a[:3] - FIRST), b[3:] + PRECISION * (b[:3] - LAST)])

    t = np.linspace(0.0, SPAN, 41)
    guess = np.vstack([np.linspace(FIRST, LAST, 41).T, np.zeros((3, 41))])
    found = solve_bvp(rates, ends, t, guess, tol=1e-11, max_nodes=100_000)
    assert found.success
    return found.sol


class Network:
    """The same discretization as a function of CasADi, layer after layer, with its own derivatives."""

    def __init__(self, scheme: str, steps: int) -> None:
        self.steps, self.h = steps, SPAN / steps
        x, y, t, w = ca.SX.sym("x", 3), ca.SX.sym("y", 3), ca.SX.sym("t"), ca.SX.sym("w", 3, 3)
        h = self.h

        def rate(x, t):
            return ca.tanh((w + ca.DM(SWING) * ca.sin(OMEGA * t)) @ x + ca.DM(BIAS))

        if scheme == "rk4":
            k1 = rate(x, t)
            k2 = rate(x + h / 2 * k1, t + h / 2)
            k3 = rate(x + h / 2 * k2, t + h / 2)
            k4 = rate(x + h * k3, t + h)
            layer = ca.Function("f", [x, t, w], [x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)])
        else:
            if scheme == "trapezoid":
                rest = y - x - h / 2 * (rate(x, t) + rate(y, t + h))
            else:
                rest = y - x - h * rate((x + y) / 2, t + h / 2)
            given = ca.vertcat(x, t, ca.vec(w))
            roots = ca.rootfinder("r", "newton", {"x": y, "p": given, "g": rest}, {"abstol": 1e-15})
            a, b, c = ca.MX.sym("x", 3), ca.MX.sym("t"), ca.MX.sym("w", 3, 3)
            layer = ca.Function("f", [a, b, c], [roots(x0=a, p=ca.vertcat(a, b, ca.vec(c)))["x"]])
        a, b, c = ca.MX.sym("x", 3), ca.MX.sym("t"), ca.MX.sym("w", 3, 3)
        out = layer(a, b, c)
        self._layer = ca.Function("layer", [a, b, c], [out])
        self._by_state = ca.Function("by_state", [a, b, c], [ca.jacobian(out, a)])
        self._by_weights = ca.Function("by_weights", [a, b, c], [ca.jacobian(out, c)])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """States of all layers, shape (steps + 1, 3)."""
        states = [np.asarray(x)]
        for n in range(self.steps):
            states.append(np.array(self._layer(states[-1], n * self.h, BASE)).ravel())
        return np.array(states)

    def backward(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minus the loss's derivatives by the states of all layers, (steps + 1, 3), and by W, (3, 3)."""
        pull, slope = [-PRECISION * (states[-1] - LAST)], np.zeros(9)
        for n in reversed(range(self.steps)):
            at = states[n], n * self.h, BASE
            slope += np.array(self._by_weights(*at)).T @ pull[-1]
            pull.append(np.array(self._by_state(*at)).T @ pull[-1])
        return np.array(pull[::-1]), slope.reshape(3, 3).T

    def trained(self) -> np.ndarray:
        """The first state of the least loss, that of the first datum with it."""
        x = FIRST.copy()
        for _ in range(100):
            gradient = self._gradient(x)
            curvature = np.empty((3, 3))
            for k in range(3):
                step = 1e-6 * np.eye(3)[k]
                curvature[:, k] = (self._gradient(x + step) - self._gradient(x - step)) / 2e-6
            change = np.linalg.solve(curvature, gradient)
            x = x - change
            if np.abs(change).max() < 1e-15:
                break
        return x

    def _gradient(self, x: np.ndarray) -> np.ndarray:
        return PRECISION * (x - FIRST) - self.backward(self.forward(x))[0][0]
