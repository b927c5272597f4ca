"""CasADi with IPOPT: exact sparse Hessian, MUMPS, functions compiled to C, every rung warm from the last.

What was tried and kept: C code at -O2 (evaluations are four times as fast as in CasADi's virtual machine, a
start some 15 % faster); MUMPS with whichever of its orderings is fastest on the problem's first rung; on
bounded problems, from the second rung on, IPOPT's warm start with the multipliers of the last rung (a third
faster than cold starts, to the same minima); an end where the action has ceased to fall, since at large Rf
rounding may keep the gradient above any tolerance (up to 500 idle iterations).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

from hpcda.annealing import Ladder
from hpcda.problem import Array, Problem
from hpcda.search import WAYS, SearchContext, begin

from .twin import Twin, make_twin

FLAGS = ("-O2", "-march=native", "-shared", "-fPIC")
ORDERINGS = {"AMD": 0, "AMF": 2, "automatic": 7}
FOUND = ("Solve_Succeeded", "Solved_To_Acceptable_Level", "Search_Direction_Becomes_Too_Small")
"""Ends at a minimum: the last one means that rounding allows no further decrease."""
TOGETHER = 1
"""How many starts one call of `climb` takes."""
OPTIONS: dict[str, Any] = {
    "print_level": 0,
    "sb": "yes",
    "linear_solver": "mumps",
    "tol": 1e-8,
    "max_iter": 1000,
    "acceptable_tol": 1e-4,
    "acceptable_iter": 3,
    "acceptable_obj_change_tol": 1e-11,
}
NEAR = 1e-9
WARM = {"warm_start_init_point": "yes", "mu_init": 1e-6} | {
    f"warm_start_{name}": NEAR
    for name in (
        "bound_push", "bound_frac", "slack_bound_push", "slack_bound_frac", "mult_bound_push",
    )
}  # fmt: skip


@dataclass
class Ipopt:
    """IPOPT on one problem: the solver of the first rung, that of all others, and how it was set up."""

    cold: Any
    warm: Any
    notes: dict[str, Any] = field(default_factory=dict)


def prepare(problem: Problem, ladder: Ladder, folder: Path) -> Ipopt:
    """Build the NLP once, compile it (or take it from `folder`), choose MUMPS's ordering."""
    functions, seconds = _compiled(make_twin(problem), folder)
    low, high = problem.bounds
    path = begin(SearchContext(problem, ladder), WAYS["uniform"], 0, 0).path
    times = {}
    for name in ORDERINGS:
        solver = _solver(functions, {"mumps_pivot_order": ORDERINGS[name], "max_iter": 10})
        began = time.process_time()
        solver(x0=path, p=ladder.rf[0], lbx=low, ubx=high)
        times[name] = time.process_time() - began
    best = min(times, key=times.__getitem__)
    chosen = {"mumps_pivot_order": ORDERINGS[best]}
    cold = _solver(functions, chosen)
    warm = _solver(functions, chosen | WARM) if problem.bounded else cold
    return Ipopt(cold, warm, {"ordering": best, "compile_seconds": seconds})


def climb(
    problem: Problem,
    prepared: Ipopt,
    ladder: Ladder,
    starts: list[int],
    seed: int,
    tell: Callable[[int, int], None] = lambda start, rung: None,
) -> list[tuple[float, Array, int, float]]:
    """Final action, final path, KKT factorizations and seconds of every start."""
    return [_one(problem, prepared, ladder, start, seed, tell) for start in starts]


def _one(
    problem: Problem, prepared: Ipopt, ladder: Ladder, start: int, seed: int, tell: Callable[[int, int], None]
) -> tuple[float, Array, int, float]:
    began = time.process_time()
    path = begin(SearchContext(problem, ladder), WAYS["uniform"], seed, start).path
    end = follow(problem, prepared, ladder, path, lambda rung: tell(start, rung))
    return *end, time.process_time() - began


def follow(
    problem: Problem, prepared: Ipopt, ladder: Ladder, path: Any, tell: Callable[[int], None]
) -> tuple[float, Array, int]:
    """Final action, final path and KKT factorizations of a climb from a path; `tell` hears every rung."""
    low, high = problem.bounds
    factorizations, value, multipliers = 0, np.nan, 0.0
    ends = prepared.notes.setdefault("ends", {})
    for rung, rf in enumerate(ladder.rf):
        tell(rung)
        solver = prepared.warm if rung else prepared.cold
        answer = solver(x0=path, p=rf, lbx=low, ubx=high, lam_x0=multipliers)
        path, multipliers, value = answer["x"], answer["lam_x"], float(answer["f"])
        stats = solver.stats()
        factorizations += count(stats["iterations"]["regularization_size"])
        ends[stats["return_status"]] = ends.get(stats["return_status"], 0) + 1
        if not np.isfinite(value):
            break
    return value, np.array(path)[:, 0], factorizations


def count(shifts: list[float]) -> int:
    """Factorizations behind the shifts of all iterations of one solve.

    IPOPT factorizes without shift, then, while the inertia is wrong, with growing ones, by its rule IC
    (Wächter & Biegler, Math. Program. 106, 25 (2006), section 3.1): the first ever 1e-4 and then 100 times
    more, else a third of the last one and then 8 times more.
    """
    total, last = 0, 0.0
    for shift in shifts[1:]:
        total += 1
        if shift > 0.0:
            trial = 1e-4 if last == 0.0 else max(1e-20, last / 3)
            total += 1
            while trial < 0.999 * shift:
                trial *= 100.0 if last == 0.0 or 1e5 * last < trial else 8.0
                total += 1
            last = shift
    return total


def _solver(functions: list[Any], options: dict[str, Any]) -> Any:
    nlp, gradient, hessian = functions
    settings = {"grad_f": gradient, "hess_lag": hessian, "print_time": False, "calc_lam_p": False}
    return ca.nlpsol(
        "ipopt", "ipopt", nlp, settings | {f"ipopt.{k}": v for k, v in (OPTIONS | options).items()}
    )


def _compiled(twin: Twin, folder: Path) -> tuple[list[Any], float]:
    """The twin's functions from a shared library, and the seconds that the C compiler took for it."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = ca.CodeGenerator("twin.c")
    for function in (twin.nlp, twin.nlp.reverse(1), twin.gradient, twin.hessian):
        generator.add(function)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        generator.generate(place + os.sep)
        source = Path(place) / "twin.c"
        key = hashlib.sha256(source.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:24]
        library, note = folder / f"{key}.so", folder / f"{key}.json"
        if not note.is_file():
            compiler = os.environ.get("CC") or shutil.which("gcc") or "cc"
            began = time.perf_counter()
            made = Path(place) / "twin.so"
            subprocess.run([compiler, *FLAGS, str(source), "-o", str(made), "-lm"], check=True)
            made.replace(library)
            note.write_text(json.dumps(time.perf_counter() - began))
    names = ("nlp", "nlp_grad_f", "nlp_hess_l")
    return [ca.external(name, str(library)) for name in names], json.loads(note.read_text())
