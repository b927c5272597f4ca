"""Fields between two linear layers beside diffrax, and a field of which a state is not observed.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.continuous_depth JOB … --diffrax PYTHON [--seeds 2]
    OMP_NUM_THREADS=1 python -m tests.benchmarks.continuous_depth --shooting

The first trains each job, and the same field with the same priors and steps by diffrax and optax, in a Python
of its own that has them: levels (lowest action, one formula), held-out accuracy and nats, CPU seconds of one
core, paired in one run; before that the action and its gradient at random weights are compared.
The second: jobs/recurrent/lorenz63.toml, a network for two equations of Lorenz 1963 whose y is not measured,
beside multiple shooting by SciPy's least_squares.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpcda
from hpcda import runner
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.build import build_network
from hpcda.job import load_job

Array = np.ndarray
PART = Path(__file__).parent / "continuous_depth_parts/field.py"


def peer(python: str, network: Network, back: Any, seed: int, theta: Array | None = None) -> dict[str, Any]:
    """What continuous_depth_parts/field.py finds."""
    c = network.continuum
    assert c is not None and network.weight_std is not None
    given = {
        "x": network.inputs, "y": network.outputs, "back": back[0], "wanted": back[1], "time": c.time,
        "steps": c.steps, "scheme": c.scheme, "units": network.widths[-2], "matrices": c.matrices,
        "size": c.std**-2.0, "walk": c.walk, "ends": network.weight_std**-2.0,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data, found = Path(folder) / "data.npz", Path(folder) / "found.npz"
        np.savez(data, **given, **({} if theta is None else {"theta": theta}))
        without = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        one_core = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
        subprocess.run([python, PART, data, found, str(seed)], check=True, env=without | one_core)
        return dict(np.load(found))


def field(path: Path, python: str | None, seeds: int, starts: int | None) -> None:
    """A job of a field beside diffrax."""
    job = load_job(path)
    if starts:
        job = job.model_copy(update={"ensemble": job.ensemble.model_copy(update={"starts": starts})})
    built = build_network(job)
    network, held = built.network, built.held_back
    assert held is not None
    back = (held.inputs - built.shift) / built.scale, held.outputs
    print(f"{path.parent.name}/{path.name}: {network.pairs} pairs, {network.weights} weights")
    if python:
        action = ExactNetwork(network)
        theta = 0.3 * np.random.default_rng(1).standard_normal(action.size)
        value, gradient = action.gradient(theta)
        other = peer(python, network, back, 0, theta)
        away = np.abs(gradient - other["gradient"]).max() / np.abs(gradient).max()
        print(
            f"  the action differs by {abs(value / float(other['value']) - 1):.1e}, its gradient {away:.1e}"
        )
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run = hpcda.open_run(runner.run(job, output=Path(folder) / "run", quiet=True))
        seconds = time.process_time() - began
        score = run.held_back
        assert score is not None and score.accuracy is not None
        levels = np.array([one.action for one in run.levels])
        print(f"  hpcda    levels {np.round(levels[:4], 3)}, {len(levels)} of {len(run.file.start)} starts; "
              f"{score.accuracy:.1%} right, {score.loss:.3f} nats; {seconds:.1f} CPU s, "
              f"{seconds / len(run.file.start):.1f} a start", flush=True)  # fmt: skip
    for seed in range(seeds if python else 0):
        found = {key: float(own) for key, own in peer(python or "", network, back, seed).items()}
        print(f"  diffrax  Adam {found['adam']:.3f} ({found['adam_seconds']:.1f} CPU s), then L-BFGS "
              f"{found['level']:.3f}; {found['right']:.1%} right, {found['nats']:.3f} nats; "
              f"{found['seconds']:.1f} CPU s", flush=True)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("jobs", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--starts", type=int, help="of a job, in place of its own number")
    parser.add_argument("--diffrax", metavar="PYTHON", help="a Python that has diffrax")
    parser.add_argument("--shooting", action="store_true")
    given = parser.parse_args(arguments)
    for path in given.jobs:
        field(path, given.diffrax, given.seeds, given.starts)
    if given.shooting:
        from tests.benchmarks.continuous_depth_parts.shooting import shooting

        shooting(given.seeds)


if __name__ == "__main__":
    main()
