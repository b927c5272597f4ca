"""Where unknowns stand in a path; scopes of parameters; arrays of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda import Model, Parameter, State
from hpcda.action import Action, verify
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.build import build_problem
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.models.twin import simulate
from hpcda.problem import Estimated, Layout
from tests.chance import generator
from tests.unit.problems import example

LAYOUT = Layout(("x", "y"), ("q",), ("c",), ("a", "b"), (3, 2))


def test_every_unknown_stands_at_one_place():
    assert (LAYOUT.block, LAYOUT.size, LAYOUT.begins) == (3, 19, (0, 9, 15))
    places = [*(LAYOUT.points(k) for k in (0, 1)), np.arange(LAYOUT.size)[LAYOUT.tail]]
    assert np.concatenate([part.ravel() for part in places]).tolist() == list(range(LAYOUT.size))
    assert [c.label for c in LAYOUT.constants] == ["c (window 0)", "c (window 1)", "a", "b"]
    assert LAYOUT.seen_names == ("c", "a", "b")
    assert LAYOUT.seen(0).tolist() == [0, 2, 3] and LAYOUT.seen(1).tolist() == [1, 2, 3]
    assert LAYOUT.points(1).tolist() == [[9, 10, 11], [12, 13, 14]]
    path = generator(1).normal(size=LAYOUT.size)
    blocks, constants = LAYOUT.split(path)
    assert np.array_equal(LAYOUT.join(blocks, constants), path)
    spread = LAYOUT.spread([10, 20, 30], [1, 2, 3, 4])
    assert spread.tolist() == [10, 20, 30] * 5 + [1, 2, 3, 4]


def test_a_parameter_of_one_window_has_the_name_of_the_model_where_there_is_one_window():
    assert [c.label for c in replace(LAYOUT, times=(4,)).constants] == ["c", "a", "b"]


def per_window(scheme="trapezoid"):
    """Two windows of Lorenz 96 with a forcing each, made from two forcings."""
    problem, _ = example("lorenz96", scheme, "nonlinear and gaps")
    forcings, rng = (7.6, 8.7), generator(3)
    blocks, windows = [], []
    for window, forcing in zip(problem.windows, forcings, strict=True):
        states = simulate(problem.model, {"F": forcing}, rng.uniform(2, 6, 5), window.t)
        measured = np.column_stack([states[:, 0], states[:, 1], states[:, 2]])
        data = np.where(np.isfinite(window.data), measured + 0.05 * rng.normal(size=measured.shape), np.nan)
        windows.append(replace(window, data=data, noise_std=np.full(data.shape, 0.05)))
        blocks.append(states)
    problem = replace(
        problem, windows=tuple(windows), observed={"a": "x0", "b": "x1", "c": "x2"}, fixed={},
        parameters=(Estimated("F", (6.0, 10.0), per_window=True),),
    )  # fmt: skip
    return problem, problem.join(blocks, np.array(forcings))


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "implicit-midpoint", "rk4"])
def test_parameters_of_one_window(scheme):
    """The action is the sum of those of the windows by themselves, and so is its minimum."""
    problem, path = per_window(scheme)
    action = Action(problem)
    assert verify(action, path, 3.0, length=1e-3).ok
    blocks, constants = problem.split(path)
    alone = [problem.cut(k, 0, window.times) for k, window in enumerate(problem.windows)]
    parts = [
        Action(p).gradient(p.join([b], c[None]), 3.0)
        for p, b, c in zip(alone, blocks, constants, strict=True)
    ]
    total, gradient = action.gradient(path, 3.0)
    assert total.total == pytest.approx(sum(p.total for p, _ in parts), rel=1e-14)
    expected = np.concatenate([*(g[:-1] for _, g in parts), [g[-1] for _, g in parts]])
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-13)
    ends = [
        climbed(problem, path),
        *(climbed(p, p.join([b], c[None])) for p, b, c in zip(alone, blocks, constants, strict=True)),
    ]
    whole, *single = ends
    np.testing.assert_allclose(whole[problem.layout.tail], [one[-1] for one in single], rtol=1e-7)


def climbed(problem, path):
    lockstep = Lockstep(Action(problem), Ladder(1.0, 10.0, 4), 1)
    lockstep.put(0, 0, path, 0, True)
    found = []
    while lockstep.active:
        lockstep.advance(100)
        found += lockstep.reached()
    assert found[-1].rung.number == 3 and found[-1].rung.reason.converged
    return found[-1].rung.path


def rnn():
    def equations(x, p):
        return np.tanh(p.W @ x + p.b)

    weights = Parameter("W", [[0.5, -1.2], [0.9, 0.3]], range=(-2, 2), shape=(2, 2))
    return Model(
        "rnn", (State("x0", range=(-1, 1)), State("x1", range=(-1, 1))),
        (weights, Parameter("b", 0.1, range=(-1, 1), shape=(2,))), equations, kind="map",
    )  # fmt: skip


def test_arrays_of_parameters():
    model = rnn()
    assert model.parameter_names == ("W[0,0]", "W[0,1]", "W[1,0]", "W[1,1]", "b[0]", "b[1]")
    x = np.array([0.2, -0.4])
    expected = np.tanh(np.array([[0.5, -1.2], [0.9, 0.3]]) @ x + 0.1)
    assert np.allclose(model(x, dict(model.defaults)), expected)
    with pytest.raises(InputError, match="does not fit shape"):
        Model("m", (State("x"),), (Parameter("W", [1.0, 2.0], shape=(3,)),), lambda x, p: x)
    with pytest.raises(InputError, match="used twice"):
        Model("m", (State("W"),), (Parameter("W", 1.0, shape=(3,)),), lambda x, p: x)


JOB = """
[model]
name = "lorenz96"
options = {{ dimension = 5 }}
[model.parameters.F]
estimate = true
{parameters}
[[twin]]
dt = 0.05
samples = 11
parameters = {{ F = 8.0{true} }}
observed = ["x0", "{second}"]
{noise}
[[twin]]
dt = 0.05
samples = 11
parameters = {{ F = 8.0{true} }}
observed = ["x0", "{second}"]
{noise}
[ladder]
rungs = 3
"""


def built(tmp_path, parameters="", true="", second="x2", noise="noise_std = 0.5"):
    (tmp_path / "job.toml").write_text(
        JOB.format(parameters=parameters, true=true, second=second, noise=noise)
    )
    return build_problem(load_job(tmp_path / "job.toml")).problem


def test_a_job_gives_sensors_a_scale_and_an_offset(tmp_path):
    sensors = (
        "per_window = true\n[model.parameters.gain]\nestimate = true\nstart = [0.5, 2.0]\n"
        "[model.parameters.offset]\nvalue = 0.25"
    )
    problem = built(tmp_path, sensors, ", gain = 1.5, offset = 0.25", "gain*x2 + offset")
    assert [c.label for c in problem.layout.constants] == ["F (window 0)", "F (window 1)", "gain"]
    assert problem.fixed == {"offset": 0.25}


def test_a_job_gives_losses_and_estimates_the_scale_of_noise(tmp_path):
    noise = (
        'noise_std = {{ x0 = {{ estimate = true, start = [0.1, 4.0], truth = 0.5 }}, x2 = 0.3 }}\n'
        'loss = {{ x0 = {{ name = "student-t", nu = 3.0 }}, x2 = "huber" }}'
    ).replace("{{", "{").replace("}}", "}")  # fmt: skip
    problem = built(tmp_path, noise=noise)
    assert problem.noise["x0"].loss == "student-t" and problem.noise["x0"].options == {"nu": 3.0}
    assert problem.noise["x0"].scale == "noise_std(x0)" and problem.noise["x2"].scale is None
    (scale,) = [p for p in problem.parameters if p.name == "noise_std(x0)"]
    assert scale.start == (0.1, 4.0) and scale.bounds == (0.001, 400.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": 'noise_std = 0.5\nloss = "student"'}, "'student' is not accepted"),
        ({"noise": 'noise_std = 0.5\nloss = { name = "huber", nu = 3.0 }'}, "has no option 'nu'"),
        ({"noise": 'noise_std = 0.5\nloss = { name = "huber", delta = -1.0 }'}, "not a number above 0"),
        ({"noise": 'noise_std = 0.5\nloss = "poisson"'}, "has no effect"),
        ({"noise": "gap = 1"}, "gap"),
        ({"noise": 'loss = { x0 = "poisson", x2 = "gaussian" }'}, "noise for x2|is missing for x2"),
        ({"noise": "noise_std = { estimate = true, start = [0.0, 1.0], truth = 1.0 }"}, "above 0"),
        ({"noise": "noise_std = { estimate = true, start = [0.1, 1.0] }"}, "true scale of its noise"),
        ({"noise": 'noise_std = 0.5\nloss = { x1 = "huber" }'}, "not a key of observed"),
        ({"parameters": "[model.parameters.gain]\nestimate = true"}, "no parameter 'gain'"),
        ({"parameters": "[model.parameters.gain]\nestimate = true", "second": "gain*x2"}, "does not have"),
        ({"parameters": "[model.parameters.gain]\nvalue = 1.0", "second": "gain*x2"}, "no true value"),
        ({"second": "gain*x2"}, "is not a state or parameter"),
    ],
)  # fmt: skip
def test_mistakes_are_told(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        built(tmp_path, **changes)
