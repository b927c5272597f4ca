"""Error bars of a minimum and of several, against dense linear algebra and by hand."""

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.action.blocks import blocks_of
from hpcda.analysis.laplace import Gaussian, gaussian, mixture
from tests.unit import annealed_run, synthetic_run
from tests.unit.analysis.test_candidate import minimum


def dense(csr, size):
    indptr, indices, values = csr
    matrix = np.zeros((size, size))
    matrix[np.repeat(np.arange(size), np.diff(indptr)), indices] = values
    return matrix


@pytest.mark.parametrize(
    ("discretization", "block"),
    [("trapezoid", 10), ("implicit-midpoint", 10), ("rk4", 10), ("hermite-simpson", 20)],
)
def test_gaussian_agrees_with_the_dense_inverse(discretization, block):
    problem, _, truth = annealed_run.make_problem(discretization, times=13, after=2)
    path = problem.join([truth.states[:13]], [8.17])
    csr = Action(problem).hessian(path, 10.0)
    matrix = dense(csr, problem.size)
    shifted = matrix + 1e3 * np.eye(problem.size)  # positive definite, whatever the path is
    rows, columns = np.nonzero(shifted)
    csr = np.searchsorted(rows, np.arange(problem.size + 1)), columns, shifted[rows, columns]
    assert blocks_of(problem, csr).matrix.chains[0].diagonal[0].shape == (block, block)
    made = gaussian(problem, path, csr)
    inverse = np.linalg.inv(shifted)
    np.testing.assert_allclose(made.variances, np.diagonal(inverse), rtol=1e-8)
    assert made.logdet == pytest.approx(np.linalg.slogdet(shifted)[1])
    np.testing.assert_allclose(made.corner, inverse[-1:, -1:], rtol=1e-8)


def test_gaussian_of_windows_that_share_parameters():
    problem, _, truths = synthetic_run.make_problem(windows=3, times=9)
    path = problem.join([truth.states[:9] for truth in truths], [28.0])
    csr = Action(problem).hessian(path, 1e-3)
    matrix = dense(csr, problem.size) + 10.0 * np.eye(problem.size)
    rows, columns = np.nonzero(matrix)
    made = gaussian(
        problem, path, (np.searchsorted(rows, np.arange(problem.size + 1)), columns, matrix[rows, columns])
    )
    np.testing.assert_allclose(made.variances, np.diagonal(np.linalg.inv(matrix)), rtol=1e-8)


def plain_gaussian(path, variances, logdet):
    std, n = np.sqrt(variances), len(path)
    kinds = np.zeros(n, np.int8)
    low, high = path - 2 * std, path + 2 * std
    return Gaussian(path, variances, logdet, np.diag(variances[-1:]), kinds, low, high, np.zeros(n))


def test_mixture_of_two():
    """Weights, mean and variance of two Gaussians of one dimension each, by hand."""
    problem, *_ = synthetic_run.make_problem(times=5)
    n = problem.size
    one = plain_gaussian(np.zeros(n), np.full(n, 1.0), 0.0)
    two = plain_gaussian(np.full(n, 2.0), np.full(n, 3.0), 2 * np.log(2.0))
    made = mixture(problem, [minimum(10.0, start=4), minimum(10.0, start=6)], [one, two], ["start 9"])
    assert made.weights == pytest.approx({4: 2 / 3, 6: 1 / 3})
    np.testing.assert_allclose(made.mean, 2 / 3)
    np.testing.assert_allclose(made.std**2, 2 / 3 * (1 + 4 / 9) + 1 / 3 * (3 + 16 / 9))
    np.testing.assert_allclose(made.parameter_covariance, made.std[-1] ** 2)
    assert made.missing == ("start 9",)
    assert made.low[-1] == 0.0  # rho >= 0
    with pytest.raises(ValueError, match="start 9"):
        mixture(problem, [], [], ["start 9"])
