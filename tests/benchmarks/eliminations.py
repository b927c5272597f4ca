"""One factorization and one solution: in lanes, of one matrix, and over ranks; PETSc's packages beside ours.

    .venv/bin/python tests/benchmarks/eliminations.py [--cases lorenz96-20-trap,kuramoto-64] [--repeats 7]
        [--ranks 2]

The matrices are Hessians of the problems of peers.py on a first path, made positive definite by a shift. For
each case: operations counted, those of dense blocks beside; CPU milliseconds a path of one factorization with
solution, medians over repeats in which all solvers take turns. Chain and tree work on as many paths as the
processor's vectors have lanes: a Newton step without what follows it, less the evaluation. The others work on
one matrix: a tree of fronts, its columns in vectors; SciPy's splu with its best symmetric order; PETSc's
Cholesky in natural order, by CHOLMOD and by MUMPS, as far as PETSc has them, with their own orders. Of the
eliminations among them, log determinant, one sample and the variances are timed too, once. Symbolic work is
not counted.

With --ranks, each matrix is spread over so many ranks, as `newton` spreads it: subtrees of a tree of fronts,
and MUMPS; CPU milliseconds of the rank that takes most, waiting included where MPI waits actively, and the
operations of each rank. Calls mpirun itself. Run it alone, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers_parts.problems import CASES, Case
from petsc4py import PETSc
from scipy.sparse import csr_array
from scipy.sparse.linalg import splu

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.annealing import Ladder
from hpcda.annealing.elimination import Linear
from hpcda.annealing.eliminations import of_lockstep
from hpcda.annealing.lockstep import Lockstep, Settings, code_of
from hpcda.linalg.elimination import Elimination, NotOfferedError
from hpcda.linalg.tree import TreeElimination
from hpcda.native.compile import library, vector_lanes
from hpcda.petsc.distributed import DistributedSystem
from hpcda.petsc.elimination import PetscElimination
from hpcda.petsc.linear import chain, configure
from hpcda.search import WAYS, SearchContext, begin

DEFAULT = "lorenz96-20-trap,lorenz96-40-trap,lorenz96-100-trap,kuramoto-64,lorenz96-400-trap"
CHILD = "HPCDA_ELIMINATIONS_CHILD"
LINEAR = {
    "natural": (Linear(order="natural"), "mpi"),
    "cholmod": (Linear("cholmod"), "suitesparse"),
    "mumps": (Linear("mumps", spread=True), "mumps"),
}
"""PETSc's packages, and what PETSc calls them."""
MOST_NATURAL = 100
"""Unknowns of one time up to which the natural order is tried."""
MORE = ("log determinant", "sample", "variances")
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


def by(elimination: Elimination, values: np.ndarray, right: np.ndarray) -> Callable[[], float]:
    """One of hpcda's, the symbolic factorization kept."""
    elimination.factor(values)

    def once() -> float:
        began = time.process_time()
        elimination.factor(values).solve(right)
        return time.process_time() - began

    return once


