"""Problems of every catalogue model, discretization and term of the action, for the tests."""

from __future__ import annotations

import numpy as np

from hpcda.action import SCHEMES
from hpcda.models.catalogue import catalogue, load_model
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window
from tests.chance import generator

SMALL = {"lorenz96": {"dimension": 5}, "kuramoto_sivashinsky": {"dimension": 6}}
FREE = (-np.inf, np.inf)
# Measured quantities as expressions of the first state a and the last state b.
LINEAR = {"y": lambda a, b: a}
NONLINEAR = {
    "square": lambda a, b: f"{a}**2/50 + {b}",
    "mixed": lambda a, b: f"tanh({a}/20)*{b}",
    "plain": lambda a, b: b,
}
VARIANTS = ("states alone", "nonlinear and gaps", "walk", "independent and series", "priors and sparse data")


def cases():
    """(model name, discretization) of everything that fits together, found in the catalogue."""
    found = []
    for name in catalogue():
        model = load_model(name, SMALL.get(name))
        found += [(name, scheme.name) for scheme in SCHEMES.values() if scheme.kind == model.kind]
    return found


def windows(model, measured, lengths, dt, rng, gaps=(), series=0, every=1):
    made = []
    for number, times in enumerate(lengths):
        t = 0.5 + 3.0 * number + dt * np.arange(times)
        data = rng.normal(size=(times, measured))
        data[np.arange(times) % every > 0] = np.nan
        for gap in gaps:
            data[gap] = np.nan
        if measured > 1:
            data[-2, 0] = np.nan
        std = rng.uniform(0.4, 2.0, data.shape)
        made.append(Window(t, data, std, rng.normal(size=(times, len(model.stimuli) + series))))
    return tuple(made)


def example(name: str, scheme: str, variant: str, dt: float = 0.02, own: int = 7, **changes):
    """A problem and a random path in the model's ranges; `own` draws its data and the path."""
    model = name if isinstance(name, Model) else load_model(name, SMALL.get(name))
    rng = generator(own)
    first, last = model.state_names[0], model.state_names[-1]
    observed = {
        key: text(first, last) for key, text in (LINEAR if variant == "states alone" else NONLINEAR).items()
    }
    parameters = {parameter.name: parameter for parameter in model.parameters}
    names = list(parameters)
    estimated, varying, series, known = [], [], [], {}
    options = {"lengths": (13,)}
    match variant:
        case "states alone":
            pass
        case "nonlinear and gaps":
            estimated = [Estimated(key, parameters[key].start) for key in names]
            options = {"lengths": (13, 9), "gaps": (2, slice(5, 8))}
        case "walk":
            varying = [Estimated(names[0], parameters[names[0]].start, prior=(0.3, 3.0), walk_std=0.8)]
            estimated = [Estimated(key, parameters[key].start) for key in names[1:]]
            options = {"lengths": (9, 13)}
        case "independent and series":
            varying = [Estimated(names[0], parameters[names[0]].start, prior=(0.3, 3.0))]
            series = names[-1:] if len(names) > 1 else []
            options = {"lengths": (13,), "series": len(series)}
        case "priors and sparse data":
            estimated = [Estimated(names[-1], parameters[names[-1]].start, prior=(1.0, 2.0))]
            known = {first: (0.5, 2.0), last: (-0.2, 0.7)}
            options = {"lengths": (17, 9), "every": 4}
    taken = {estimate.name for estimate in (*estimated, *varying)} | set(series)
    made = windows(model, len(observed), dt=dt, rng=rng, **options)
    if series:
        for window in made:
            window.series[:, -1] = rng.uniform(*parameters[series[0]].start, window.times)
    fields = {
        "model": model,
        "discretization": scheme,
        "windows": made,
        "observed": observed,
        "parameters": tuple(estimated),
        "varying": tuple(varying),
        "fixed": {key: 1.05 * value.default for key, value in parameters.items() if key not in taken},
        "series": tuple(series),
        "state_start": np.array([state.range for state in model.states], dtype=float),
        "state_bounds": np.tile(FREE, (model.dimension, 1)),
        "model_error_weight": 1.0 + np.arange(model.dimension) % 3 * 0.5,
        "initial_prior": known,
    }
    problem = Problem(**(fields | changes))
    low, high = problem.state_start.T
    blocks = [
        np.column_stack(
            [
                rng.uniform(low, high, (window.times, model.dimension)),
                *(rng.uniform(*q.start, window.times) for q in problem.varying),
            ]
        )
        for window in problem.windows
    ]
    return problem, problem.join(blocks, np.array([rng.uniform(*p.start) for p in problem.parameters]))


MATRIX = np.array([[0.9, 0.3, 0.0], [-0.3, 0.9, 0.1], [0.0, 0.2, 0.7]])


def linear_model(kind: str = "map") -> Model:
    """A linear map x(n+1) = M x + b, or flow dx/dt = (M - 1) x + b, whose action is quadratic in x and b."""

    def equations(x, p):
        rates = MATRIX @ x if kind == "map" else MATRIX @ x - x
        return [rates[0] + p.b, rates[1], rates[2]]

    return Model(
        "linear",
        tuple(State(name, range=(-3.0, 3.0)) for name in ("x", "y", "z")),
        (Parameter("b", 0.5, range=(-1.0, 2.0)),),
        equations,
        kind=kind,
    )


def linear_problem(times: int = 12, **changes) -> Problem:
    """The linear map, x and x + z measured, b estimated: a positive definite quadratic action."""
    rng = generator(11)
    data = rng.normal(size=(times, 2))
    data[3:4] = np.nan
    fields = {
        "model": linear_model(),
        "discretization": "map",
        "windows": (
            Window(np.arange(float(times)), data, rng.uniform(0.5, 1.5, data.shape), np.zeros((times, 0))),
        ),
        "observed": {"x": "x", "xz": "x + z"},
        "parameters": (Estimated("b", (-1.0, 2.0), prior=(0.4, 0.8)),),
        "state_start": np.tile([-3.0, 3.0], (3, 1)),
        "state_bounds": np.tile(FREE, (3, 1)),
        "model_error_weight": np.array([1.0, 2.0, 0.5]),
        "initial_prior": {"y": (0.2, 1.5)},
    }
    return Problem(**(fields | changes))


def dense(action, path, rf):
    """The Hessian as a dense array."""
    indptr, indices, values = action.hessian(path, rf)
    matrix = np.zeros((action.size, action.size))
    rows = np.repeat(np.arange(action.size), np.diff(indptr))
    matrix[rows, indices] = values
    return matrix
