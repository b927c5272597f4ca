"""The motion of models, smooth, stiff, non-smooth, chaotic: against SciPy, exact solutions, plain Python."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import DOP853, solve_ivp

from hpcda.models import dop853
from hpcda.models import flow as module
from hpcda.models.catalogue import catalogue, load_model
from hpcda.models.flow import End, Flow
from hpcda.models.model import Model, Parameter, State, StateVector, Stimulus
from hpcda.patience import Patience
from tests.chance import generator
from tests.machine import instruction_sets
from tests.unit.problems import SMALL

FLOWS = [name for name in catalogue() if load_model(name, SMALL.get(name)).kind == "flow"]


def states(*names, **initial):
    return tuple(State(name, initial=initial.get(name, 1.0)) for name in names)


def begin(model):
    return np.array([state.initial for state in model.states])


def plain(model, t, x, p, u, method="DOP853", **options):
    """SciPy on the plain Python equations."""

    def rate(time, y):
        return np.array(model(y, p, u(time), time), dtype=float)

    found = solve_ivp(
        rate, (t[0], t[-1]), x, method=method, t_eval=t, **{"rtol": 1e-12, "atol": 1e-12} | options
    )
    return found.y.T


def robertson():
    """H. H. Robertson's kinetics (Hairer, Wanner, Solving ODE II, equation (IV.1.4))."""

    def equations(x, p):
        a, b, c = x
        r1, r2, r3 = p.k1 * a, p.k2 * b * b, p.k3 * b * c
        return [-r1 + r3, r1 - r2 - r3, r2]

    return Model(
        "robertson",
        (State("a", range=(0, 1), initial=1.0), State("b", range=(0, 1e-4)), State("c", range=(0, 1))),
        (Parameter("k1", 0.04), Parameter("k2", 3e7), Parameter("k3", 1e4)),
        equations,
    )


def van_der_pol(mu=1e3):
    return Model(
        "van_der_pol",
        (State("x", initial=2.0), State("v", range=(-1.5 * mu, 1.5 * mu))),
        (Parameter("mu", mu),),
        lambda x, p: [x[1], p.mu * (1 - x[0] ** 2) * x[1] - x[0]],
    )


def of_one(rate, kind="flow", parameters=()):
    return Model("one", states("x"), parameters, lambda x, p, u, t: [rate(x[0], t)], kind=kind)


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_of_the_catalogue_against_scipy(name):
    model = load_model(name, SMALL.get(name))
    t, drive = np.linspace(0.0, 1.0, 6), {one: 10.0 for one in model.stimulus_names}
    exact = plain(model, t, begin(model), model.defaults, lambda time: drive)
    course = Flow(model).run(begin(model), t, model.defaults, lambda time: list(drive.values()))
    assert course.end is End.REACHED and not course.implicit
    np.testing.assert_allclose(course.states, exact, rtol=1e-9, atol=1e-9)


def test_the_tableau_is_that_of_scipy():
    for own, theirs in (
        (dop853.A, DOP853.A[:12, :12]),
        (dop853.B, DOP853.B),
        (dop853.C, DOP853.C[:12]),
        (dop853.E3, DOP853.E3),
        (dop853.E5, DOP853.E5),
    ):
        assert own.dtype == np.float64 and own.flags.c_contiguous and np.array_equal(own, theirs)


def test_a_map_is_iterated_and_sees_series_and_time():
    model = Model(
        "adder", states("x"), (Parameter("a", 2.0),), lambda x, p, u, t: [p.a * x[0] + u.I + 100.0 * t],
        (Stimulus("I"),), kind="map",
    )  # fmt: skip
    course = Flow(model).run([1.0], [0.0, 1.0, 2.0], {"a": 2.0}, np.array([[1.0], [2.0], [50.0]]))
    assert course.states[:, 0].tolist() == [1.0, 3.0, 108.0] and course.end is End.REACHED
    growing = Flow(model).run([1.0], np.arange(2000.0), {"a": 2.0}, np.zeros((2000, 1)))
    assert growing.end is End.UNBOUND and np.isnan(growing.states[-1]).all()
    assert np.isfinite(growing.states[:1000]).all()