def more_of(elimination: Elimination, values: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """CPU seconds of what else a factor gives; without what it does not."""
    factor, found = elimination.factor(values), {}
    ways = (lambda: factor.logdet, lambda: factor.sample(right), lambda: factor.variances)
    for name, way in zip(MORE, ways, strict=True):
        began = time.process_time()
        try:
            way()
        except NotOfferedError:
            continue
        found[name] = time.process_time() - began
    return found


def measure(case: Case, repeats: int, folder: Path) -> dict[str, object]:
    """All numbers of a case."""
    problem = case.problem(folder)
    action, context = Action(problem), SearchContext(problem, Ladder(1.0, 2.0, 2))
    path = begin(context, WAYS["uniform"], 1, 0).path
    pattern = pattern_of(problem, action.sparsity)
    values = action.derivatives(path, 1.0)[2]
    diagonal = pattern.rows == pattern.indices
    values = values + 1.01 * diagonal * np.bincount(pattern.rows, np.abs(values))[pattern.rows]
    matrix = csr_array((values, pattern.indices, pattern.indptr), shape=(problem.size,) * 2)
    plans, timed = {}, {}
    for name in of_lockstep():
        lockstep, timed[name] = in_lanes(action, path, name)
        plans[name] = lockstep.plan
    timed["splu"] = by_superlu(matrix, path)
    alone: dict[str, Elimination] = {"tree of one": TreeElimination(pattern)}
    for name, (linear, package) in LINEAR.items():
        if PETSc.Sys.hasExternalPackage(package) and (
            name != "natural" or problem.layout.block <= MOST_NATURAL
        ):
            alone[name] = PetscElimination(pattern, linear)
    timed |= {name: by(elimination, values, path) for name, elimination in alone.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, once in timed.items():
            seconds[name].append(once())
    more = {}
    if problem.size <= 10_000:
        more = {name: more_of(elimination, values, path) for name, elimination in alone.items()}
    for elimination in alone.values():
        if isinstance(elimination, PetscElimination):
            elimination.destroy()
    span, block = action.structure.scheme.span, action.structure.block
    intervals = sum((window.times - 1) // span for window in problem.windows)
    pivots = span * block
    flops = {name: plan.flops for name, plan in plans.items()}
    return {
        "case": case.name,
        "unknowns": problem.size,
        "dense": float(intervals * (pivots**3 / 3 + pivots**2 * block + pivots * block**2)),
        "flops": flops | {"tree of one": alone["tree of one"].flops},
        "numbers": {name: plan.numbers for name, plan in plans.items()},
        "estimate": {name: plan.seconds for name, plan in plans.items()},
        "what": {name: plan.what for name, plan in plans.items()} | {"tree of one": "its columns in vectors"},
        "seconds": {name: float(np.median(own)) for name, own in seconds.items()},
        "more": more,
    }


def over_ranks(arguments: argparse.Namespace) -> None:
    """What every rank does with --ranks: print a line a case and solver."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    for name in arguments.cases.split(","):
        for rank in range(comm.size):  # one after the other: they keep what they have made in one folder
            if rank == comm.rank:
                problem = CASES[name].problem(arguments.out)
            comm.Barrier()
        path = begin(SearchContext(problem, Ladder(1.0, 2.0, 2)), WAYS["uniform"], 1, 0).path
        system = DistributedSystem(Action(problem), comm)
        system.rf = 1.0
        system.load(path)
        system.assemble(None, system.x, None, None)
        diagonal, right, found = (system.x.duplicate() for _ in range(3))
        system.hessian.getDiagonal(diagonal)
        largest = comm.allreduce(float(np.abs(diagonal.array_r).max(initial=0.0)), MPI.MAX)
        diagonal.shift(20.0 * largest)
        right.set(1.0)
        for way in ("tree", "mumps"):
            if way == "mumps" and not PETSc.Sys.hasExternalPackage("mumps"):
                continue
            ksp, times = PETSc.KSP().create(comm=system.x.comm), []
            configure(ksp, chain(system, way)[0], system)
            for _ in range(arguments.repeats + 1):
                system.hessian.setDiagonal(diagonal)
                ksp.setOperators(system.hessian, system.hessian)
                comm.Barrier()
                began, cpu = time.perf_counter(), time.process_time()
                ksp.setUp()
                ksp.solve(right, found)
                own = time.process_time() - cpu, time.perf_counter() - began
                times.append([comm.allreduce(each, MPI.MAX) for each in own])
            cpu_ms, wall_ms = 1e3 * np.median(times[1:], axis=0)
            flops = ""
            if way == "tree":
                counts = comm.gather(ksp.getPC().getPythonContext().elimination.flops)
                flops = ", operations " + ", ".join(f"{count:.2g}" for count in counts or ())
            if comm.rank == 0:
                took = f"{cpu_ms:9.2f} CPU ms, {wall_ms:9.2f} ms, the first {1e3 * times[0][1]:.0f} ms"
                print(f"{name} on {comm.size} ranks, {way:6s} {took}{flops}", flush=True)
            ksp.destroy()
        for thing in (diagonal, right, found, system):
            thing.destroy()


def spread(ranks: int) -> int:
    """Call this file again under mpirun; its exit code."""
    mpirun = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if mpirun is None:
        raise SystemExit("mpirun is not on PATH")
    command = [mpirun, "-n", str(ranks), sys.executable, *sys.argv]
    return subprocess.run(command, env=os.environ | {CHILD: "1"}, check=False).returncode


def main() -> None:
    """Print a line a case and write everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default=DEFAULT, help=f"which, with commas ({DEFAULT})")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each (7)")
    parser.add_argument("--ranks", type=int, default=0, help="spread every matrix over so many ranks")
    parser.add_argument("--out", type=Path, default=Path("runs/eliminations"), help="folder of the results")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if os.environ.get(CHILD):
        over_ranks(arguments)
        return
    if arguments.ranks:
        raise SystemExit(spread(arguments.ranks))
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
            print(f"  {solver:11s} {1e3 * own:9.3f}  {own / best:6.2f} of the faster of ours{rate}")
        for solver, other in one["more"].items():
            print(f"  {solver:11s} " + ", ".join(f"{what} {1e3 * own:.3f}" for what, own in other.items()))
        (arguments.out / "eliminations.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
