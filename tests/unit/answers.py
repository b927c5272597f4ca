"""What compiled code answers, to compare instruction sets: `python answers.py FILE.npz` writes it.

All that is compiled takes part: the elementary functions, the action with its derivatives, forecast and
smoother, climbs in lockstep at every number of lanes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))

from hpcda.action import Action  # noqa: E402
from hpcda.annealing import Ladder  # noqa: E402
from hpcda.annealing.lockstep import Lockstep  # noqa: E402
from tests.chance import generator  # noqa: E402
from tests.unit.climbing import climb, first_paths, well_posed  # noqa: E402
from tests.unit.drawing import draw  # noqa: E402
from tests.unit.native.test_functions import DOMAINS, POWERS, values  # noqa: E402
from tests.unit.problems import example  # noqa: E402

LANES = (1, 2, 4, 8)
LADDER = Ladder(0.02, 4.0, 6)
CLIMBED = [
    ("lorenz63", "hermite-simpson", "walk", False),
    ("morris_lecar", "trapezoid", "walk", True),
    ("henon", "map", "walk", False),
]
ACTIONS = [
    ("lorenz96", "trapezoid", "nonlinear and gaps"),
    ("nakl", "rk4", "walk"),
    ("colpitts", "implicit-midpoint", "priors and sparse data"),
    ("rossler", "hermite-simpson", "independent and series"),
    ("henon", "map", "walk"),
]


def functions():
    """The elementary functions of the code's own."""
    rng = generator(1)
    for name, domains in DOMAINS.items():
        for low, high in domains:
            yield f"{name} from {low} to {high}", values(name, rng.uniform(low, high, 5000), 8)
    for power in POWERS:
        yield f"power {power}", values("pow", 10.0 ** rng.uniform(-2.5, 2.5, 5000), 8, power)


def actions():
    """Value, gradient and Hessian at a random path."""
    for case in ACTIONS:
        problem, path = example(*case)
        action = Action(problem)
        for rf in (0.3, 2e4):
            parts, gradient, hessian = action.derivatives(path, rf)
            numbers = [parts.total, parts.measurement, parts.model, parts.prior]
            yield f"action of {case} at {rf}", np.concatenate([numbers, gradient, hessian.ravel()])


def paths():
    """First paths by ensembles: forecasts and what they are smoothed to."""
    for name in ("lorenz63", "nakl"):
        problem, _ = example(name, "trapezoid", "nonlinear and gaps", dt=0.005)
        for way in ("smoother", "passes", "noise"):
            yield f"{way} of {name}", draw(problem, way)


def climbs():
    """Every rung of a few starts, at every number of lanes."""
    for name, scheme, variant, bounded in CLIMBED:
        problem, _ = well_posed(name, scheme, variant, bounded)
        action, begin = Action(problem), first_paths(problem, 4)
        for lanes in LANES:
            for start, rungs in climb(Lockstep(action, LADDER, lanes), begin).items():
                key = f"climb of {name} from {start} in {lanes}"
                yield f"path of {key}", np.array([one.rung.path for one in rungs])
                yield f"levels of {key}", np.array([one.rung.parts.total for one in rungs])


def answers():
    """Name -> numbers."""
    return {name: numbers for part in (functions, actions, paths, climbs) for name, numbers in part()}


if __name__ == "__main__":
    np.savez(sys.argv[1], **answers())
