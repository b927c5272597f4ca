"""The compiled action: its tables as C structures, its scratch memory, and the loaded library."""

from __future__ import annotations

import copy
import ctypes
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action.costs import cost_kernels, cost_tables, costs, named_inputs, observation
from hpcda.action.discretizations import SCHEMES
from hpcda.action.generate import first_derivatives
from hpcda.action.structure import Structure
from hpcda.action.weights import interval_steps, step_weights
from hpcda.errors import InputError, Mistake
from hpcda.models.trace import Symbol
from hpcda.models.traced import Traced, trace
from hpcda.native import declared
from hpcda.native.compile import library
from hpcda.native.kernels import source
from hpcda.native.unit import unit
from hpcda.problem import Array, Estimated, Numbers, Problem, Window

MOST_WIDTH, MOST_UNKNOWNS = (declared.number("assemble.c", name) for name in ("MOST_WIDTH", "MOST_UNKNOWNS"))
_DECLARED = declared.structures("assemble.c")
Tables, WindowTable, Work = (_DECLARED[name] for name in ("Tables", "Window", "Work"))

Priors = tuple[Numbers, Array, Array]


class Equations:
    """The equations and observations of a problem, traced and differentiated, and the tables that follow.

    Raises:
        InputError: The equations or observation expressions cannot be differentiated, or the problem is too
            large for the compiled code.
    """

    def __init__(self, problem: Problem) -> None:
        _refuse_too_large(problem)
        self.problem = problem
        self.model: Traced = trace(model_function(problem))
        self.observed: Traced = trace(observed_function(problem))
        self.costs = costs(problem)
        self.structure = Structure(
            problem, SCHEMES[problem.discretization], self.model, self.observed, self.costs
        )

    def of(self, problem: Problem) -> Equations:
        """The same equations for a problem that differs in its windows, or in what is known of parameters."""
        _refuse_too_large(problem)
        same = copy.copy(self)
        same.problem = problem
        return same

    @property
    def slopes_of_a_time(self) -> int:
        """Derivatives of the misfits of all that is measured at one time."""
        return len(self.observed.jacobian) + sum(len(cost.residual.jacobian) for cost in self.costs)

    @cached_property
    def digest(self) -> str:
        """Checksum of what is computed, whatever it is compiled from: that of the traced graphs."""
        traced = [self.model, self.observed, *(cost.share for cost in self.costs)]
        sums = " ".join(one.graph.digest(one.values) for one in traced)
        return hashlib.sha256(sums.encode()).hexdigest()

    @cached_property
    def code(self) -> str:
        """C code of the equations."""
        return "\n".join(
            [source(self.model, "model"), source(self.observed, "observe"), *cost_kernels(self.costs)]
        )


def code(equations: Equations, lanes: int, *names: str) -> str:
    """What is compiled for a problem, for `lanes` paths at once, with C files of `hpcda.native`."""
    structure = equations.structure
    by_tables = lanes == 1 or structure.scheme.staged or structure.wide
    derivatives = "" if by_tables else first_derivatives(structure)
    return unit(lanes, *names, generated=[equations.code, derivatives])


