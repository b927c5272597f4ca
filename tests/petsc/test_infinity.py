"""The rung at infinity beside IPOPT, to which the model is equality constraints."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the folder's tests are PETSc's")
pytest.importorskip("casadi", reason="the oracle is CasADi")

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.climbs import climb
from hpcda.annealing.lockstep import climbs_of
from hpcda.models.catalogue import load_model
from hpcda.models.twin import simulate, spin_up
from hpcda.problem import Estimated, Problem, Window
from tests.chance import generator

from . import casadi_action as oracle

pytestmark = pytest.mark.petsc
TIMES, SEEN, STD = 41, [0, 2, 3], 0.5
LADDER = Ladder(1e-2, 4.0, 14, infinity=True)


def twin(scheme, bounds):
    """Lorenz 1996 with six sites and an unknown forcing, and a path near the truth that obeys nothing."""
    model = load_model("lorenz96", {"dimension": 6})
    rng = generator(4)
    t = 0.025 * np.arange(TIMES)
    truth = simulate(model, None, spin_up(model, None, rng.normal(2.0, 3.0, 6), 5.0), t)
    data = truth[:, SEEN] + STD * rng.standard_normal((TIMES, len(SEEN)))
    names = [model.state_names[k] for k in SEEN]
    problem = Problem(
        model=model, discretization=scheme,
        windows=(Window(t, data, np.full(data.shape, STD), np.zeros((TIMES, 0))),),
        observed={name: name for name in names}, parameters=(Estimated("F", (4.0, 14.0), bounds),),
        state_start=np.tile([-10.0, 15.0], (6, 1)), state_bounds=np.tile([-np.inf, np.inf], (6, 1)),
        model_error_weight=np.ones(6),
    )  # fmt: skip
    path = problem.join([truth + rng.standard_normal(truth.shape)], np.array([np.clip(8.17, *bounds)]))
    return problem, path


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
@pytest.mark.parametrize("bounds", [(4.0, 14.0), (4.0, 7.5)], ids=["free", "held"])
def test_the_level_is_that_of_ipopt_with_equality_constraints(scheme, bounds):
    problem, path = twin(scheme, bounds)
    (outcomes,) = climb(climbs_of(Action(problem), LADDER), [path])
    last = outcomes[-1]
    assert last.reason.converged and last.parts.model == 0.0
    known = oracle.Oracle.of(
        oracle.lorenz96, scheme, 0.025, problem.windows[0].data, STD, SEEN, 6, estimated=[0]
    )
    low, high = problem.bounds
    found = known.strong()(x0=path, lbx=low, ubx=high)
    assert last.parts.total == pytest.approx(float(found["f"]), rel=1e-8)
    np.testing.assert_allclose(last.path, np.array(found["x"])[:, 0], rtol=1e-5, atol=1e-5)
    assert (last.path[-1] == pytest.approx(bounds[1], abs=1e-7)) == (bounds[1] == 7.5)
