"""The published twin by the published way, L-BFGS-B up a ladder of Rf, beside the descent at Rf = ∞.

    python -m tests.benchmarks.published_twin [--layers 20] [--pairs 2 10] [--starts 5]

The student of jobs/published_twin. The published way has the settings of varanneal's example nnet_twin: units
of all layers and weights are free, Rf from 1e-8/σ² up 436 rungs, each 1.1 times the one before, SciPy's
L-BFGS-B to 1e-12, here with the gradient that hpcda compiles, and with biases. What counts is A + (its model
part), which tends to the level at Rf = ∞; --rungs ends the ladder earlier. CPU seconds of a start, medians.
Run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.optimize import minimize

from hpcda.annealing.exact import descend
from hpcda.build import build_network
from hpcda.job import load_job
from hpcda.search.training import NetworkContext

NOISE, UNITS = 0.005, 10
ALPHA = 1.1


def context(layers: int, pairs: int) -> NetworkContext:
    tables = {
        "network": {
            "hidden": [UNITS] * (layers - 2), "activation": "sigmoid", "output_activation": "sigmoid",
            "weight_std": 1.0,
        },
        "twin": {
            "inputs": UNITS, "outputs": UNITS, "hidden": [UNITS] * 98, "weight_range": [-0.1, 0.1],
            "bias_std": 0.0, "pairs": pairs, "noise_std": NOISE, "input_std": NOISE,
        },
    }  # fmt: skip
    return NetworkContext(build_network(load_job(tables)).network)


def exact(given: NetworkContext, rng: np.random.Generator) -> tuple[float, float]:
    first = given.first_weights(given.action, rng)
    began = time.process_time()
    found = descend(given.action, first)
    return time.process_time() - began, found.parts.total


def published(given: NetworkContext, rng: np.random.Generator, rungs: int) -> tuple[float, float]:
    network = given.network
    weights = given.first_weights(given.action, rng)[given.action.inputs :]
    units = rng.uniform(0.4, 0.6, (network.pairs, sum(network.widths)))
    units[:, :UNITS] = rng.normal(size=(network.pairs, UNITS))
    path, rf = np.concatenate([units.ravel(), weights]), 1e-8 / NOISE**2
    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 1e-12, "gtol": 1e-12}
    began = time.process_time()
    for _ in range(rungs):

        def value(x: np.ndarray, rf: float = rf) -> tuple[float, np.ndarray]:
            found, gradient = given.graph.gradient(x, rf)
            return found.total, gradient

        path = minimize(value, path, jac=True, method="L-BFGS-B", options=options).x
        parts = given.graph.value(path, rf).parts
        rf *= ALPHA
    return time.process_time() - began, parts.total + parts.model


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--pairs", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--rungs", type=int, default=436)
    given = parser.parse_args()

    def annealed(one: NetworkContext, rng: np.random.Generator) -> tuple[float, float]:
        return published(one, rng, given.rungs)

    for pairs in given.pairs:
        one = context(given.layers, pairs)
        for name, run in (("Rf = ∞", exact), ("L-BFGS-B", annealed)):
            found = [run(one, np.random.default_rng(start)) for start in range(given.starts)]
            seconds = np.median([spent for spent, _ in found])
            levels = [level for _, level in found]
            print(
                f"{pairs} pairs, {name:9} {seconds:8.3f} s a start; levels {min(levels):.6g} … "
                f"{max(levels):.6g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
