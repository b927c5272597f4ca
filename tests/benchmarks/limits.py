"""How near to the machine: the Cholesky of lanes and a matrix product; cost and memory by window length.

    .venv/bin/python tests/benchmarks/limits.py [--out FOLDER]

First table: Gflop/s of one core for the block-tridiagonal Cholesky of as many paths as a vector has lanes,
blocks of D unknowns and one border row, 161 times, beside NumPy's product of two 1000 × 1000 matrices.
Second: Lorenz 1996, 20 states, trapezoid: CPU microseconds of a step of all lanes for each time of a window,
and bytes of a start beside those of its Hessian's blocks. Run it alone, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from pathlib import Path

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep, memory
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.linalg.tree import aligned
from hpcda.native.compile import library, vector_lanes
from hpcda.native.unit import unit
from hpcda.search import WAYS, SearchContext, begin

TIMES, BORDER, REPEATS = 161, 1, 7
DRIVER = """
void blocks(double *storage, int D, int P, int times, double *carried) {
  const size_t size = (size_t)D * (D + 1) / 2 + (size_t)(D + P) * D;
  for (int n = 0; n < times; n++) {
    vd *at = (vd *)storage + n * size, *row[D + D + P];
    vl bad = (vl)v_all(0);
    for (int i = 0; i < D; i++) row[i] = at, at += i + 1, row[i][i] = v_all(100);
    for (int i = D; i < D + D + P; i++) row[i] = at, at += D;
    front_eliminate(row, row, 0, D, D + P, &bad);
    vd *out[D];
    for (int i = 0; i < D; i++) out[i] = (vd *)carried + i * D;
    front_update(row + D, 0, D, row + D, 0, D, D, 0, out);
  }
}
"""


def product_rate() -> float:
    """Gflop/s of a product of two matrices."""
    a = np.random.default_rng(0).random((1000, 1000))
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        a @ a
        times.append(time.process_time() - began)
    return 2.0 / float(np.median(times))


def cholesky_rate(size: int) -> float:
    """Gflop/s of the blocks' elimination."""
    lanes = vector_lanes()
    code = library(unit(lanes, "front.c") + DRIVER)
    each = size * (size + 1) // 2 + (size + BORDER) * size
    storage, carried = aligned(TIMES * each, lanes), aligned(size * size, lanes)
    call = [ctypes.c_void_p(storage.ctypes.data), size, BORDER, TIMES, ctypes.c_void_p(carried.ctypes.data)]
    times = []
    for _ in range(REPEATS):
        storage[:] = 0.0
        began = time.process_time()
        code.blocks(*call)
        times.append(time.process_time() - began)
    flops = lanes * TIMES * (size**3 / 3 + (size + BORDER) * size**2 + size**2 * (size + 1))
    return float(flops / np.median(times)) / 1e9


def step_cost(times: int) -> tuple[float, float]:
    """CPU microseconds a time of a step of all lanes; bytes of a start over those of its Hessian's blocks."""
    sites = [f"x{i}" for i in (0, 2, 4, 6, 8, 10, 14, 16)]
    job = {
        "model": {
            "name": "lorenz96",
            "options": {"dimension": 20},
            "parameters": {"F": {"estimate": True, "start": [4.0, 14.0]}},
        },
        "twin": {"dt": 0.025, "samples": times, "spin_up": 20.0, "observed": sites, "noise_std": 0.5},
        "action": {"discretization": "trapezoid"},
        "ladder": {"rf0": 1e-2, "alpha": 1.5, "rungs": 3},
        "ensemble": {"range": [-10.0, 15.0]},
    }
    problem = build_problem(load_job(job)).problem
    action, ladder = Action(problem), Ladder(1e-2, 1.5, 3)
    lockstep = Lockstep(action, ladder)
    for lane in lockstep.empty:
        path = begin(SearchContext(problem, ladder), WAYS["uniform"], 1, int(lane)).path
        lockstep.put(int(lane), int(lane), path, 0, fresh=True)
    lockstep.advance(2)
    began, steps = time.process_time(), lockstep.advance(8)
    seconds = (time.process_time() - began) / steps
    return 1e6 * seconds / times, memory(action) / lockstep.lanes / (8.0 * times * 2 * 20**2)


def main() -> None:
    """Print and write both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/limits"), help="folder of limits.json")
    folder = parser.parse_args().out
    rate = product_rate()
    cholesky = {size: cholesky_rate(size) for size in (5, 10, 20, 40, 100, 200, 400)}
    print(f"matrix product {rate:.1f} Gflop/s")
    for size, value in cholesky.items():
        print(f"Cholesky, blocks of {size:3d}: {value:5.1f} Gflop/s, {value / rate:.2f} of the product")
    steps = {times: step_cost(times) for times in (101, 1001, 5001, 20001)}
    for times, (cost, share) in steps.items():
        print(f"{times:6d} times: {cost:.1f} us a time and step, memory {share:.2f} of the Hessian's blocks")
    folder.mkdir(parents=True, exist_ok=True)
    result = {"product": rate, "cholesky": cholesky, "steps": steps}
    (folder / "limits.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
