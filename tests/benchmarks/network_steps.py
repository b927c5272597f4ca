"""What a step of a network costs: Gauss-Newton and exact, by each elimination; memory by the number of pairs.

    OMP_NUM_THREADS=1 .venv/bin/python -m tests.benchmarks.network_steps [--repeats 15]

CPU milliseconds of one core, medians: the model (a pass, the gradient, the matrix where there is one) and one
shifted solution. Cases: five layers of 10 sigmoid units with 1,000 pairs; the published twin's student, 20
layers of 10, with 2 pairs and noisy inputs; digits, 64-30-10 with 1,257 pairs. Then the peak of memory that
NumPy holds in a Gauss-Newton step of the first case, by pairs. Run it alone.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np

from hpcda.action.activations import ACTIVATIONS
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


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
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
