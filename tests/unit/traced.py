"""Traced functions as the tests see them: evaluated number by number, and as compiled C."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from hpcda.models.model import StateVector
from hpcda.models.traced import Traced, trace
from hpcda.native.compile import library
from hpcda.native.kernels import source
from hpcda.native.unit import unit

LANES = 8

_OPERATION = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "eq": lambda a, b: float(a == b),
    "select": lambda c, a, b: a if c else b,
    "dot": lambda *terms: float(np.dot(*np.split(np.array(terms), 2))),
}


def of(function, variables):
    """Trace ``function(x)`` of an array of `variables` symbols."""

    def given(symbol):
        x = StateVector.of([symbol("v", k) for k in range(variables)], ())
        return np.atleast_1d(np.asarray(function(x), dtype=object)).tolist()

    return trace(given)


def numbers(traced: Traced, nodes, inputs):
    """Values of nodes, one operation after another with NumPy; `inputs` are arrays by kind."""
    graph, known = traced.graph, {}
    for node in graph.reach(nodes):
        op, *rest = graph.keys[node]
        if op == "const":
            known[node] = rest[0]
        elif op == "input":
            known[node] = float(inputs[rest[0]][rest[1]])
        elif op == "pow":
            known[node] = float(np.power(known[rest[0]], rest[1]))
        else:
            function = _OPERATION.get(op) or getattr(np, op)
            known[node] = float(function(*(known[argument] for argument in graph.arguments(node))))
    return np.array([known[node] for node in nodes])


@dataclass
class Derivatives:
    """f, shape (T, R); its Jacobian, (T, R, V); the Hessian of μ·f, (T, V, V)."""

    values: np.ndarray
    jacobian: np.ndarray
    hessian: np.ndarray


def _scattered(places, entries, shape, symmetric=False):
    dense = np.zeros(shape)
    for place, entry in zip(places, entries, strict=True):
        dense[(..., *place)] = entry
        if symmetric:
            dense[(..., *place[::-1])] = entry
    return dense


def interpreted(traced: Traced, v, mu) -> Derivatives:
    """Values and derivatives at points v, shape (T, V), by the graph alone."""
    v = np.asarray(v, dtype=float)
    times, variables = v.shape
    at = [{"v": row, "mu": mu} for row in v]
    values = np.array([numbers(traced, traced.values, inputs) for inputs in at])
    slopes = np.array([numbers(traced, traced.jacobian_nodes, inputs) for inputs in at])
    bends = np.array([numbers(traced, traced.hessian_nodes, inputs) for inputs in at])
    return Derivatives(
        values,
        _scattered(traced.jacobian, slopes.T, (times, traced.rows, variables)),
        _scattered(traced.hessian, bends.T, (times, variables, variables), symmetric=True),
    )


class Compiled:
    """A traced function as C, at up to `LANES` points at once."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        call = "(const vd *v, const vd *c, const vd *s, const vd *t, const vd *mu, vd *out)"
        wrappers = "\n".join(
            f"void run_{name}{call} {{ f_{name}(v, c, s, t, mu, out); }}"
            for name in ("values", "jacobian", "hessian")
        )
        self._library = library("\n".join([unit(LANES), source(traced, "f"), wrappers]))

    def _run(self, name, entries, v, mu):
        out = np.zeros((max(entries, 1), LANES))
        pad = np.broadcast_to(v[-1], (LANES, v.shape[1])).copy()
        pad[: len(v)] = v
        lanes = np.ascontiguousarray(pad.T)
        weights = np.ascontiguousarray(np.tile(np.asarray(mu, dtype=float)[:, None], (1, LANES)))
        pointers = [
            array.ctypes.data_as(ctypes.c_void_p) for array in (lanes, lanes, lanes, lanes, weights, out)
        ]
        getattr(self._library, f"run_{name}")(*pointers)
        return out[:entries, : len(v)]

    def __call__(self, v, mu) -> Derivatives:
        v = np.atleast_2d(np.asarray(v, dtype=float))
        times, variables = v.shape
        traced = self.traced
        slopes = self._run("jacobian", len(traced.jacobian), v, mu)
        bends = self._run("hessian", len(traced.hessian), v, mu)
        return Derivatives(
            self._run("values", traced.rows, v, mu).T,
            _scattered(traced.jacobian, slopes, (times, traced.rows, variables)),
            _scattered(traced.hessian, bends, (times, variables, variables), symmetric=True),
        )
