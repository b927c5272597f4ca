"""A network that integrates a field, grown from 5 to 160 steps, beside each trained from scratch, in one run.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.depth [--levels 6] [--pairs 300] [--scheme euler]
                                                       [--weights walk|free|constant]

The teacher is the field dx/dt = tanh(W(t) x + b) of three units over T = 2, integrated by SciPy; two of them
are measured at the end with noise 0.05. Reduced: 2 measurement / (number of output values). Validation:
root mean square error over the noise-free outputs of 500 other pairs, in units of the noise. The limit is
Richardson's, of the last three depths. CPU seconds of one core; those of growth are of all levels so far.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.integrate import solve_ivp

from hpcda.action.continuum import SCHEMES, Continuum
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.search.deepening import Depth, prolonged, with_steps
from hpcda.search.refinement import limit_of

NOISE, SPAN, UNITS, FIRST, VALIDATION = 0.05, 2.0, 3, 5, 500
LIMITS = ExactSettings(max_iterations=200)
A = np.array([[0.9, -1.1, 0.3], [0.7, 0.2, -0.8], [-0.4, 0.6, 0.5]])
B = np.array([[0.3, 0.2, -0.5], [0.1, -0.4, 0.6], [0.5, 0.3, -0.2]])
OWN = np.array([0.1, -0.2, 0.3])


def taught(inputs: np.ndarray) -> np.ndarray:
    """Outputs of the teacher, shape (pairs, 2)."""

    def rates(t: float, x: np.ndarray) -> np.ndarray:
        states = x.reshape(inputs.shape)
        return np.tanh(states @ (A + np.sin(1.5 * t) * B).T + OWN).ravel()

    found = solve_ivp(rates, (0.0, SPAN), inputs.ravel(), rtol=1e-9, atol=1e-9)
    return found.y[:, -1].reshape(inputs.shape)[:, :2]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--levels", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scheme", choices=list(SCHEMES), default="midpoint")
    parser.add_argument("--weights", choices=["free", "walk", "constant"], default="walk")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    inputs = rng.normal(size=(asked.pairs + VALIDATION, UNITS))
    outputs = taught(inputs)
    noisy = outputs[: asked.pairs] + NOISE * rng.normal(size=(asked.pairs, 2))
    size, walk = (None, 0.5) if asked.weights == "walk" else (1.0, None)
    continuum = Continuum(SPAN, FIRST, asked.scheme, asked.weights, size, walk)
    activations = [np.tanh] * continuum.layers + [lambda z: z]
    base = Network(
        continuum.widths(UNITS, UNITS, 2), activations, inputs[: asked.pairs], noisy, NOISE,
        weight_std=1.0, continuum=continuum,
    )  # fmt: skip
    held, right = inputs[asked.pairs :], outputs[asked.pairs :]

    def row(name: str, one: Depth, seconds: float) -> float:
        """Print it; its validation error."""
        network = with_steps(base, one.steps)
        unseen = type(network)(**{**vars_of(network), "inputs": held, "outputs": right})
        error = ExactNetwork(unseen).outputs(one.rung.path) - right
        valid = float(np.sqrt(np.mean(error**2))) / NOISE
        misfit = (one.action.outputs(one.rung.path) - noisy) / NOISE
        levels = f"action {one.rung.action:11.5f}  reduced {np.mean(misfit**2):7.4f}  validation {valid:7.4f}"
        ended = one.rung.reason.name.lower()
        print(f"  {one.steps:4d} {name:8s} {levels}  {seconds:7.1f} s  {ended}", flush=True)
        return valid

    spent, before, actions, valids = 0.0, None, [], []
    for level in range(asked.levels):
        steps = FIRST * 2**level
        action = ExactNetwork(with_steps(base, steps))
        drawn = np.random.default_rng([asked.seed, level]).uniform(-0.1, 0.1, action.size)
        scratch = action.network.alike(drawn)
        for name in ("grown", "scratch"):
            grown = name == "grown"
            began = time.process_time()
            first = (
                scratch if not grown or before is None else prolonged(before.action, before.rung.path, action)
            )
            one = Depth(steps, action, first, descend(action, first, LIMITS))
            seconds = time.process_time() - began
            spent += seconds if grown else 0.0
            valid = row(name, one, spent if grown else seconds)
            if grown:
                kept = one
                actions.append(one.rung.action)
                valids.append(valid)
        before = kept
        if level >= 2:
            for told, values in (("action", actions), ("validation", valids)):
                limit = limit_of(np.array(values), 1 if asked.scheme == "euler" else 2)
                shown = f"{limit.value} ± {limit.error}, order {limit.order} {limit.why}"
                print(f"       limit of the {told}: {shown}", flush=True)


def vars_of(network: Network) -> dict[str, object]:
    """The fields of a network, by name."""
    return {name: getattr(network, name) for name in network.__dataclass_fields__}


if __name__ == "__main__":
    main()
