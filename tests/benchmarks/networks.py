"""How often a search finds a live teacher, and what it costs; other ways beside it, in the same core-seconds.

    python -m tests.benchmarks.networks                       20 teachers of 5 layers of 10, 1,000 pairs, 60 s
    python -m tests.benchmarks.networks --pairs 300 --seconds 300
    python -m tests.benchmarks.networks --layers 7 --seconds 120
    python -m tests.benchmarks.networks --ways search small scaled published lbfgs adam

A teacher has sigmoid layers, weights N(0, 2²), biases N(0, b²) (--bias), inputs N(0, 1); its outputs have
noise of 0.005. A hit is an action at most 1 % above that of the descent from the teacher's own weights.

    search    hpcda.search.networks.train, which ends by itself where it has settled
    small     weights near 0, downhill, again and again (Levenberg-Marquardt, then exact)
    scaled    weights by the widths of layers, L-BFGS, then the exact descent, again and again
    grown     one hidden layer first, then layer after layer, exact descents, again and again
    published units and weights drawn at random, 40 rungs of Rf/Rm from 1e-6 up by 2, then the exact descent
    lbfgs     SciPy's L-BFGS-B from weights near 0, 4,000 iterations, again and again
    adam      PyTorch's Adam, all pairs at once, PyTorch's weights, 5,000 steps of 3e-3, again and again

Run it with OMP_NUM_THREADS=1; seconds are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing import Task
from hpcda.annealing.exact import descend
from hpcda.annealing.ladder import Ladder
from hpcda.build.pairs import taught
from hpcda.job.networks import TeacherTable
from hpcda.search.networks import train
from hpcda.search.training import NetworkContext

NOISE = 0.005
HIT = 1.01


def teacher(layers: int, pairs: int, bias: float, seed: int) -> tuple[Network, np.ndarray, Network]:
    """A student's network and pairs, the teacher's weights, and the same with other pairs."""
    widths = (10,) * layers
    functions = [ACTIVATIONS["sigmoid"].function] * (layers - 1)
    table = TeacherTable(
        inputs=10, outputs=10, weight_std=2.0, bias_std=bias, pairs=pairs, hold_back=1000, noise_std=NOISE,
        seed=seed,
    )  # fmt: skip
    trained, back, theta, _ = taught(table, widths, functions)
    network = Network(widths, functions, trained.inputs, trained.outputs, NOISE, start=(-0.1, 0.1))
    return network, theta, replace(network, inputs=back.inputs, outputs=back.outputs)


def searched(network: Network, seconds: float, seed: int) -> tuple[np.ndarray, float, str]:
    found = train(network, seconds=seconds, starts=1000, seed=seed)
    ways = " ".join(one.way for one in found if one.parts.total <= 1.0001 * found[0].parts.total)
    return found[0].theta, found[0].parts.total, f"{len(found)} starts; lowest by {ways}"


def repeated(training: str):
    def run(network: Network, seconds: float, seed: int) -> tuple[np.ndarray, float, str]:
        context = NetworkContext(network, finite=Ladder(1e-6 / NOISE**2, 2.0, 40))
        end, best, count = time.process_time() + seconds, None, 0
        while time.process_time() < end:
            rng = np.random.default_rng([seed, count])
            theta, _ = context.draw(Task(count, training), [], rng)
            found = descend(context.action, theta)
            count += 1
            if best is None or found.parts.total < best[1]:
                best = found.path, found.parts.total
        return (*best, f"{count} starts")

    return run


def lbfgs(network: Network, seconds: float, seed: int) -> tuple[np.ndarray, float, str]:
    action, end, best, count = ExactNetwork(network), time.process_time() + seconds, None, 0
    while time.process_time() < end:
        first = np.random.default_rng([seed, count]).uniform(*network.start, action.size)
        found = minimize(action.gradient, first, jac=True, method="L-BFGS-B", options={"maxiter": 4000})
        count += 1
        if best is None or found.fun < best[1]:
            best = found.x, float(found.fun)
    return (*best, f"{count} starts")


def adam(network: Network, seconds: float, seed: int) -> tuple[np.ndarray, float, str]:
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    x, y = torch.tensor(network.inputs), torch.tensor(network.outputs)
    action, end, best, count = ExactNetwork(network), time.process_time() + seconds, None, 0
    while time.process_time() < end:
        torch.manual_seed(1000 * seed + count)
        layers = [
            torch.nn.Linear(before, after)
            for before, after in zip(network.widths, network.widths[1:], strict=False)
        ]
        model = torch.nn.Sequential(*(part for layer in layers for part in (layer, torch.nn.Sigmoid())))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(5000):
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).sum() / (2 * NOISE**2) / len(x)
            loss.backward()
            optimizer.step()
        theta = np.concatenate(
            [part.detach().numpy().ravel() for layer in layers for part in (layer.weight, layer.bias)]
        )
        count += 1
        if best is None or action.value(theta) < best[1]:
            best = theta, action.value(theta)
    return (*best, f"{count} starts")


WAYS = {"search": searched, "lbfgs": lbfgs, "adam": adam}
WAYS |= {way: repeated(way) for way in ("small", "scaled", "grown")}
WAYS["published"] = repeated("annealed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teachers", type=int, default=20)
    parser.add_argument("--first", type=int, default=200, help="seed of the first teacher")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--bias", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ways", nargs="+", default=["search"], choices=WAYS)
    given = parser.parse_args()
    hits = dict.fromkeys(given.ways, 0)
    spent: dict[str, list[float]] = {way: [] for way in given.ways}
    for seed in range(given.first, given.first + given.teachers):
        network, truth, other = teacher(given.layers, given.pairs, given.bias, seed)
        best = descend(ExactNetwork(network), truth)
        level, beyond = best.parts.total, ExactNetwork(other).value(best.path)
        print(f"teacher {seed}: its level {2 * level / network.outputs.size:.4f}", flush=True)
        for way in given.ways:
            began = time.process_time()
            theta, action, told = WAYS[way](network, given.seconds, seed)
            seconds = time.process_time() - began
            hits[way] += action <= HIT * level
            spent[way].append(seconds)
            held = ExactNetwork(other).value(theta) / beyond
            fit = f"{action / level:9.4f} of it, held back {held:8.4f}"
            print(f"  {way:8} {fit}, {seconds:6.1f} s, {told}", flush=True)
    for way in given.ways:
        median = np.median(spent[way])
        print(f"{way}: {hits[way]} of {given.teachers} teachers, median {median:.1f} core-s")


if __name__ == "__main__":
    main()