class Native:
    """C code for one problem, working on `lanes` paths at once, with its tables.

    Args:
        equations: The problem's equations.
        lanes: Paths that are evaluated together.
        names: C files of `hpcda.native` that are compiled with the kernels: single.c, or lockstep.c, climb.c.
        priors: Index of unknowns with a Gaussian prior, ascending, means, and one over the variances.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, equations: Equations, lanes: int, names: Sequence[str], priors: Priors) -> None:
        self.equations, self.lanes = equations, lanes
        self.library: Any = library(code(equations, lanes, *names))
        self._keep: list[Numbers] = []
        problem = equations.problem
        self.tables = self._make_tables()
        self.windows = [
            self._make_window(window, first, end, priors)
            for window, (first, end) in zip(problem.windows, pairwise(problem.layout.begins), strict=True)
        ]
        self.scratch: int = self.library.scratch(ctypes.byref(self.tables))

    def pointer(self, array: Any, dtype: type) -> int:
        """Address of an array that lives as long as this object, aligned to 64 bytes."""
        given = np.asarray(array)
        if dtype is np.int32 and given.size and not -(2**31) <= given.min() <= given.max() < 2**31:
            raise OverflowError("an index in the compiled code exceeds 32 bits")
        wanted: Numbers = given.astype(dtype)
        raw: Numbers = np.zeros(max(wanted.nbytes, 1) + 64, dtype=np.uint8)
        begin = -raw.ctypes.data % 64
        kept: Numbers = raw[begin : begin + wanted.nbytes].view(dtype)
        kept[:] = wanted.ravel()
        self._keep.append(raw)
        return raw.ctypes.data + begin

    def vectors(self, count: int) -> tuple[Array, int]:
        """Room for `count` vectors of one number a lane, shape (count, lanes), and its address."""
        address = self.pointer(np.zeros(max(count, 1) * self.lanes), np.float64)
        raw = self._keep[-1]
        begin = address - raw.ctypes.data
        size = max(count, 1) * self.lanes * 8
        return raw[begin : begin + size].view(np.float64).reshape(-1, self.lanes), address

    def seen(self, address: int, count: int) -> Array:
        """The `count` vectors of one number a lane that stand at an address, shape (count, lanes)."""
        numbers = ctypes.cast(address, ctypes.POINTER(ctypes.c_double))
        return np.ctypeslib.as_array(numbers, (count, self.lanes))

    def work(self, times: int, errors: int | None = None, entries: int | None = None) -> Any:
        """Scratch for one window of `times` points."""
        tables, scheme = self.tables, self.equations.structure.scheme
        intervals = (times - 1) // scheme.span
        evaluations = times if tables.nodal else intervals * scheme.stages
        counts = {
            "rates": evaluations * tables.D,
            "slopes": evaluations * tables.nj,
            "lambda": intervals * scheme.errors * tables.D,
            "local": self.scratch,
        }
        places = {name: self.vectors(count)[1] for name, count in counts.items()}
        return Work(**places, errors=errors, entries=entries)

    def _make_tables(self) -> ctypes.Structure:
        equations = self.equations
        problem, model, observed = equations.problem, equations.model, equations.observed
        scheme = equations.structure.scheme
        tables = equations.structure.tables
        numbers = {
            "D": problem.dimension,
            "V": len(problem.varying),
            "P": len(problem.seen),
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
            "costs": len(equations.costs),
            "seen_products_each": len(tables["seen_products"]) // scheme.span,
            "widest": equations.slopes_of_a_time,
            "na": len(tables["active"]),
            "groups": len(tables["group"]),
            "stretches": len(tables["stretch"]) // 4,
            "slots": equations.structure.slots,
            "staged": int(scheme.staged),
        }
        doubles = {
            "state": scheme.state,
            "known": scheme.known,
            "inner": scheme.inner,
            "position": scheme.position,
            "rate": scheme.rate,
            "walk": [_walk_weight(problem, q) for q in problem.varying],
            "constant": list(problem.fixed.values()),
        }
        indices: dict[str, Any] = {"node": scheme.nodes or ()}
        for prefix, traced in (("", model), ("o", observed)):
            for names, entries in ((("jrow", "jvar"), traced.jacobian), (("hk", "hl"), traced.hessian)):
                for side, name in enumerate(names):
                    indices[prefix + name] = [entry[side] for entry in entries]
        indices |= cost_tables(equations.costs)
        for name, table in tables.items():
            (doubles if table.dtype == np.float64 else indices)[name] = table
        return Tables(
            **numbers,
            **{name: self.pointer(value, np.float64) for name, value in doubles.items()},
            **{name: self.pointer(value, np.int32) for name, value in indices.items()},
        )

    def _make_window(self, window: Window, first: int, end: int, priors: Priors) -> ctypes.Structure:
        precision = 1.0 / np.where(np.isfinite(window.data), window.noise_std, np.inf) ** 2
        precision[:, [cost.row for cost in self.equations.costs]] = 0.0
        problem = self.equations.problem
        indices, means, weights = priors
        here = (indices >= first) & (indices < end)
        order = np.argsort(indices[here], kind="stable")
        return WindowTable(
            N=window.times,
            dt=self.pointer(interval_steps(problem, window), np.float64),
            t=self.pointer(window.grid, np.float64),
            step=self.pointer(window.steps, np.float64),
            data=self.pointer(window.data, np.float64),
            precision=self.pointer(precision, np.float64),
            scale=self.pointer(window.noise_std, np.float64),
            series=self.pointer(window.series, np.float64),
            weight=self.pointer(step_weights(problem, window), np.float64),
            priors=int(here.sum()),
            prior=self.pointer((indices[here] - first)[order], np.int32),
            prior_mean=self.pointer(means[here][order], np.float64),
            prior_weight=self.pointer(weights[here][order], np.float64),
        )


def _walk_weight(problem: Problem, varying: Estimated) -> float:
    """One over the variance of a walk by time; 0 where windows share it: `hpcda.action.tied` adds it once."""
    if varying.walk_std is None or varying.shared and problem.ties.some:
        return 0.0
    return 1.0 / (varying.walk_std * varying.walk_std)


def _refuse_too_large(problem: Problem) -> None:
    width = (SCHEMES[problem.discretization].span + 1) * problem.layout.block + len(problem.constants)
    if width > MOST_WIDTH:
        raise InputError(
            Mistake(
                "model",
                f"a step of the path touches {width:,} unknowns, but the compiled code allows at most "
                f"{MOST_WIDTH:,}",
                "use a model of fewer states, or estimate fewer parameters",
            )
        )
    if problem.size > MOST_UNKNOWNS:
        raise InputError(
            Mistake(
                "windows",
                f"a path has {problem.size:,} unknowns, but the compiled code allows at most "
                f"{MOST_UNKNOWNS:,}",
                "use shorter windows, or fewer steps a sample",
            )
        )


def address(array: Array | None) -> int | None:
    """Address of an array's data, or None."""
    return None if array is None else array.ctypes.data


