"""Twin data: accuracy against exact solutions, stimuli, noise, and the mistakes it tells."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcda.errors import InputError
from hpcda.models.catalogue import load_model
from hpcda.models.model import Model, Parameter, State, Stimulus
from hpcda.models.signals import Signal, chaotic, constant, interpolated, make_signal, sine, steps
from hpcda.models.twin import initial_state, noise, parameter_values, simulate, spin_up
from hpcda.patience import Patience

OSCILLATOR = Model(
    "oscillator", (State("x"), State("v")), (Parameter("k", 4.0),), lambda x, p: [x[1], -p.k * x[0]]
)
LEAK = Model(
    "leak", (State("x"),), (Parameter("tau", 2.0),), lambda x, p, u: [(u.I - x[0]) / p.tau], (Stimulus("I"),)
)


def test_a_flow_against_its_exact_solution():
    t = np.linspace(0.0, 10.0, 101)
    states = simulate(OSCILLATOR, {"k": 9.0}, [1.0, 0.0], t)
    assert states.shape == (101, 2)
    np.testing.assert_allclose(states, np.array([np.cos(3 * t), -3 * np.sin(3 * t)]).T, atol=2e-9)


def test_a_map_against_the_recurrence():
    states = simulate(load_model("henon"), None, [0.1, 0.2], np.arange(20.0))
    x, y = 0.1, 0.2
    for n in range(20):
        assert states[n] == pytest.approx([x, y], rel=1e-13)
        x, y = 1 - 1.4 * x * x + y, 0.3 * x


def test_a_map_sees_stimulus_and_time():
    adder = Model(
        "adder", (State("x"),), (), lambda x, p, u, t: [x[0] + u.I + 100.0 * t], (Stimulus("I"),), kind="map"
    )
    got = simulate(adder, None, [0.0], [0.0, 1.0, 2.0], np.array([1.0, 2.0, 50.0]))
    assert got[:, 0].tolist() == [0.0, 1.0, 103.0]


def test_a_constant_a_sine_and_a_function_as_stimulus():
    t = np.linspace(0.0, 5.0, 26)
    np.testing.assert_allclose(
        simulate(LEAK, None, [0.0], t, constant(3.0))[:, 0], 3 * (1 - np.exp(-t / 2)), atol=1e-10
    )
    # tau x' = sin(w t) - x from x(0) = 0
    w, tau = 2 * np.pi / 4.0, 2.0
    exact = (np.sin(w * t) - w * tau * np.cos(w * t) + w * tau * np.exp(-t / tau)) / (1 + (w * tau) ** 2)
    np.testing.assert_allclose(simulate(LEAK, None, [0.0], t, {"I": sine(1.0, 4.0)})[:, 0], exact, atol=1e-10)
    np.testing.assert_allclose(
        simulate(LEAK, None, [0.0], t, lambda s: np.sin(w * s))[:, 0], exact, atol=1e-10
    )


def test_steps_are_not_smeared_over():
    switch = Signal(lambda time: 1.0 if time >= 1.0 else 0.0, (1.0,))
    t = np.array([0.0, 0.5, 1.0, 1.5, 3.0])
    exact = np.where(t < 1, 0.0, 1 - np.exp(-(t - 1) / 2))
    np.testing.assert_allclose(simulate(LEAK, None, [0.0], t, switch)[:, 0], exact, atol=1e-11)


def test_an_array_is_interpolated_linearly():
    t = np.linspace(0.0, 4.0, 9)
    # tau x' = t - x from 0: x = t - tau + tau exp(-t/tau)
    exact = t - 2.0 + 2.0 * np.exp(-t / 2.0)
    np.testing.assert_allclose(simulate(LEAK, None, [0.0], t, {"I": t})[:, 0], exact, atol=1e-10)


def test_signals():
    wave = sine(2.0, 10.0, offset=1.0, phase=np.pi / 2)
    assert wave(0.0) == pytest.approx(3.0) and wave(5.0) == pytest.approx(-1.0)
    stairs = steps(5.0, [0.0, 1.0, 2.0], scale=10.0, offset=-5.0, span=(-12.0, 100.0))
    assert [stairs(t) for t in (-0.1, 0.0, 4.999, 5.0, 12.0, 15.0)] == [15.0, -5.0, -5.0, 5.0, 15.0, -5.0]
    assert 0.0 in stairs.kinks and 5.0 in stairs.kinks and -10.0 in stairs.kinks and 100.0 in stairs.kinks
    drawn = steps(5.0, scale=2.0, seed=3, count=8, span=(-12.0, 100.0)).at(np.arange(0.0, 80.0, 5.0))
    assert np.abs(drawn).max() <= 2.0 and len(set(drawn)) == 8
    np.testing.assert_array_equal(drawn[:8], drawn[8:])
    t = np.linspace(-50.0, 1950.0, 8001)
    current = chaotic(10.0, 5.0, seed=1, span=(-50.0, 1950.0)).at(t)
    assert current.mean() == pytest.approx(5.0, abs=2.5) and current.std() == pytest.approx(10.0, rel=0.1)
    assert np.abs(np.diff(current)).max() < 4.0, "it is smooth on the grid"
    assert np.abs(current - chaotic(10.0, 5.0, seed=2, span=(-50.0, 1950.0)).at(t)).max() > 5.0
    assert make_signal("constant", {"value": 3.0}, (0.0, 1.0))(0.5) == 3.0
    same = make_signal("chaotic", {"scale": 10.0, "offset": 5.0, "seed": 1}, (-50.0, 1950.0))
    assert same(100.0) == chaotic(10.0, 5.0, seed=1, span=(-50.0, 1950.0))(100.0)
    line = interpolated(np.array([0.0, 1.0]), np.array([2.0, 4.0]))
    assert [line(-1.0), line(0.5), line(9.0)] == [2.0, 3.0, 4.0]


def test_spin_up_ends_where_the_window_begins():
    model = load_model("lorenz63")
    start = spin_up(model, None, [1.0, 1.0, 20.0], 3.0)
    np.testing.assert_allclose(start, simulate(model, None, [1.0, 1.0, 20.0], [0.0, 3.0])[-1], rtol=1e-12)
    assert spin_up(model, None, [1.0, 1.0, 20.0], 0.0).tolist() == [1.0, 1.0, 20.0]
    henon = load_model("henon")
    np.testing.assert_allclose(
        spin_up(henon, None, [0.1, 0.1], 5.0), simulate(henon, None, [0.1, 0.1], np.arange(6.0))[-1]
    )
    rising = Signal(lambda time: time)
    late = spin_up(LEAK, None, [0.0], 4.0, rising, end=0.0)
    assert late[0] < 0.0, "the stimulus of the spin-up is that of the times before the window"


def test_the_climate_of_lorenz96():
    """40 sites at F = 8: mean 2.34, standard deviation 3.64 (Lorenz & Emanuel 1998 give 2.3 and 3.6)."""
    model = load_model("lorenz96", {"dimension": 40})
    start = spin_up(model, {"F": 8.0}, initial_state(model), 10.0)
    states = simulate(model, {"F": 8.0}, start, np.linspace(0.0, 40.0, 401))
    assert states.mean() == pytest.approx(2.34, abs=0.12)
    assert states.std() == pytest.approx(3.64, abs=0.12)


def test_the_neuron_spikes_under_a_chaotic_current():
    model = load_model("nakl")
    current = chaotic(15.0, 10.0, seed=1, span=(-20.0, 60.0))
    start = spin_up(model, None, initial_state(model), 20.0, current)
    states = simulate(model, None, start, np.linspace(0.0, 60.0, 1201), current)
    voltage, gates = states[:, 0], states[:, 1:]
    assert ((voltage[1:] > 0) & (voltage[:-1] <= 0)).sum() >= 2
    assert voltage.max() < 50.0 and voltage.min() > -100.0
    assert gates.min() >= 0.0 and gates.max() <= 1.0


def test_noise_depends_on_seed_and_window_alone():
    first = noise((1000, 3), [1.0, 2.0, 0.5], seed=7)
    np.testing.assert_array_equal(first, noise((1000, 3), [1.0, 2.0, 0.5], seed=7))
    np.testing.assert_allclose(first.std(axis=0), [1.0, 2.0, 0.5], rtol=0.1)
    assert np.abs(first - noise((1000, 3), [1.0, 2.0, 0.5], seed=7, window=1)).max() > 0.1
    other = np.random.default_rng([7, 0])  # noqa: TID251
    assert np.abs(first[:, 0] - other.standard_normal((1000, 3))[:, 0]).max() > 0.1


def test_defaults_are_filled_in():
    model = load_model("lorenz63")
    assert parameter_values(model, {"rho": 30}) == {"sigma": 10.0, "rho": 30.0, "beta": 8.0 / 3.0}
    assert initial_state(model, {"y": 5}).tolist() == [1.0, 5.0, 20.0]


@pytest.mark.parametrize(
    ("call", "place", "words"),
    [
        (lambda: parameter_values(OSCILLATOR, {"K": 1.0}), "twin.parameters.K", "k"),
        (lambda: parameter_values(OSCILLATOR, {"k": np.nan}), "twin.parameters.k", "finite"),
        (lambda: initial_state(OSCILLATOR, {"w": 1.0}), "twin.initial.w", "x, v"),
        (lambda: simulate(OSCILLATOR, None, [1.0], [0.0, 1.0]), "twin.initial", "2 states"),
        (lambda: simulate(OSCILLATOR, None, [1.0, 0.0], [0.0, 0.0]), "twin.samples", "increasing"),
        (lambda: simulate(LEAK, None, [1.0], [0.0, 1.0]), "twin.stimulus.I", "missing"),
        (
            lambda: simulate(LEAK, None, [1.0], [0.0, 1.0], {"J": constant(1), "I": constant(1)}),
            "twin.stimulus.J",
            "I",
        ),
        (lambda: simulate(LEAK, None, [1.0], [0.0, 1.0], np.zeros(3)), "twin.stimulus.I", "2 in all"),
        (
            lambda: simulate(OSCILLATOR, None, [1.0, 0.0], [0.0, 1.0], constant(1.0)),
            "twin.stimulus",
            "no name",
        ),
        (lambda: spin_up(OSCILLATOR, None, [1.0, 0.0], -1.0), "twin.spin_up", "positive"),
        (
            lambda: simulate(load_model("henon"), {"a": 3.0}, [3.0, 0.0], np.arange(50.0)),
            "twin",
            "without bound",
        ),
        (
            lambda: simulate(
                Model("burst", (State("x"),), (), lambda x, p: [x[0] ** 2]), None, [1.0], [0.0, 0.5, 2.0]
            ),
            "twin",
            "without bound",
        ),
    ],
)
def test_mistakes(call, place, words):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.mistakes[0].place == place
    assert words in str(caught.value)


def test_a_twin_that_moves_too_fast_is_refused() -> None:
    with pytest.raises(InputError, match="moves too fast"):
        simulate(OSCILLATOR, {"k": 1e16}, [1.0, 0.0], [0.0, 0.5, 1.0])


@pytest.mark.parametrize("spun", [True, False])
def test_a_twin_that_chatters_is_refused_with_a_remedy(spun) -> None:
    model = Model("slide", (State("x"),), (), lambda x, p: [0.5 - np.sign(x[0])])
    with pytest.raises(InputError, match=r"np\.tanh\(x/width\)"):
        spin_up(model, None, [1.0], 9.0) if spun else simulate(model, None, [1.0], [0.0, 9.0])


def test_a_stiff_twin_takes_implicit_steps() -> None:
    """tau x' = I - x with tau = 1e-9: x follows I at a distance of tau times its slope."""
    t = np.linspace(0.0, 3.0, 31)
    rise = Signal(lambda time: min(time, 1.5), (1.5,))
    states = simulate(LEAK, {"tau": 1e-9}, [0.0], t, rise)
    late = np.where(t < 1.5, 1e-9, 0.0) * (t > 0)
    at_kink = np.isclose(t, 1.5)
    np.testing.assert_allclose(states[~at_kink, 0], (np.minimum(t, 1.5) - late)[~at_kink], rtol=1e-10)


