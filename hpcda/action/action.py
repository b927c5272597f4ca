"""The action of a path and its exact derivatives.

    A(X) = 1/2 Σ Rm (y - h(x))² + 1/2 Rf Σ s r² + Gaussian priors

(Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018), equation (11); Ye et al., Nonlin. Processes
Geophys. 22, 205 (2015)), with the model errors r of the discretization. Gradient and Hessian are those of
exactly this sum.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action.discretizations import SCHEMES
from hpcda.action.structure import Sparsity, Structure
from hpcda.models.compile import library
from hpcda.models.expression import Expression
from hpcda.models.kernels import LANES, PRELUDE, source, trace
from hpcda.models.trace import Symbol
from hpcda.problem import Array, Numbers, Problem

_POINTER, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int, ctypes.c_double


def _struct(name: str, *groups: tuple[Any, str]) -> type[ctypes.Structure]:
    fields = [(field, kind) for kind, names in groups for field in names.split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


_Tables = _struct(
    "Tables",
    (_INT, "D V P L U C m Q K nodal"),
    (_POINTER, "state known inner position rate node"),
    (_INT, "nj nh onj onh"),
    (_POINTER, "jrow jvar hk hl ojrow ojvar ohk ohl entry column fixed term term_stage term_jac term_weight"),
    (
        _POINTER,
        "pair left right dest spread spread_h spread_dest spread_weight diagonal beside active active_dest",
    ),
    (_INT, "na slots staged"),
    (_POINTER, "weight walk constant"),
)
_Window = _struct("Window", (_INT, "N"), (_DOUBLE, "dt t0 step"), (_POINTER, "data precision series"))
_Work = _struct("Work", (_POINTER, "rates slopes mu second pack lambda entries dense errors"))


@dataclass(frozen=True)
class Parts:
    """The action by its terms: `model` includes Rf; `prior` holds priors and random walks of parameters."""

    measurement: float
    model: float
    prior: float

    @property
    def total(self) -> float:
        """A(X)."""
        return self.measurement + self.model + self.prior


class Action:
    """The action of a problem, compiled.

    Args:
        problem: What is measured, modelled and estimated.

    Raises:
        InputError: The equations or observation expressions cannot be differentiated.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.size = problem.size
        scheme = SCHEMES[problem.discretization]
        self.model = trace(_model_function(problem))
        self.observed = trace(_observed_function(problem))
        self.structure = Structure(problem, scheme, self.model, self.observed)
        code = "\n".join(
            [
                PRELUDE,
                source(self.model, "model"),
                source(self.observed, "observe"),
                files("hpcda.action").joinpath("assemble.c").read_text(),
            ]
        )
        self._call: Any = library(code).action
        self._call.argtypes = (*[_POINTER] * 4, _DOUBLE, _INT, *[_POINTER] * 8)
        self._call.restype = None
        self._keep: list[Numbers] = []
        self._tables = self._make_tables()
        self._windows = [self._make_window(window) for window in problem.windows]
        self._work = self._make_work(max(window.times for window in problem.windows))
        self._pairs = problem.shared * (problem.shared + 1) // 2
        self._values = np.zeros(self._pairs + sum(self._extent(window.times) for window in problem.windows))
        self._priors = priors(problem)

    def _extent(self, times: int) -> int:
        return ((times - 1) // self.structure.scheme.span + 1) * self.structure.slots

    @cached_property
    def sparsity(self) -> Sparsity:
        """Where the Hessian's values stand."""
        return Sparsity.of(self.problem, self.structure)

    def value(self, path: Array, rf: float) -> Parts:
        """The action of a flat path, shape (size,), at model-error precision `rf`; may be non-finite."""
        return self._evaluate(path, rf, 0, None)

    def gradient(self, path: Array, rf: float) -> tuple[Parts, Array]:
        """The action and its gradient, shape (size,)."""
        gradient = np.empty(self.size)
        return self._evaluate(path, rf, 1, gradient), gradient

    def derivatives(self, path: Array, rf: float) -> tuple[Parts, Array, Array]:
        """The action, its gradient, and the values of its Hessian in the order of `sparsity`."""
        gradient = np.empty(self.size)
        parts = self._evaluate(path, rf, 2, gradient)
        return parts, gradient, self._values[self.sparsity.gather]

    def hessian(self, path: Array, rf: float) -> tuple[Numbers, Numbers, Array]:
        """The exact Hessian, symmetric and full, in compressed rows: row starts, columns, values."""
        values = self.derivatives(path, rf)[2]
        return self.sparsity.indptr, self.sparsity.indices, values

    def _evaluate(self, path: Array, rf: float, want: int, gradient: Array | None) -> Parts:
        path = np.ascontiguousarray(path, dtype=np.float64)
        if path.shape != (self.size,):
            raise ValueError(
                f"path has shape {path.shape}, the problem has {self.size} unknowns: expected ({self.size},)"
            )
        offsets, triangle = self.problem.offsets, self._values[: self._pairs]
        last = offsets[-1]
        parameters = path[last:]
        if gradient is not None:
            gradient[last:] = 0.0
        if want > 1:
            triangle[:] = 0.0
        sums, parts = np.zeros(3), np.empty(3)
        begin = self._pairs
        for number, (first, _) in enumerate(pairwise(offsets)):
            self._window(number, path[first:], parameters, rf, want, parts, gradient, first, begin)
            begin += self._extent(self.problem.windows[number].times)
            sums += parts
        prior = self._add_priors(path, want, gradient)
        return Parts(float(sums[0]), float(sums[1]), float(sums[2]) + prior)

    def _window(
        self, number: int, path: Array, parameters: Array, rf: float, want: int, parts: Array,
        gradient: Array | None, first: int, begin: int, work: Any = None, misfit: Array | None = None,
        slopes: Array | None = None,
    ) -> None:  # fmt: skip
        own = None if gradient is None else gradient[first:]
        shared = None if gradient is None else gradient[self.problem.offsets[-1] :]
        self._call(
            ctypes.byref(self._tables),
            ctypes.byref(self._windows[number]),
            _address(path),
            _address(parameters),
            rf,
            want,
            _address(parts),
            _address(own),
            _address(shared),
            _address(self._values[begin:]),
            _address(self._values),
            ctypes.byref(self._work if work is None else work),
            _address(misfit),
            _address(slopes),
        )

    def _add_priors(self, path: Array, want: int, gradient: Array | None) -> float:
        indices, means, weights = self._priors
        deviation = path[indices] - means
        if gradient is not None:
            gradient[indices] += weights * deviation
        if want > 1:
            np.add.at(self._values, self._prior_slots, weights)
        return float(0.5 * np.sum(weights * deviation**2))

    @cached_property
    def _prior_slots(self) -> Numbers:
        diagonal = self.sparsity
        rows = np.repeat(np.arange(self.size), np.diff(diagonal.indptr))
        at = np.flatnonzero(rows == diagonal.indices)
        return diagonal.gather[at[self._priors[0]]]

    def _pointer(self, array: Any, dtype: type) -> int:
        kept: Numbers = np.ascontiguousarray(array, dtype=dtype)
        self._keep.append(kept)
        return kept.ctypes.data

    def _make_tables(self) -> ctypes.Structure:
        problem, scheme, model, observed = self.problem, self.structure.scheme, self.model, self.observed
        tables = self.structure.tables()
        numbers = {
            "D": problem.dimension,
            "V": len(problem.varying),
            "P": problem.shared,
            "L": len(problem.observed),
            "U": len(problem.model.stimuli) + len(problem.series),
            "C": len(problem.fixed),
            "m": scheme.span,
            "Q": scheme.stages,
            "K": scheme.errors,
            "nodal": int(scheme.nodes is not None),
            "nj": len(model.jacobian),
            "nh": len(model.hessian),
            "onj": len(observed.jacobian),
            "onh": len(observed.hessian),
            "na": len(tables["active"]),
            "slots": self.structure.slots,
            "staged": int(scheme.staged),
        }
        doubles = {
            "state": scheme.state,
            "known": scheme.known,
            "inner": scheme.inner,
            "position": scheme.position,
            "rate": scheme.rate,
            "weight": problem.model_error_weight,
            "walk": [0.0 if q.walk_std is None else q.walk_std**-2 for q in problem.varying],
            "constant": list(problem.fixed.values()),
        }
        indices: dict[str, Any] = {"node": scheme.nodes or ()}
        for prefix, traced in (("", model), ("o", observed)):
            for names, entries in ((("jrow", "jvar"), traced.jacobian), (("hk", "hl"), traced.hessian)):
                for side, name in enumerate(names):
                    indices[prefix + name] = [entry[side] for entry in entries]
        for name, table in tables.items():
            (doubles if table.dtype == np.float64 else indices)[name] = table
        return _Tables(
            **numbers,
            **{name: self._pointer(value, np.float64) for name, value in doubles.items()},
            **{name: self._pointer(value, np.int32) for name, value in indices.items()},
        )

    def _make_window(self, window: Any) -> ctypes.Structure:
        precision = np.where(np.isfinite(window.data), window.noise_std, np.inf) ** -2.0
        is_map = self.problem.model.kind == "map"
        return _Window(
            N=window.times,
            dt=1.0 if is_map else window.dt,
            t0=float(window.t[0]),
            step=window.dt,
            data=self._pointer(window.data, np.float64),
            precision=self._pointer(precision, np.float64),
            series=self._pointer(window.series, np.float64),
        )

    def full_work(self, times: int) -> tuple[ctypes.Structure, Array, Array]:
        """Scratch for one window that keeps all model errors and their derivatives: (scratch, both)."""
        intervals = (times - 1) // self.structure.scheme.span
        errors = np.zeros(intervals * len(self.structure.rows))
        entries = np.zeros(intervals * sum(len(row) for row in self.structure.rows))
        return self._make_work(times, errors, entries), errors, entries

    def _make_work(
        self, times: int, errors: Array | None = None, kept: Array | None = None
    ) -> ctypes.Structure:
        tables, scheme = self._tables, self.structure.scheme
        intervals = (times - 1) // scheme.span
        nodal = scheme.nodes is not None
        blocks = -(-times // LANES) if nodal else -(-intervals // LANES) * scheme.stages
        variables = tables.D + tables.V + tables.P
        rows = scheme.errors * tables.D
        entries = max(len(row) for row in self.structure.rows)
        active = tables.na
        sizes = {
            "rates": blocks * tables.D * LANES,
            "slopes": blocks * tables.nj * LANES,
            "mu": (blocks if nodal else scheme.stages) * tables.D * LANES,
            "second": LANES
            * max((1 if nodal else scheme.stages) * tables.nh, 2 * tables.L + tables.onj + tables.onh),
            "pack": LANES * (variables + tables.C + tables.U + 1),
            "lambda": intervals * rows,
            "entries": entries,
            "dense": (scheme.stages * (variables + tables.D) + active + variables + rows) * active + tables.D,
        }
        places = {name: self._pointer(np.zeros(max(size, LANES)), np.float64) for name, size in sizes.items()}
        if kept is not None:
            places["entries"] = self._pointer(kept, np.float64)
        return _Work(**places, errors=_address(errors))


def _address(array: Array | None) -> int | None:
    return None if array is None else array.ctypes.data


def _model_function(problem: Problem) -> Callable[[Callable[[str, int], Symbol]], list[Any]]:
    model = problem.model

    def function(given: Callable[[str, int], Symbol]) -> list[Any]:
        states = [given("v", i) for i in range(model.dimension)]
        p: dict[str, Any] = {}
        for i, estimated in enumerate((*problem.varying, *problem.parameters)):
            p[estimated.name] = given("v", model.dimension + i)
        for i, name in enumerate(problem.fixed):
            p[name] = given("c", i)
        for i, name in enumerate(problem.series):
            p[name] = given("s", len(model.stimuli) + i)
        u = {name: given("s", i) for i, name in enumerate(model.stimulus_names)}
        return model(states, p, u, given("t", 0))

    return function


def _observed_function(problem: Problem) -> Callable[[Callable[[str, int], Symbol]], list[Any]]:
    names = problem.model.state_names

    def function(given: Callable[[str, int], Symbol]) -> list[Any]:
        states = {name: given("v", i) for i, name in enumerate(names)}
        return [
            Expression(text, names, f"observed.{name}")(states) for name, text in problem.observed.items()
        ]

    return function


def priors(problem: Problem) -> tuple[Numbers, Array, Array]:
    """Index of every unknown with a Gaussian prior, the priors' means, and one over their variances."""
    found: list[tuple[int, float, float]] = []
    for name, (mean, std) in problem.initial_prior.items():
        state = problem.model.state_names.index(name)
        found += [(offset + state, mean, std) for offset in problem.offsets[:-1]]
    for number, varying in enumerate(problem.varying):
        if varying.prior is not None:
            for (first, end), _ in zip(pairwise(problem.offsets), problem.windows, strict=True):
                places = range(first + problem.dimension + number, end, problem.block)
                found += [(place, *varying.prior) for place in places]
    for number, shared in enumerate(problem.parameters):
        if shared.prior is not None:
            found.append((problem.offsets[-1] + number, *shared.prior))
    table = np.array(found, dtype=float).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1].copy(), table[:, 2] ** -2.0