def model_function(problem: Problem) -> Callable[[Callable[[str, int], Symbol]], list[Any]]:
    """The model's equations as a function to trace; it takes plain numbers too."""
    model = problem.model

    def function(given: Callable[[str, int], Symbol]) -> list[Any]:
        states, parameters = named_inputs(problem, given)
        u = {name: given("s", i) for i, name in enumerate(model.stimulus_names)}
        p = {name: parameters[name] for name in model.parameter_names}
        return model(list(states.values()), p, u, given("t", 0))

    return function


def observed_function(problem: Problem) -> Callable[[Callable[[str, int], Symbol]], list[Any]]:
    """What is measured, as a function to trace; it takes plain numbers too."""

    def function(given: Callable[[str, int], Symbol]) -> list[Any]:
        return [observation(problem, name, given) for name in problem.observed]

    return function


def priors(problem: Problem) -> Priors:
    """Index of every unknown with a Gaussian prior, the priors' means, and one over their variances."""
    found: list[tuple[int, float, float]] = []
    for name, (mean, std) in problem.initial_prior.items():
        state = problem.model.state_names.index(name)
        found += [(begin + state, mean, std) for begin in problem.layout.begins[:-1]]
    for number, varying in enumerate(problem.varying):
        if varying.prior is not None:
            found += [(int(place), *varying.prior) for place in problem.unknowns_of(number)]
    for place, constant in enumerate(problem.constants, problem.layout.tail.start):
        if constant.prior is not None:
            found.append((place, *constant.prior))
    table = np.array(found, dtype=float).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1].copy(), 1.0 / table[:, 2] ** 2
