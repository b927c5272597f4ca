"""Steps of layered networks at Rf = ∞: every elimination against dense linear algebra, and their choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import bordered
from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.layered import ELIMINATIONS, cheapest, chosen, model, sentence
from hpcda.annealing.layered.data import Data
from hpcda.annealing.layered.krylov import Krylov, KrylovModel
from hpcda.annealing.layered.lanczos import lowest
from hpcda.annealing.layered.states import States
from hpcda.annealing.reasons import Reason
from hpcda.errors import InputError
from tests.chance import generator
from tests.unit.action.test_exact_network import ACTIVATIONS, example

NETWORKS = {
    "plain": {},
    "residual": {"widths": (3, 3, 4, 4, 2), "residual": True},
    "noisy": {"input_std": 0.4},
    "missing": {"missing": 0.3},
    "biases apart": {"bias_std": 0.6},
    "inputs missing": {"input_std": 0.4, "inputs_missing": 0.4},
    "noisy residual": {"widths": (3, 3, 4, 4, 2), "residual": True, "input_std": 0.4},
}
CASES = [
    (kind, output)
    for kind in NETWORKS
    for output in (0.3, "softmax", "student-t")
    if (kind, output) != ("missing", "softmax")
]


def solved(model, shift):
    """To rounding, by any elimination."""
    return model.solve(shift, 1e-14, 5000) if isinstance(model, KrylovModel) else model.solve(shift)


def agrees(step, wanted, tolerance=1e-10):
    np.testing.assert_allclose(step, wanted, rtol=0.0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize(("kind", "output"), CASES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_steps_are_those_of_a_dense_solution(activation, output, kind):
    """Of the Gauss-Newton matrix, and of the exact Hessian, with shifts."""
    action = ExactNetwork(example(activation, output, **NETWORKS[kind]))
    theta = 0.5 * generator(101).normal(size=action.size)
    value, gradient, matrix = action.gauss_newton(theta)
    assert np.linalg.eigvalsh(matrix)[0] > 0.0
    hessian = action.derivatives(theta)[2]
    above = 0.1 * np.abs(hessian).max() - min(0.0, np.linalg.eigvalsh(hessian)[0])
    for name in ELIMINATIONS:
        elimination = chosen(action, name)
        model = elimination.gauss_newton(theta)
        assert model.value == pytest.approx(value, rel=1e-13)
        agrees(model.gradient, gradient, 1e-13)
        weights = np.diag(matrix)[action.inputs :]
        assert model.scale == pytest.approx(weights.mean(), rel=1e-12)
        assert model.negative() is None
        for shift in (1e-3 * model.scale, model.scale):
            agrees(solved(model, shift), -np.linalg.solve(matrix + shift * np.eye(action.size), gradient))
        model = elimination.exact(theta)
        agrees(solved(model, above), -np.linalg.solve(hessian + above * np.eye(action.size), gradient))


@pytest.mark.parametrize(("kind", "output"), CASES)
def test_products_are_those_of_the_exact_hessian(output, kind):
    action = ExactNetwork(example("tanh", output, **NETWORKS[kind]))
    rng = generator(102)
    theta = rng.normal(size=action.size)
    for exact, matrix in ((True, action.derivatives(theta)[2]), (False, action.gauss_newton(theta)[2])):
        product = KrylovModel(action, theta, exact).product
        for _ in range(3):
            direction = rng.normal(size=action.size)
            agrees(product(direction), matrix @ direction, 1e-12)


@pytest.mark.parametrize("name", ["states", "krylov"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_where_the_hessian_is_negative_a_direction_says_so(kind, name):
    action = ExactNetwork(example("tanh", 0.3, weight_std=5.0, **NETWORKS[kind]))
    rng, negative = generator(103), 0
    for size in (0.01, 0.5, 1.0):
        theta = size * rng.normal(size=action.size)
        hessian = action.derivatives(theta)[2]
        least = np.linalg.eigvalsh(hessian)[0]
        model = chosen(action, name).exact(theta)
        direction = model.negative()
        if least < -1e-6 * np.abs(hessian).max():
            negative += 1
            assert np.linalg.norm(direction) == pytest.approx(1.0, rel=1e-12)
            assert direction @ hessian @ direction < 0.0
            assert name != "states" or model.solve(0.0) is None
        elif least > 0.0:
            assert direction is None
    assert negative
    base = descend(action, 0.1 * rng.normal(size=action.size))
    assert base.reason.converged
    assert chosen(action, name).exact(base.path).negative() is None


def test_inputs_alone_may_be_where_the_hessian_is_negative():
    """Inputs that data say little of, and outputs far away on one side of tanh."""
    net = replace(example("tanh", 0.3, (2, 3, 1), 5), input_std=100.0)
    net = replace(net, outputs=np.full((5, 1), -50.0))
    action = ExactNetwork(net)
    theta = np.concatenate([np.full(10, 1.0), np.full(action.size - 10, 0.4)])
    _, _, blocks = action.blocks(theta, exact=True)
    assert np.linalg.eigvalsh(blocks.corner).min() < 0.0
    assert blocks.factor(0.0) is None and blocks.schur(0.0) is None
    curvature, direction = blocks.lowest()
    assert curvature < 0.0
    assert direction @ blocks.dense() @ direction == pytest.approx(curvature, rel=1e-10)


def test_the_schur_complement_may_be_summed_in_parts(monkeypatch):
    action = ExactNetwork(example("tanh", 0.3, pairs=40, input_std=0.4))
    theta = generator(104).normal(size=action.size)
    _, gradient, blocks = action.blocks(theta, exact=False)
    dense = blocks.dense()
    monkeypatch.setattr(bordered, "ROOM", 1)
    factor = blocks.factor(0.5)
    agrees(factor.solve(gradient), np.linalg.solve(dense + 0.5 * np.eye(action.size), gradient))
    inverse = np.linalg.inv(dense + 0.5 * np.eye(action.size))[action.inputs :, action.inputs :]
    agrees(factor.inverse, inverse)


def test_lanczos_vectors_find_the_lowest_eigenvalue():
    rng = generator(105)
    basis = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    values = np.concatenate([[-0.5], rng.uniform(0.0, 1.0, 59)])
    matrix = (basis * values) @ basis.T
    value, vector = lowest(lambda v: matrix @ v, rng.normal(size=60), 40)
    assert value == pytest.approx(-0.5, abs=1e-9) and abs(vector @ basis[:, 0]) > 1.0 - 1e-8
    value, vector = lowest(lambda v: 2.0 * v, np.ones(5), 40)
    assert value == pytest.approx(2.0, rel=1e-14) and np.linalg.norm(vector) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_elimination_comes_to_the_same_minimum(kind):
    action = ExactNetwork(example("tanh", 0.3, pairs=12, weight_std=1.0, **NETWORKS[kind]))
    start = action.first(generator(106).uniform(-1.0, 1.0, action.size - action.inputs))
    near = descend(action, start).path
    ends = [descend(action, near + 1e-2, ExactSettings(elimination=name)) for name in ELIMINATIONS]
    for one in ends:
        assert one.reason is Reason.CONVERGED_DECREMENT
        assert one.parts.total == pytest.approx(ends[0].parts.total, rel=1e-9)
        np.testing.assert_allclose(one.path, ends[0].path, atol=1e-4)


@pytest.mark.parametrize("name", ELIMINATIONS)
def test_every_elimination_leaves_a_saddle_point(name):
    """With all weights 0 the hidden units are alike, and the slope by W is 0."""
    action = ExactNetwork(example("tanh", 0.3, (3, 4, 2), weight_std=5.0))
    found = descend(action, np.zeros(action.size), ExactSettings(elimination=name))
    assert found.reason is Reason.CONVERGED_DECREMENT
    assert np.linalg.eigvalsh(action.derivatives(found.path)[2])[0] > 0.0


@pytest.mark.parametrize(
    ("widths", "pairs", "kind", "word"),
    [
        ((10, 10, 10, 10, 10), 1000, States, "states first, "),
        ((10, 150, 150, 2), 50, Data, "data space, "),
        ((50, 200, 200, 10), 1000, Krylov, "conjugate gradients, "),
    ],
)
def test_the_cheapest_is_taken(widths, pairs, kind, word):
    action = ExactNetwork(example("tanh", 0.3, widths, pairs))
    found = cheapest(action)
    assert type(found) is kind
    told = sentence(found, pairs)
    assert told.startswith(word) and told.endswith(" MB")
    assert f"{found.cost.seconds:.2g} s a step" in told
    others = [chosen(action, name).cost.seconds for name in ELIMINATIONS]
    assert found.cost.seconds == min(others)


def test_memory_and_names(monkeypatch):
    assert list(ELIMINATIONS) == ["states", "data", "krylov"]
    action = ExactNetwork(example())
    monkeypatch.setattr(model, "ROOM", 0.0)
    assert type(cheapest(action)) is Krylov
    assert isinstance(chosen(action, "data").exact(np.zeros(action.size)), KrylovModel)
    with pytest.raises(InputError, match="elimination: 'sates' .*\\n.*'states'"):
        descend(action, np.zeros(action.size), ExactSettings(elimination="sates"))


def test_without_a_prior_data_alone_do_not_determine_more_weights():
    action = ExactNetwork(example(weight_std=None))
    theta = generator(107).normal(size=action.size)
    model = chosen(action, "data").gauss_newton(theta)
    assert model.solve(0.0) is None
    _, gradient, matrix = action.gauss_newton(theta)
    shift = 0.1 * model.scale
    agrees(model.solve(shift), -np.linalg.solve(matrix + shift * np.eye(action.size), gradient))


@pytest.mark.parametrize("name", ELIMINATIONS)
def test_derivatives_that_are_not_finite_end_a_descent(name):
    """Of √z² at 0."""

    def cusp(z):
        return np.sqrt(z * z)

    action = ExactNetwork(replace(example("identity", 0.3, (3, 4, 2)), activations=(cusp, lambda z: z)))
    found = descend(action, np.zeros(action.size), ExactSettings(elimination=name))
    assert found.reason is Reason.FAILED_NON_FINITE


def test_a_joint_loss_of_no_finite_curvature_gives_no_step():
    """As where logits are not numbers."""
    loss = ExactNetwork(example("tanh", "softmax")).loss
    assert np.isnan(loss.root(np.full((6, 2), np.nan)).entries).all()


@pytest.mark.parametrize("output", [0.3, "softmax"])
def test_of_many_outputs_the_preconditioner_takes_random_sums(output):
    """It changes how many products a step takes, not the step."""
    action = ExactNetwork(example("tanh", output, (3, 4, 40), 20))
    theta = 0.5 * generator(108).normal(size=action.size)
    _, gradient, matrix = action.gauss_newton(theta)
    model = chosen(action, "krylov").gauss_newton(theta)
    assert model.scale == pytest.approx(np.diag(matrix).mean(), rel=0.5)
    shift = 0.1 * np.diag(matrix).mean()
    agrees(solved(model, shift), -np.linalg.solve(matrix + shift * np.eye(action.size), gradient))


@pytest.mark.parametrize("exact", [False, True])
def test_a_step_of_which_little_is_wanted_takes_fewer_products_and_finds_what_is(exact):
    """Of the fall that a dense solution promises it lacks no more than what need not be found."""
    action = ExactNetwork(example("tanh", "softmax", widths=(6, 8, 4), pairs=60))
    theta = descend(action, 0.5 * generator(151).normal(size=action.size), ExactSettings(20)).path
    theta = theta + 1e-3 * generator(152).normal(size=action.size)
    value, gradient, matrix = (action.derivatives if exact else action.gauss_newton)(theta)
    shift = 1e-3 * np.abs(np.diag(matrix)).mean() - min(0.0, 1.1 * np.linalg.eigvalsh(matrix)[0])
    matrix[np.diag_indices(len(matrix))] += shift
    whole = 0.5 * gradient @ np.linalg.solve(matrix, gradient)
    counts = []
    for enough in (0.0, 0.01 * whole, 1e-4 * whole):
        built = Krylov(action).exact(theta) if exact else Krylov(action).gauss_newton(theta)
        product, used = built.product, []
        built.product = lambda v, product=product, used=used: (used.append(1), product(v))[1]
        step = built.solve(shift, enough=enough)
        promise = -(gradient @ step + 0.5 * step @ matrix @ step)
        assert promise <= whole * (1.0 + 1e-9)
        if enough:
            assert whole - promise <= max(0.05 * whole, enough)
        counts.append(len(used))
    assert counts[1] <= counts[2] <= counts[0] and counts[1] < counts[0]
    assert abs(built.value - value) <= 1e-12 * abs(value)
