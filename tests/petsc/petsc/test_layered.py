"""Steps of layered networks by PETSc's conjugate gradients, against those of the package."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py")

from hpcda import runner  # noqa: E402
from hpcda.action.exact_network import ExactNetwork  # noqa: E402
from hpcda.annealing.exact import ExactSettings, descend  # noqa: E402
from hpcda.annealing.layered import chosen  # noqa: E402
from hpcda.check_network import check_network, report_network  # noqa: E402
from hpcda.errors import InputError  # noqa: E402
from hpcda.job import load_job  # noqa: E402
from hpcda.petsc import SolverOptions  # noqa: E402
from hpcda.petsc.layered import PetscKrylov  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from tests.chance import generator, number  # noqa: E402
from tests.unit.action.test_exact_network import example  # noqa: E402
from tests.unit.sharing import on_ranks  # noqa: E402

pytestmark = pytest.mark.petsc
KINDS = {"plain": {}, "noisy": {"input_std": 0.4}, "residual": {"widths": (3, 3, 4, 4, 2), "residual": True}}
JOB = {
    "network": {"hidden": [4], "weight_std": 3.0},
    "twin": {"inputs": 3, "outputs": 2, "pairs": 70, "noise_std": 0.05, "seed": number(321)},
    "ensemble": {"starts": 3, "way": "small", "seed": number(322)},
    "solver": {"elimination": "petsc"},
}


@pytest.mark.parametrize("output", [0.3, "softmax"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_a_dense_solution(kind, output):
    action = ExactNetwork(example("tanh", output, pairs=20, **KINDS[kind]))
    theta = 0.5 * generator(321).normal(size=action.size)
    _, gradient, matrix = action.gauss_newton(theta)
    hessian = action.derivatives(theta)[2]
    above = 0.1 * np.abs(hessian).max() - min(0.0, np.linalg.eigvalsh(hessian)[0])
    way = PetscKrylov(action)
    for model, own, shift in (
        (way.gauss_newton(theta), matrix, 1e-2 * np.diag(matrix).mean()),
        (way.exact(theta), hessian, above),
    ):
        wanted = -np.linalg.solve(own + shift * np.eye(action.size), gradient)
        found = model.solve(shift, 1e-14, 5000)
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-10 * np.abs(wanted).max())
        loose = model.solve(shift)
        assert 0.0 < np.abs(loose - wanted).max() < 0.05 * np.abs(wanted).max()
    way.destroy()


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_hessian_is_negative_there_is_no_step(kind):
    action = ExactNetwork(example("tanh", 0.3, pairs=20, weight_std=5.0, **KINDS[kind]))
    theta = generator(322).normal(size=action.size)
    assert np.linalg.eigvalsh(action.derivatives(theta)[2])[0] < 0.0
    way = PetscKrylov(action)
    model = way.exact(theta)
    assert model.solve(0.0, 1e-10, 5000) is None
    assert model.negative() is not None
    way.destroy()


@pytest.mark.parametrize("kind", KINDS)
def test_minima_are_those_of_the_package(kind):
    action = ExactNetwork(example("tanh", 0.3, pairs=20, weight_std=1.0, **KINDS[kind]))
    start = action.first(generator(323).uniform(-1.0, 1.0, action.network.weights))
    way = PetscKrylov(action)
    found = descend(action, start, ExactSettings(elimination=way))
    wanted = descend(action, start, ExactSettings(elimination="krylov"))
    assert found.reason.converged and wanted.reason.converged
    assert found.parts.total == pytest.approx(wanted.parts.total, rel=1e-9)
    np.testing.assert_allclose(found.path, wanted.path, atol=1e-4)
    near = descend(action, found.path + 1e-2, ExactSettings(elimination=chosen(action, "states")))
    assert near.parts.total == pytest.approx(found.parts.total, rel=1e-9)
    way.destroy()


def test_ranks_that_share_pairs_take_the_same_steps():
    network = example("tanh", 0.3, pairs=70, input_std=0.4)
    theta = generator(324).normal(size=network.weights)

    def work(ranks):
        action = ExactNetwork(network, ranks)
        way, point = PetscKrylov(action), action.first(theta)
        model = way.gauss_newton(point)
        found = model.solve(0.1 * model.scale)
        way.destroy()
        return found

    (alone,) = on_ranks(1, work)
    for found in on_ranks(2, work):
        np.testing.assert_array_equal(found, alone)


def test_options_change_the_solver():
    action = ExactNetwork(example("tanh", 0.3, pairs=20))
    theta = generator(325).normal(size=action.size)
    _, gradient, matrix = action.gauss_newton(theta)
    shift = 0.1 * np.diag(matrix).mean()
    wanted = -np.linalg.solve(matrix + shift * np.eye(action.size), gradient)
    line = ["-ksp_rtol", "1e-13", "-hpcda_ksp_max_it", "4000", "-ksp_type", "minres", "-pc_type", "none"]
    with SolverOptions({}, line) as options:
        way = PetscKrylov(action)
        found = way.gauss_newton(theta).solve(shift)
        assert not options.unused()
        way.destroy()
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-9 * np.abs(wanted).max())
    with SolverOptions({}, ["-pc_type", "lu"]), pytest.raises(InputError, match="PETSc ends with"):
        PetscKrylov(action).gauss_newton(theta).solve(shift)


def test_a_job_takes_options_and_reports_those_that_nobody_uses(tmp_path):
    first = runner.run(JOB, ["-ksp_rtol", "1e-8"], output=tmp_path / "run", quiet=True)
    other = JOB | {"solver": {"elimination": "krylov"}}
    second = runner.run(other, output=tmp_path / "other", quiet=True)
    found, wanted = RunFile(first), RunFile(second)
    np.testing.assert_allclose(found.table("action"), wanted.table("action"), rtol=1e-6)
    assert "conjugate gradients of PETSc" in found.header.provenance["linear_solver"]
    assert runner.resume(first, quiet=True) == first
    with pytest.raises(InputError, match=r"no solver uses the PETSc option 'ksp_rtoll'"):
        runner.run(JOB, ["-ksp_rtoll", "1e-8"], output=tmp_path / "third", quiet=True)
    with pytest.raises(InputError, match=r"-ksp_rtol 1e-8 has no effect.*\n.*elimination = \"petsc\""):
        runner.run(other, ["-ksp_rtol", "1e-8"], output=tmp_path / "third", quiet=True)
    with pytest.raises(InputError, match=r"solver\.petsc: has no effect with elimination = 'krylov'"):
        load_job(JOB | {"solver": {"elimination": "krylov", "petsc": {"ksp_rtol": 1e-8}}})
    assert not (tmp_path / "third").exists()


def test_the_check_tells_that_it_timed_without_petsc():
    job = load_job(JOB)
    text = report_network(job, check_network(job))
    assert "conjugate gradients" in text and "timed without PETSc" in text
