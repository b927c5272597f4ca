"""What a step of a network costs: Gauss-Newton and exact, by each elimination; memory by the number of pairs.

    OMP_NUM_THREADS=1 .venv/bin/python -m tests.benchmarks.network_steps [--repeats 15]

CPU milliseconds of one core, medians: the model (a pass, the gradient, the matrix where there is one) and one
shifted solution. Cases: five layers of 10 sigmoid units with 1,000 pairs; the published twin's student, 20
layers of 10, with 2 pairs and noisy inputs; digits, 64-30-10 with 1,257 pairs. Then the peak of memory that
NumPy holds in a Gauss-Newton step of the first case, by pairs. Run it alone.

    mpirun -n 2 .venv/bin/python -m tests.benchmarks.network_steps --shared [--repeats 60]

The same steps by ranks that share the pairs, beside one rank that has all of them while the others sleep:
milliseconds of the slowest rank, shortest and median; and, of the shortest, what CPU each rank took outside
of MPI, which tells on a machine that is not idle. "petsc" is PETSc's conjugate gradients.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.dealt import ALONE
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.annealing.layered import ELIMINATIONS, cheapest


def layers(widths: tuple[int, ...], pairs: int, input_std: float | None = None, loss: str = "") -> Network:
    """A network with random pairs."""
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((pairs, widths[0]))
    names = ["sigmoid"] * (len(widths) - 2) + ["identity" if loss else "sigmoid"]
    functions = [ACTIVATIONS[name].function for name in names]
    if loss:
        outputs = np.eye(widths[-1])[rng.integers(0, widths[-1], pairs)]
        return Network(widths, functions, inputs, outputs, DataLoss(LOSSES[loss]), None, 1.0)
    outputs = rng.uniform(0.2, 0.8, (pairs, widths[-1]))
    return Network(widths, functions, inputs, outputs, 0.005, input_std, 10.0)


CASES = {
    "5 layers of 10, 1,000 pairs": lambda: layers((10,) * 5, 1000),
    "20 layers of 10, 2 pairs, noisy inputs": lambda: layers((10,) * 20, 2, 0.005),
    "64-30-10 softmax, 1,257 pairs": lambda: layers((64, 30, 10), 1257, loss="softmax"),
}


class Timed:
    """Ranks, and the CPU seconds within their calls."""

    def __init__(self, ranks) -> None:
        self._ranks, self.spent = ranks, 0.0
        self.rank, self.size = ranks.rank, ranks.size

    def _call(self, call, *given):
        began = time.process_time()
        found = call(*given)
        self.spent += time.process_time() - began
        return found

    def gather(self, *given):
        return self._call(self._ranks.gather, *given)

    def exchange(self, *given):
        return self._call(self._ranks.exchange, *given)


def steps(way, theta, exact, repeats, ranks, together):
    """Wall seconds of the slowest rank, and CPU seconds outside of MPI, of every step."""
    wall, cpu = [], []
    for _ in range(repeats):
        together(0.0)
        began, used, within = time.perf_counter(), time.process_time(), ranks.spent
        model = way.exact(theta) if exact else way.gauss_newton(theta)
        model.solve((1.0 if exact else 1e-3) * model.scale)
        own = time.process_time() - used - (ranks.spent - within)
        wall.append(together(time.perf_counter() - began))
        cpu.append(together(own))
    return np.array(wall), np.array(cpu)


def shared(repeats: int) -> None:
    """Steps by ranks that share the pairs."""
    from mpi4py import MPI

    from hpcda.mpi import Shared, World
    from hpcda.petsc.layered import PetscKrylov

    with World() as world:
        comm, ways = world.comm, {**ELIMINATIONS, "petsc": PetscKrylov}
        for name in ("5 layers of 10, 1,000 pairs", "64-30-10 softmax, 1,257 pairs"):
            network = CASES[name]()
            theta = np.random.default_rng(2).uniform(-0.5, 0.5, network.weights)
            if world.rank == 0:
                print(f"{name}: {network.weights} weights", flush=True)
            for kind, exact in [(kind, exact) for kind in ("states", "krylov", "petsc") for exact in (0, 1)]:
                told = []
                for ranks, here in ((Timed(ALONE), world.rank == 0), (Timed(Shared(comm)), True)):
                    if here:
                        alone = ranks.size == 1
                        way = ways[kind](ExactNetwork(network, ranks))
                        many = repeats if network.weights < 1000 else max(repeats // 5, 3)
                        wall, cpu = steps(
                            way, theta, exact, many, ranks,
                            (lambda x: x) if alone else (lambda x: comm.allreduce(x, op=MPI.MAX)),
                        )  # fmt: skip
                        way.destroy()
                        told.append((wall.min(), np.median(wall), cpu.min()))
                    world.wait()
                if world.rank == 0:
                    words = [
                        f"{own}: {1e3 * least:7.2f} ({1e3 * middle:7.2f}) ms, CPU {1e3 * cpu:7.2f} ms"
                        for own, (least, middle, cpu) in zip(
                            ("one rank", f"{comm.size} ranks"), told, strict=True
                        )
                    ]
                    gain = [told[0][k] / told[-1][k] for k in (0, 1, 2)]
                    print(
                        f"  {kind:7}{'exact' if exact else 'Gauss-Newton':13} {'; '.join(words)}; "
                        f"{gain[0]:.2f} ({gain[1]:.2f}) times, CPU {gain[2]:.2f} times",
                        flush=True,
                    )


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--shared", action="store_true", help="by the ranks of mpirun")
    given = parser.parse_args()
    repeats = given.repeats
    if given.shared:
        shared(repeats)
        return
    for name, make in CASES.items():
        action = ExactNetwork(make())
        rng = np.random.default_rng(2)
        theta = action.first(rng.uniform(-0.5, 0.5, action.network.weights))
        chosen = type(cheapest(action)).__name__.lower()
        print(f"{name}: {action.network.weights} weights; chosen: {chosen}")
        for kind, build in ELIMINATIONS.items():
            way, told = build(action), []
            for exact in (False, True):
                spent = []
                for _ in range(repeats):
                    began = time.process_time()
                    model = way.exact(theta) if exact else way.gauss_newton(theta)
                    shift = (1.0 if exact else 1e-3) * model.scale
                    model.solve(shift)
                    spent.append(time.process_time() - began)
                told.append(f"{'exact' if exact else 'Gauss-Newton'} {1e3 * np.median(spent):8.2f} ms")
            print(f"  {kind:7} {', '.join(told)}; counted {1e3 * way.cost.seconds:.2f} ms", flush=True)
    print("memory of a Gauss-Newton step, 5 layers of 10:")
    for pairs in (500, 1000, 2000, 4000, 8000):
        action = ExactNetwork(layers((10,) * 5, pairs))
        theta = np.random.default_rng(2).uniform(-0.5, 0.5, action.size)
        way = ELIMINATIONS["states"](action)
        way.gauss_newton(theta).solve(1.0)
        tracemalloc.start()
        way.gauss_newton(theta).solve(1.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"  {pairs:5} pairs: {1e-6 * peak:6.1f} MB, {peak / pairs:7.0f} bytes a pair", flush=True)


if __name__ == "__main__":
    main()
