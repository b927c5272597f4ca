"""The stochastic Euler-Lagrange equation: what each discretization leaves invariant, and at any mesh."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.sparse import csr_array, diags_array

from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.sampling.fictitious_time import FictitiousTime
from tests.chance import generator

NOISES = ["white", "inverse"]


def chain(steps, duration=1.0):
    """A particle between two wells, noise of size 1: dx = -V' dt + dW; the prior's matrix and lengths.

    The linear part is dx = -x dt + dW: M = Bᵀ B with (B x)_n = (x_n+1 - (1 - dt) x_n) / sqrt(dt).
    """
    dt = duration / steps
    ones = np.ones(steps) / np.sqrt(dt)
    slopes = diags_array([-(1.0 - dt) * ones, ones], offsets=[0, 1], shape=(steps, steps + 1))
    first = np.zeros(steps + 1)
    first[0] = 1.0
    matrix = csr_array(slopes.T @ slopes + diags_array(first))
    lengths = np.full(steps + 1, dt)
    return matrix, lengths, dt


def wells(steps):
    """The action of a particle with the force x - x³ (V = x⁴/4 - x²/2), from a Gaussian at its begin."""
    matrix, lengths, dt = chain(steps)

    def target(x):
        force = x[:-1] - x[:-1] ** 3
        errors = (np.diff(x) - dt * force) / np.sqrt(dt)
        gradient = np.zeros_like(x)
        gradient[1:] += errors / np.sqrt(dt)
        gradient[:-1] -= errors * (1.0 + dt * (1.0 - 3.0 * x[:-1] ** 2)) / np.sqrt(dt)
        gradient[0] += x[0]
        return 0.5 * float(errors @ errors) + 0.5 * float(x[0] ** 2), gradient

    return target, matrix, lengths


def gaussian(matrix, center):
    def target(x):
        pull = matrix @ (x - center)
        return 0.5 * float(pull @ (x - center)), pull

    return target


def covariance(equation, size):
    """The invariant covariance of a linear equation, of its steps as they are computed (Lyapunov)."""
    zero = np.zeros(size)
    origin = equation.step(equation.at(zero), zero).x
    ahead = [equation.step(equation.at(unit), zero).x - origin for unit in np.eye(size)]
    kicks = [equation.step(equation.at(zero), unit).x - origin for unit in np.eye(size)]
    drift, noise = np.array(ahead).T, np.array(kicks).T
    return solve_discrete_lyapunov(drift, noise @ noise.T), np.linalg.solve(np.eye(size) - drift, origin)


def equation_of(noise, target, center, matrix, lengths, **options):
    white = lengths if noise == "white" else None
    return FictitiousTime(target, center, matrix, lengths=white, **options)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("step", [0.01, 0.7, 30.0])
def test_half_implicit_steps_leave_a_gaussian_invariant_at_any_step(noise, step):
    matrix, lengths, _ = chain(24)
    center = generator(1).normal(size=25)
    equation = equation_of(
        noise, gaussian(matrix, center), center, matrix, lengths, step=step, temperature=2.5
    )
    found, mean = covariance(equation, 25)
    np.testing.assert_allclose(found, 2.5 * np.linalg.inv(matrix.toarray()), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(mean, center, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("noise", NOISES)
def test_semi_implicit_steps_leave_variances_that_are_too_small(noise):
    matrix, lengths, _ = chain(24)
    center, step = np.zeros(25), 0.5
    equation = equation_of(noise, gaussian(matrix, center), center, matrix, lengths, step=step, theta=1.0)
    found, _ = covariance(equation, 25)
    weights = np.sqrt(lengths) if noise == "white" else np.linalg.cholesky(matrix.toarray()).T
    root = np.diag(weights) if noise == "white" else weights
    rates, vectors = np.linalg.eigh(np.linalg.inv(root).T @ matrix.toarray() @ np.linalg.inv(root))
    modes = np.linalg.solve(root, vectors)
    expected = modes @ np.diag(1.0 / (rates * (1.0 + 0.5 * step * rates))) @ modes.T
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


def test_explicit_steps_of_white_noise_diverge_on_a_finer_mesh():
    ends = []
    for steps in (6, 64):
        matrix, lengths, dt = chain(steps)
        equation = FictitiousTime(
            gaussian(matrix, np.zeros(steps + 1)), np.zeros(steps + 1), matrix, 0.01, 0.0, lengths
        )
        path, rng = equation.at(np.zeros(steps + 1)), generator(2)
        for _ in range(40):
            path = equation.step(path, rng.normal(size=steps + 1))
        ends.append(np.abs(path.x).max())
        assert (0.01 * 4.0 / dt**2 < 2.0) == (steps == 6)
    assert ends[0] < 10.0 < 1e6 < ends[1]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("theta", [0.5, 1.0])
def test_the_ratio_is_that_of_the_densities_of_steps(noise, theta):
    target, matrix, lengths = wells(6)
    equation = equation_of(
        noise, target, np.zeros(7), matrix, lengths, step=0.3, theta=theta, temperature=1.7
    )
    rng = generator(3)
    path, new = (equation.at(rng.normal(size=7)) for _ in range(2))
    zero = np.zeros(7)
    densities = []
    for here, there in ((path, new), (new, path)):
        mean = equation.step(here, zero).x
        spread = np.array([equation.step(here, unit).x - mean for unit in np.eye(7)]).T
        normal = np.linalg.solve(spread, there.x - mean)
        densities.append(-0.5 * float(normal @ normal))
    expected = (path.action - new.action) / 1.7 + densities[1] - densities[0]
    assert equation.log_acceptance(path, new) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_half_implicit_steps_of_a_gaussian_are_always_accepted(noise):
    matrix, lengths, _ = chain(24)
    equation = equation_of(noise, gaussian(matrix, np.zeros(25)), np.zeros(25), matrix, lengths, step=3.0)
    rng = generator(4)
    path = equation.at(rng.normal(size=25))
    new = equation.step(path, rng.normal(size=25))
    assert abs(equation.log_acceptance(path, new)) < 1e-9 * max(1.0, path.action, new.action)


def accepted(equation, size, count, rng):
    """Share of steps that a Metropolis test accepts, after a tenth of them, and the paths."""
    path, shares, paths = equation.at(np.zeros(size)), [], []
    for number in range(count):
        new = equation.step(path, rng.normal(size=size))
        ratio = np.exp(min(0.0, equation.log_acceptance(path, new)))
        if rng.random() < ratio:
            path = new
        if number >= count // 10:
            shares.append(ratio)
            paths.append(path.x)
    return float(np.mean(shares)), np.array(paths)


def test_acceptance_does_not_depend_on_the_mesh_for_half_implicit_steps_alone():
    half, whole = [], []
    for steps in (40, 160, 640):
        target, matrix, _ = wells(steps)
        for theta, shares in ((0.5, half), (1.0, whole)):
            equation = FictitiousTime(target, np.zeros(steps + 1), matrix, 0.3, theta)
            shares.append(accepted(equation, steps + 1, 2500, generator(5, steps))[0])
    assert max(half) - min(half) < 0.15
    assert min(half) > 0.5
    assert whole[2] < 0.6 * whole[0]
    assert whole[2] < 0.6 * half[2]


def test_accepted_steps_sample_two_wells_and_plain_ones_are_off_by_the_first_order_of_the_step():
    matrix = csr_array(np.array([[2.0]]))

    def target(x):
        value = float(x[0])
        return 2.0 * (value**2 - 1.0) ** 2, np.array([8.0 * value * (value**2 - 1.0)])

    grid = np.linspace(-4.0, 4.0, 4001)
    density = np.exp(-2.0 * (grid**2 - 1.0) ** 2)
    truth = float(np.sum(grid**2 * density) / np.sum(density))

    def plain(step):
        """E x² of steps that are not tested, from the equation's transition density on a grid."""
        coarse = np.linspace(-3.0, 3.0, 601)
        equation = FictitiousTime(target, np.zeros(1), matrix, step)
        means = np.array([equation.mean(equation.at(np.array([x])))[0] for x in coarse])
        kick = equation.step(equation.at(np.zeros(1)), np.ones(1)).x[0]
        rows = np.exp(-0.5 * ((coarse[None, :] - means[:, None]) / kick) ** 2)
        rows /= rows.sum(axis=1, keepdims=True)
        values, vectors = np.linalg.eig(rows.T)
        stationary = np.abs(vectors[:, np.argmax(values.real)].real)
        return float(np.sum(coarse**2 * stationary) / stationary.sum())

    biases = [plain(step) - truth for step in (0.04, 0.02, 0.01)]
    slopes = np.log2(np.abs(biases[:-1]) / np.abs(biases[1:]))
    np.testing.assert_allclose(slopes, 1.0, atol=0.2)
    equation = FictitiousTime(target, np.zeros(1), matrix, 0.4)
    _, paths = accepted(equation, 1, 6000, generator(6))
    batches = np.mean(paths[:5400].reshape(30, -1) ** 2, axis=1)
    assert abs(batches.mean() - truth) < 5.0 * batches.std() / np.sqrt(30)


def test_a_matrix_that_is_not_positive_definite_is_refused():
    with pytest.raises(NotPositiveDefiniteError):
        FictitiousTime(gaussian(csr_array(np.eye(2)), np.zeros(2)), np.zeros(2), csr_array(-np.eye(2)), 0.1)