def test_a_twin_that_takes_too_long_is_refused() -> None:
    clock = iter(range(0, 10_000, 7))
    patience = Patience("the twin", 20.0, clock=lambda: float(next(clock)))
    with pytest.raises(
        InputError, match=r"(?s)took 20 s and only reached near t = .*twin\.max_seconds"
    ) as caught:
        simulate(OSCILLATOR, {"k": 1e6}, [1.0, 0.0], np.linspace(0.0, 100.0, 3), patience=patience)
    assert caught.value.mistakes[0].place == "twin"


def test_the_sine_is_that_of_the_c_library() -> None:
    for phase in np.linspace(-7.0, 7.0, 61):
        wave = sine(1.0, 3.0, phase=phase)
        for time in np.linspace(-20.0, 20.0, 97):
            assert wave(time) == pytest.approx(math.sin(2 * math.pi * time / 3.0 + phase), abs=2e-14)
    assert sine(1.0, 4.0)(1.0) == 1.0 and sine(1.0, 4.0)(2.0) == pytest.approx(0.0, abs=1e-15)


def test_a_chaotic_signal_obeys_the_model_of_lorenz() -> None:
    """x''(t) of the signal, by differences, against the model on states rebuilt from x, x', x''."""
    span, timescale = (-3.0, 40.0), 2.0
    signal = chaotic(7.9, timescale=timescale, seed=4, span=span)
    model = load_model("lorenz63")
    h = 1e-3
    x = signal.at(timescale * h * np.arange(-2, 2001) + 1.0)
    slope = (-x[4:] + 8 * x[3:-1] - 8 * x[1:-3] + x[:-4]) / (12 * h)
    y = x[2:-2] + slope / 10.0
    # z from y' = x (28 - z) - y, where x is not small; and z' = x y - 8/3 z over all.
    y_slope = (-y[4:] + 8 * y[3:-1] - 8 * y[1:-3] + y[:-4]) / (12 * h)
    z = 28.0 - (y_slope + y[2:-2]) / x[4:-4]
    start = np.array([x[4], y[2], z[0]])
    states = simulate(model, None, start, h * np.arange(1000))
    np.testing.assert_allclose(states[:, 0], x[4:1004], atol=1e-3)
    at_joints = signal.at(timescale * 0.01 * (np.arange(200) + 0.5) + span[0] + 1e-12 * np.arange(2)[:, None])
    np.testing.assert_allclose(at_joints[0], at_joints[1], atol=1e-9)