def test_the_error_follows_the_tolerance():
    """x'' = -x over ten turns."""
    model = Model("circle", states("x", "v", v=0.0), (), lambda x, p: [x[1], -x[0]])
    t = np.linspace(0.0, 20.0 * np.pi, 7)
    errors, steps = [], []
    for tolerance in (1e-6, 1e-9, 1e-12):
        course = Flow(model).run([1.0, 0.0], t, {}, tolerance=tolerance)
        errors.append(np.abs(course.states[:, 0] - np.cos(t)).max())
        steps.append(course.steps)
    assert errors[0] < 1e-4 and errors[1] < 1e-7 and errors[2] < 1e-10
    assert steps[2] / steps[0] == pytest.approx(1e6 ** (1 / 8), rel=0.3), "the method has order 8"


@pytest.mark.parametrize(("small", "told"), [(2.0**-40, True), (2.0**30, True), (2.0**-20, False)])
def test_units_do_not_matter(small, told):
    model = load_model("lorenz63")
    t = np.linspace(0.0, 5.0, 3)
    usual = Flow(model).run(begin(model), t, model.defaults).states

    def scaled(x, p):
        values = StateVector.of([one / small for one in x], model.state_names)
        return [small * rate for rate in model.equations(values, p)]

    def smaller(one):
        wide = (small * one.range[0], small * one.range[1]) if told else (-10.0, 10.0)
        return State(one.name, range=wide, initial=small * one.initial)

    tiny = Model("tiny", tuple(map(smaller, model.states)), model.parameters, scaled)
    found = Flow(tiny).run(begin(tiny), t, tiny.defaults).states / small
    np.testing.assert_allclose(found, usual, rtol=1e-7)


def test_series_are_linear_between_the_times_whatever_steps_would_be_taken():
    """x' = u with u a saw: the integral of the trapezoids, exactly."""
    model = Model("sum", states("x"), (), lambda x, p, u: [u.I], (Stimulus("I"),))
    t = np.array([0.0, 0.1, 5.0, 5.5, 9.0])
    u = np.array([0.0, 3.0, -1.0, 7.0, 0.5])
    exact = 1.0 + np.concatenate([[0.0], np.cumsum(np.diff(t) * (u[1:] + u[:-1]) / 2)])
    np.testing.assert_allclose(Flow(model).run([1.0], t, {}, u[:, None]).states[:, 0], exact, rtol=1e-14)


def test_no_step_crosses_a_time():
    """A function of time that jumps at the times is met from the right, never smeared over."""
    model = Model("sum", states("x"), (), lambda x, p, u: [u.I], (Stimulus("I"),))
    t = np.array([0.0, 1.0, 2.5, 3.0])
    course = Flow(model).run([0.0], t, {}, lambda time: [float(np.searchsorted(t, time, side="right"))])
    np.testing.assert_allclose(course.states[:, 0], [0.0, 1.0, 4.0, 5.5], rtol=1e-14)


def test_steps_of_a_path_begin_anew_at_every_point():
    model = load_model("lorenz63")
    t = 0.05 * np.arange(9) ** 1.5
    path = 10.0 * generator(1).normal(size=(9, 3))
    rho = 28.0 + t
    flow = Flow(model, series=("rho",))
    found = flow.steps(path, t, {"sigma": 10.0, "beta": 8.0 / 3.0}, rho[:, None])
    assert found.shape == (8, 3)
    for n in range(8):

        def rate(time, y):
            return np.array(model(y, {"sigma": 10.0, "beta": 8.0 / 3.0, "rho": 28.0 + time}, {}, time))

        exact = solve_ivp(rate, t[n : n + 2], path[n], method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
        np.testing.assert_allclose(found[n], exact, rtol=1e-8, atol=1e-8)
    henon = load_model("henon")
    carried = Flow(henon).steps(path[:, :2], t, henon.defaults)
    np.testing.assert_allclose(carried, [henon(x, henon.defaults) for x in path[:-1, :2]], rtol=1e-13)


def test_a_step_that_explodes_leaves_the_others_alone():
    flow = Flow(of_one(lambda x, t: x * x))
    found = flow.steps([[0.5], [3.0], [-1.0], [0.0]], [0.0, 1.0, 2.0, 3.0], {})
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[[0, 2], 0], [1.0, -0.5], rtol=1e-9)


