"""One factorization and one solution: in lanes by chain and tree; by SuperLU, CHOLMOD and MUMPS beside them.

    .venv/bin/python tests/benchmarks/eliminations.py [--cases lorenz96-20-trap,kuramoto-64] [--repeats 7]

The matrices are Hessians of the problems of peers.py on a first path, made positive definite by a shift. For
each case: operations counted, those of dense blocks beside; CPU milliseconds a path of one factorization with
solution, medians over repeats in which all solvers take turns. Chain and tree work on as many paths as the
processor's vectors have lanes: a Newton step without what follows it, less the evaluation. The others work on
one path: SciPy's splu with its best symmetric order, PETSc's Cholesky by CHOLMOD and MUMPS, as far as PETSc
has them, with their own orders. Symbolic work is not counted. Run it alone, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers_parts.problems import CASES, Case
from petsc4py import PETSc
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.eliminations import of_lockstep
from hpcda.annealing.lockstep import Lockstep, Settings, code_of
from hpcda.native.compile import library, vector_lanes
from hpcda.search import WAYS, Scene, begin

DEFAULT = "lorenz96-20-trap,lorenz96-40-trap,lorenz96-100-trap,kuramoto-64,lorenz96-400-trap"
DRIVER = """
static Tick tick_of(const Batch *B) {
  return (Tick){.rf = v_all(B->rf[0]), .shift = v_all(1e6), .anew = ~(vl)v_all(0), .bend = v_all(1)};
}
ENTRY void newton_alone(const Batch *B) {
  vl bad = (vl)v_all(0);
  const Tick tick = tick_of(B);
  newton(B, &tick, &bad);
}
ENTRY void evaluate_alone(const Batch *B) {
  const Tick tick = tick_of(B);
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const Near near = near_of(B, s, B->x);
    Pass a = pass_of(B, s, &near, B->x, &tick, 2);
    begin(&a);
    memset(s->slots, 0, sizeof(vd) * B->slots);
    for (int i = 0; i <= (s->w->N - 1) / B->span; i++) {
      a.own = slots_at(B, s, i), a.next = slots_at(B, s, i + 1);
      if (i < (s->w->N - 1) / B->span) advance(&a, i, s->k->rates);
      else finish(&a);
    }
  }
}
"""


def in_lanes(action: Action, path: np.ndarray, name: str) -> tuple[Lockstep, Callable[[], float]]:
    """A lockstep, and what measures its factorization and solution, in seconds a path."""
    lockstep = Lockstep(action, Ladder(1.0, 2.0, 2), None, Settings(elimination=name))
    for lane in range(lockstep.lanes):
        lockstep.put(lane, lane, path, 0, fresh=True)
    driven = library(code_of(action, lockstep.lanes) + DRIVER)
    batch = ctypes.byref(lockstep._batch)

    def once() -> float:
        began = time.process_time()
        driven.newton_alone(batch)
        middle = time.process_time()
        driven.evaluate_alone(batch)
        return (2 * middle - began - time.process_time()) / lockstep.lanes

    return lockstep, once


def by_superlu(matrix: csr_array, right: np.ndarray) -> Callable[[], float]:
    """SciPy."""
    columns = matrix.tocsc()

    def once() -> float:
        began = time.process_time()
        splu(columns, "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True}).solve(right)
        return time.process_time() - began

    return once


def by_petsc(matrix: csr_array, right: np.ndarray, package: str) -> Callable[[], float]:
    """PETSc's Cholesky, the symbolic factorization kept."""
    petsc = PETSc.Mat().createAIJ(matrix.shape, csr=(matrix.indptr, matrix.indices, matrix.data))
    petsc.setOption(PETSc.Mat.Option.SPD, True)
    solver = PETSc.KSP().create()
    solver.setType("preonly")
    solver.setOperators(petsc)
    solver.getPC().setType("cholesky")
    solver.getPC().setFactorSolverType(package)
    b, x = petsc.createVecs()
    b.setArray(right)
    solver.setUp()

    def once() -> float:
        petsc.stateIncrease()
        began = time.process_time()
        solver.setOperators(petsc)
        solver.setUp()
        solver.solve(b, x)
        return time.process_time() - began

    return once


def measure(case: Case, repeats: int, folder: Path) -> dict[str, object]:
    """All numbers of a case."""
    problem = case.problem(folder)
    action, scene = Action(problem), Scene(problem, Ladder(1.0, 2.0, 2))
    path = begin(scene, WAYS["uniform"], 1, 0).path
    indptr, indices, values = action.hessian(path, 1.0)
    matrix = csr_array((values, indices, indptr), shape=(problem.size,) * 2)
    matrix = csr_array(matrix + diags_array(1.01 * np.abs(matrix).sum(axis=1)))
    matrix.sort_indices()
    plans, timed = {}, {}
    for name in of_lockstep():
        lockstep, timed[name] = in_lanes(action, path, name)
        plans[name] = lockstep.plan
    timed["splu"] = by_superlu(matrix, path)
    for package in ("cholmod", "mumps"):
        if PETSc.Sys.hasExternalPackage({"cholmod": "suitesparse"}.get(package, package)):
            timed[package] = by_petsc(matrix, path, package)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, once in timed.items():
            seconds[name].append(once())
    span, block = action.structure.scheme.span, action.structure.block
    intervals = sum((window.times - 1) // span for window in problem.windows)
    pivots = span * block
    return {
        "case": case.name,
        "unknowns": problem.size,
        "dense": float(intervals * (pivots**3 / 3 + pivots**2 * block + pivots * block**2)),
        "flops": {name: plan.flops for name, plan in plans.items()},
        "numbers": {name: plan.numbers for name, plan in plans.items()},
        "estimate": {name: plan.seconds for name, plan in plans.items()},
        "what": {name: plan.what for name, plan in plans.items()},
        "seconds": {name: float(np.median(own)) for name, own in seconds.items()},
    }


def main() -> None:
    """Print a line a case and write everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default=DEFAULT, help=f"which, with commas ({DEFAULT})")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each (7)")
    parser.add_argument("--out", type=Path, default=Path("runs/eliminations"), help="folder of the results")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = []
    print(f"{vector_lanes()} lanes; ms a path of one factorization with solution")
    for name in arguments.cases.split(","):
        found.append(one := measure(CASES[name], arguments.repeats, arguments.out))
        seconds = one["seconds"]
        best = min(seconds["chain"], seconds["tree"])
        print(f"{name}: {one['unknowns']} unknowns, operations: dense blocks {one['dense']:.2g}", end="")
        for kind, flops in one["flops"].items():
            print(f", {kind} {flops:.2g} ({one['what'][kind]})", end="")
        print()
        for solver, own in seconds.items():
            rate = f", {one['flops'][solver] / own / 1e9:5.1f} Gflop/s" if solver in one["flops"] else ""
            print(f"  {solver:8s} {1e3 * own:9.3f}  {own / best:6.2f} of the faster of ours{rate}")
        (arguments.out / "eliminations.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
