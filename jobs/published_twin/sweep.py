"""The twin experiment of H. Abarbanel, P. Rozdeba, S. Shirman, Neural Computation 30, 2025 (2018), swept.

A teacher of 100 layers of 10 sigmoid units, weights even in [-0.1, 0.1], no biases, makes pairs with
noise of 0.005 on inputs and outputs. Students of 20, 50 and 100 layers are trained with 1, 2, 10 and 100
pairs of which the first 1, 5 or 10 inputs and outputs are measured: 36 runs of `hpcda run`, pictures as
of `hpcda compare`.

    mpirun -n 2 python jobs/published_twin/sweep.py runs/published_twin

Runs that are there already are not made again. The reduced level is the action in the norm of the paper's
code (varanneal), which divides by the number of measured values.

The teacher is dead: after ten layers its outputs spread over the inputs by less than 1e-13. A student can
only give their mean. Then the expected level is (M - 1)/(2 M) for M pairs, whatever the depth and
whatever is measured, and held-out pairs are predicted as well as that mean predicts them. What the paper
says of depth, of measured components and of pairs is what M noisy values say of their mean.
`jobs/teacher` has a live one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import xarray as xr

import hpcda
from hpcda import runner
from hpcda.analysis.comparison import compare, format_comparison, write_comparison
from hpcda.analysis.figures.comparison import draw_comparison
from hpcda.job import AnyJob
from hpcda.process import rank

LAYERS, MEASURED, PAIRS = (20, 50, 100), (1, 5, 10), (1, 2, 10, 100)
TEACHER, UNITS, NOISE = 100, 10, 0.005


def job(layers: int, measured: int, pairs: int) -> AnyJob:
    """One run of the sweep; layers count input and output, as in the paper."""
    return hpcda.load_job(
        {
            "network": {
                "hidden": [UNITS] * (layers - 2),
                "activation": "sigmoid",
                "output_activation": "sigmoid",
                "weight_std": 1.0,
            },
            "twin": {
                "inputs": UNITS,
                "outputs": UNITS,
                "hidden": [UNITS] * (TEACHER - 2),
                "weight_range": [-0.1, 0.1],
                "bias_std": 0.0,
                "pairs": pairs,
                "hold_back": 1000,
                "noise_std": NOISE,
                "input_std": NOISE,
                "measured": measured,
            },
            "ensemble": {"starts": 4, "way": "small"},
        }
    )


def chosen(table: xr.Dataset, **values: float) -> xr.Dataset:
    """The runs whose keys have these values."""
    keep = np.all([table[key] == value for key, value in values.items()], axis=0)
    return table.isel(run=np.flatnonzero(keep))


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("folder", type=Path, help="where runs and pictures go")
    folder = parser.parse_args().folder
    made = []
    for layers in LAYERS:
        for measured in MEASURED:
            for pairs in PAIRS:
                output = folder / f"layers-{layers}-measured-{measured}-pairs-{pairs}"
                runner.run(job(layers, measured, pairs), output=output, resume=True)
                made.append(output)
    if rank():
        return
    table = compare(made)
    write_comparison(table, folder / "comparison.csv")
    everything = chosen(table, **{"twin.measured": UNITS})
    draw_comparison(everything, folder / "depth.png", "hidden_layers")
    draw_comparison(everything, folder / "pairs.png", "twin.pairs")
    draw_comparison(chosen(table, hidden_layers=LAYERS[0] - 2), folder / "measured.png", "twin.measured")
    sys.stdout.write(format_comparison(table) + "\n")


if __name__ == "__main__":
    main()