@pytest.mark.parametrize("last", [400.0, 1e10])
def test_robertson_against_radau(last):
    model = robertson()
    t = np.linspace(0.0, last, 41) if last == 400.0 else np.concatenate([[0.0], 10.0 ** np.arange(-2, 11)])
    course = Flow(model).run(begin(model), t, model.defaults)
    assert course.end is End.REACHED and course.implicit and course.steps < 100_000
    exact = plain(model, t, begin(model), model.defaults, lambda _: {}, "Radau", rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose(course.states, exact, rtol=1e-7)
    np.testing.assert_allclose(course.states.sum(axis=1), 1.0, rtol=1e-10)


def test_robertson_far_out_is_the_reference_of_the_test_set():
    """At t = 1e11 (F. Mazzia, C. Magherini, Test Set for IVP Solvers, release 2.4, problem rober)."""
    model = robertson()
    course = Flow(model).run(begin(model), [0.0, 1e11], model.defaults)
    wanted = [0.2083340149701255e-07, 0.8333360770334713e-13, 0.9999999791665050]
    np.testing.assert_allclose(course.states[-1], wanted, rtol=1e-6)


def test_van_der_pol_is_the_reference_of_the_test_set():
    """At t = 2000 for µ = 1000 (Mazzia, Magherini, problem vdpol, with time in units of 1/µ there)."""
    model = van_der_pol()
    course = Flow(model).run(begin(model), [0.0, 2000.0], model.defaults)
    assert course.implicit and course.steps < 20_000
    np.testing.assert_allclose(course.states[-1], [0.1706167732170483e1, -0.8928097010247975e-3], rtol=1e-7)


def test_a_stiff_flow_with_a_stimulus_and_many_states():
    """Heat on a ring, 200 sites, driven at one of them: eigenvalues to 1.6e5, against SciPy's Radau."""
    sites = 200

    def equations(x, p, u, t):
        return [
            4e4 * (x[i - 1] - 2 * x[i] + x[(i + 1) % sites]) - x[i] + (i == 3) * u.I for i in range(sites)
        ]

    model = Model("ring", states(*(f"x{i}" for i in range(sites))), (), equations, (Stimulus("I"),))
    t = np.linspace(0.0, 3.0, 4)
    course = Flow(model).run(begin(model), t, {}, t[:, None])
    assert course.end is End.REACHED and course.implicit
    # The sum of all sites obeys s' = t - s.
    mean = (t - 1.0 + (sites + 1.0) * np.exp(-t)) / sites
    np.testing.assert_allclose(course.states.mean(axis=1), mean, rtol=1e-9)


def test_the_method_is_chosen_by_counting_steps():
    calm = Flow(load_model("lorenz96", {"dimension": 10}))
    x = np.r_[8.2, np.full(9, 8.17)]
    assert not calm.run(x, [0.0, 100.0], {"F": 8.17}).implicit
    course = [Flow(van_der_pol()).run([2.0, 0.0], [0.0, 300.0], {"mu": 1e3}) for _ in range(2)]
    assert course[0].implicit and course[0].steps == course[1].steps
    np.testing.assert_array_equal(course[0].states, course[1].states)


def test_how_often_a_run_looks_at_the_clock_changes_nothing(monkeypatch):
    model = van_der_pol()
    t = np.linspace(0.0, 900.0, 10)
    usual = Flow(model).run([2.0, 0.0], t, model.defaults)
    monkeypatch.setattr(module, "BUDGET", 1.0)
    np.testing.assert_array_equal(Flow(model).run([2.0, 0.0], t, model.defaults).states, usual.states)


def test_switches_are_met_exactly():
    """A bang-bang oscillator, x'' = -sign(x), swings with period 4 √2 √(2 x0) between parabolas."""
    model = Model("relay", states("x", "v", v=0.0), (), lambda x, p: [x[1], -np.sign(x[0])])
    period = 4.0 * np.sqrt(2.0)
    course = Flow(model).run([1.0, 0.0], period * np.arange(6), {})
    assert course.end is End.REACHED
    np.testing.assert_allclose(course.states, np.tile([1.0, 0.0], (6, 1)), atol=1e-8)
    clipped = of_one(lambda x, t: -np.where(x > 0.5, 1.0, 2.0 * x))
    exact = Flow(clipped).run([1.0], [0.0, 0.5, 1.5], {}).states[:, 0]
    np.testing.assert_allclose(exact, [1.0, 0.5, 0.5 * np.exp(-2.0)], rtol=1e-9)
    stairs = Flow(of_one(lambda x, t: np.floor(t) + 0.0 * x)).run([0.0], [0.0, 1.5, 3.5], {})
    np.testing.assert_allclose(stairs.states[:, 0], [0.0, 0.5, 4.5], atol=1e-9)
    bounce = Flow(of_one(lambda x, t: -abs(x))).run([1.0], [0.0, 2.0], {})
    np.testing.assert_allclose(bounce.states[-1], np.exp(-2.0), rtol=1e-10)


@pytest.mark.parametrize(
    ("model", "time"),
    [
        (of_one(lambda x, t: 0.5 - np.sign(x)), 2.0),
        (of_one(lambda x, t: np.where(x > 0, -1.0, 2.0)), 1.0),
        (
            # v = cos t + sin(t) / 10 until it is 0, where it sticks while |x| < 0.9.
            Model("stick_slip", states("x", "v"), (), lambda x, p: [-x[1], x[0] - 0.9 * np.sign(x[1])]),
            np.pi - np.arctan(10.0),
        ),
    ],
    ids=["slide", "where", "stick-slip"],
)
def test_what_chatters_ends_and_is_never_wrong_without_a_word(model, time):
    """On a sliding surface no step is right: until there the run is exact, beyond it there is no number."""
    course = Flow(model).run(begin(model), np.linspace(0.0, 20.0, 21), {})
    assert course.end in (End.FAST, End.STUCK) and course.steps < 200_000
    assert np.isnan(course.states[-1]).all()
    assert course.time == pytest.approx(time, abs=1e-4)


@pytest.mark.parametrize(
    ("model", "time"),
    [
        (of_one(lambda x, t: x * x), 1.0),
        (of_one(lambda x, t: np.exp(x)), np.exp(-1.0)),
        (of_one(lambda x, t: -1.0 / x), 0.5),
        (of_one(lambda x, t: np.log(-1.0 - x)), 0.0),
    ],
    ids=["pole", "logarithm", "zero", "nowhere"],
)
def test_what_has_no_solution_ends_where_it_ends(model, time):
    course = Flow(model).run([1.0], [0.0, 0.25 * time + 1e-3, 2.0], {})
    assert course.end in (End.UNBOUND, End.STUCK)
    assert course.time == pytest.approx(time, abs=1e-6) and np.isnan(course.states[-1]).all()


def test_growth_beyond_what_counts_ends_a_run():
    model = of_one(lambda x, t: x)
    course = Flow(model).run([1.0], np.arange(0.0, 40.0), {}, largest=1e6)
    width = 20.0  # of the range
    assert course.end is End.UNBOUND and course.time == pytest.approx(np.log(1e6 * width), abs=1.0)
    assert np.isfinite(course.states[: int(course.time)]).all() and np.isnan(course.states[-1]).all()


def test_the_time_for_a_run_is_limited_and_a_word_comes_first(capsys):
    seconds = iter(np.arange(0.0, 1e6, 2.0))
    model = Model("fast", states("x", "v", v=0.0), (), lambda x, p: [x[1], -1e6 * x[0]])
    patience = Patience("the twin of fast", 20.0, clock=lambda: next(seconds))
    course = Flow(model).run([1.0, 0.0], np.linspace(0.0, 100.0, 5), {}, patience=patience)
    assert course.end is End.LATE and np.isnan(course.states[-1]).all()
    said = capsys.readouterr().err.splitlines()
    assert (
        said[0].startswith("hpcda: the twin of fast has taken 6 s (t = ")
        and "it is stopped after 20 s" in said[0]
    )
    assert len(said) == 2, "words come at times that double"


def test_a_function_of_time_that_raises_is_heard():
    model = Model("sum", states("x"), (), lambda x, p, u: [u.I], (Stimulus("I"),))

    def broken(time):
        raise LookupError("no current there")

    with pytest.raises(LookupError, match="no current"):
        Flow(model).run([0.0], [0.0, 1.0], {}, broken)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], [0.0, 1.0], {"mu": 1.0}), "states"),
        (([1.0, 1.0], [0.0, 0.0], {"mu": 1.0}), "increase"),
        (([1.0, 1.0], [0.0, 1.0], {"mu": 1.0}, np.zeros((2, 1))), "series"),
    ],
)
def test_misfits_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Flow(van_der_pol()).run(*arguments)


