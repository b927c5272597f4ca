"""PETSc's minimizers on factor graphs, whose Hessian is PETSc's matrix: the minima of the lockstep."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py")

from hpcda.action.graph import GraphAction  # noqa: E402
from hpcda.annealing.climbs import climb  # noqa: E402
from hpcda.annealing.graph import GraphLockstep, falling  # noqa: E402
from hpcda.annealing.ladder import Ladder  # noqa: E402
from hpcda.errors import InputError  # noqa: E402
from hpcda.petsc import make_minimizer  # noqa: E402
from tests.unit.graphs import GRAPHS  # noqa: E402
from tests.unit.problems import dense  # noqa: E402

RF = 10.0


@pytest.mark.parametrize("kind", ["map", "softmax"])
@pytest.mark.parametrize("name", ["newton", "ntr", "lmvm", "snes-newtonls"])
def test_minima_are_those_of_the_lockstep(kind, name):
    action = GraphAction(*GRAPHS[kind]())
    start = action.variables.starts.mean(axis=1) + 0.01 * np.arange(action.size) / action.size
    wanted = climb(GraphLockstep(action, Ladder(RF, 2.0, 1), 1), [start])[0][-1]
    assert wanted.reason.converged and falling(action, wanted.path, RF) == 0
    near = wanted.path + 1e-3 * action.variables.scales
    with make_minimizer(action, name) as minimizer:
        found = minimizer.minimize(near, RF)
        values = np.zeros(action.size**2).reshape(action.size, -1)
        minimizer.system.load(wanted.path)
        minimizer.system.assemble(None, minimizer.system.x, None, None)
        matrix = minimizer.system.hessian
        values[:] = matrix.getValues(range(action.size), range(action.size))
    assert found.reason.converged, found.reason
    assert found.parts.total == pytest.approx(wanted.parts.total, rel=1e-9)
    np.testing.assert_allclose(values, dense(action, wanted.path, RF), atol=1e-12 * np.abs(values).max())


def test_what_knows_chains_alone_is_refused():
    action = GraphAction(*GRAPHS["softmax"]())
    with pytest.raises(InputError, match="sums of squares"):
        make_minimizer(action, "brgn")