BITS = """
from hpcda.models.catalogue import load_model
from hpcda.models.flow import Flow
from hpcda.models.model import Model, State
from hpcda.models.signals import chaotic, sine
from hpcda.models.twin import initial_state, spin_up

for name, options, duration in (("lorenz96", None, 20.0), ("colpitts", None, 100.0), ("nakl", None, 20.0)):
    model = load_model(name, options)
    drive = chaotic(15.0, 10.0, seed=1, span=(-duration, 0.0)) if model.stimuli else None
    print(name, *(float(x).hex() for x in spin_up(model, None, initial_state(model), duration, drive)[:4]))
x, v = State("x", initial=2.0), State("v", range=(-1500, 1500))
stiff = Model("stiff", (x, v), (), lambda x, p: [x[1], 1e3 * (1 - x[0] ** 2) * x[1] - x[0]])
course = Flow(stiff).run([2.0, 0.0], [0.0, 300.0, 2000.0], {})
print(stiff.name, course.implicit, *(float(x).hex() for x in course.states[-1]))
print(*(float(sine(2.0, 7.0, 1.0, 0.3)(t)).hex() for t in (0.1, 3.0, -5.0)))
"""
EXPECTED = """\
lorenz96 0x1.31fe0e953dc59p-1 0x1.82e869c9fb5fep+2 0x1.2ec3b6f2e73acp+2 -0x1.4e9bc4b014bb4p+2
colpitts -0x1.d704a3558ebe4p-2 0x1.1d6412630b938p-4 -0x1.3cb9c2ff92bf5p+2
nakl -0x1.fea7bf2e0c8edp+5 0x1.416eaa4b49d74p-5 0x1.b07fb11422554p-2 0x1.049ee652085d1p-1
stiff True 0x1.b4c76894d1fd7p+0 -0x1.d416e3b58472dp-11
0x1.c28aef16ba7dcp+0 0x1.4be77c0ba2d04p+0 0x1.5d9995d92e69ep+1
"""


@pytest.mark.parametrize("march", ["native", *instruction_sets()])
def test_a_chaotic_twin_has_the_same_bits_everywhere(march):
    """After 20 time units of Lorenz 1996 a difference of 1e-16 would be one of the size of the attractor."""
    environment = os.environ | {"HPCDA_MARCH": march, "OPENBLAS_CORETYPE": "Prescott"}
    run = subprocess.run(
        [sys.executable, "-c", BITS], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == EXPECTED
