"""Momenta and energy of results: labels, units, several windows, pictures, what the report says."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import hpcda
from hpcda.analysis.momenta import inverse_unit, momentum_record, momentum_sentences
from hpcda.models.model import Model, Parameter, State
from tests.chance import generator


def oscillator(unit="mV"):
    """A damped pendulum in units of its own."""
    return Model(
        "pendulum",
        (State("angle", unit, (-2.0, 2.0)), State("speed", "1", (-2.0, 2.0))),
        (Parameter("damping", 0.1, range=(0.0, 0.5)),),
        lambda x, p: [x[1], -np.sin(x[0]) - p.damping * x[1]],
        time_unit="ms",
    )


def data_of(times, phase=0.0, own=3):
    t = 0.05 * np.arange(times)
    y = 0.8 * np.exp(-0.05 * t) * np.cos(t + phase) + 0.05 * generator(own).normal(size=times)
    return hpcda.Data(t, {"angle": y}, 0.05)


@pytest.fixture(scope="module")
def two_windows():
    problem = hpcda.Problem(
        oscillator(),
        data=[data_of(41), data_of(25, 0.5, 4)],
        estimate={"damping": (0.0, 0.5)},
        steps_per_sample=1,
    )
    return hpcda.anneal(problem, starts=2, ladder=hpcda.Ladder(rf0=1.0, alpha=4.0, rungs=8))


@pytest.fixture(scope="module")
def one_window():
    problem = hpcda.Problem(oscillator(), data=data_of(41), steps_per_sample=1)
    return hpcda.anneal(problem, starts=2, ladder=hpcda.Ladder(rf0=1.0, alpha=4.0, rungs=8))


def test_momenta_are_labeled(one_window):
    found, known = one_window.momentum, one_window.windows[0]
    assert found.momentum.dims == ("time", "state")
    assert list(found.state.values) == ["angle", "speed"]
    assert list(found.unit.values) == ["1/mV", "1"]
    assert found.time.attrs["units"] == "ms"
    np.testing.assert_array_equal(found.time, known.t)
    assert found.attrs["rf"] == one_window.file.header.rf[-1]
    path = one_window.path().path.values
    wanted = (path[:, 0] - known.data[:, 0]) / known.noise_std[:, 0] ** 2
    np.testing.assert_allclose(found.kick[:, 0], wanted, rtol=1e-10, atol=1e-9)
    np.testing.assert_array_equal(found.kick[:, 1], 0.0)
    np.testing.assert_allclose(found.arriving - found.leaving + found.kick, found.residual, atol=1e-12)
    size = float(np.abs(found.momentum).max())
    assert np.abs(found.residual).max() < 1e-2 * size
    # The boundary conditions.
    np.testing.assert_allclose(found.leaving[0], found.kick[0], atol=1e-2 * size)
    np.testing.assert_allclose(found.arriving[-1], -found.kick[-1], atol=1e-2 * size)


def test_the_energy_is_labeled_and_kept_between_data(one_window):
    found, momenta = one_window.energy, one_window.momentum
    assert found.energy.dims == ("time",)
    assert found.energy.attrs["units"] == "1/ms"
    problem, path = one_window.problem, one_window.path().path.values
    rates = np.stack([path[:, 1], -np.sin(path[:, 0]) - 0.1 * path[:, 1]], axis=1)
    precision = found.attrs["rf"] * problem.model_error_weight * 0.05
    for side in ("arriving", "leaving"):
        p = momenta[side].values
        wanted = np.sum(p * rates + 0.5 * p**2 / precision, axis=1)
        np.testing.assert_allclose(found[side], wanted, rtol=1e-9, atol=1e-9)
    change = np.abs(found.arriving.values[1:] - found.leaving.values[:-1]).max()
    jump = np.abs(found.arriving.values[1:-1] - found.leaving.values[1:-1]).max()
    assert change < 0.02 * jump


def test_several_windows_are_one_array_filled_up(two_windows):
    found = two_windows.momentum
    assert found.momentum.dims == ("window", "time", "state")
    assert found.momentum.shape == (2, 41, 2)
    assert np.isnan(found.momentum[1, 25:]).all()
    assert np.isfinite(found.momentum[1, :25]).all()
    np.testing.assert_array_equal(found.t[1, :25], two_windows.windows[1].t)
    alone = two_windows.momentum_of(window=1)
    np.testing.assert_array_equal(alone.momentum, found.momentum[1, :25])
    np.testing.assert_array_equal(two_windows.energy_of(window=1).energy, two_windows.energy.energy[1, :25])
    assert list(found.parameter.values) == ["damping"]
    assert abs(float(found.parameter_residual[0])) < 1.0
    with pytest.raises(IndexError, match="window 2"):
        two_windows.momentum_of(window=2)


def test_any_kept_path_has_momenta(one_window):
    start = int(one_window.file.start[-1])
    found = one_window.momentum_of(start=start)
    assert found.attrs["rf"] == one_window.file.header.rf[-1]
    with pytest.raises(KeyError, match="no path of start"):
        one_window.momentum_of(start=start, rung=1)


def test_a_map_has_momenta_but_no_energy():
    y = {"x": 0.1 * generator(1).normal(size=21)}
    problem = hpcda.Problem("henon", np.arange(21.0), y, 0.1, steps_per_sample=1)
    result = hpcda.anneal(problem, starts=2, ladder=hpcda.Ladder(rf0=1.0, alpha=4.0, rungs=5))
    assert result.momentum.momentum.shape == (21, 2)
    with pytest.raises(ValueError, match="henon is a map"):
        result.energy  # noqa: B018
    with pytest.raises(ValueError, match="henon is a map"):
        result.plot.energy(ax=Figure().subplots())
    assert momentum_record(result)["energy"] is None


def test_pictures_take_and_give_axes(one_window):
    axes = Figure().subplots()
    assert one_window.plot.momentum(ax=axes) is axes
    assert "spread" in axes.get_ylabel()  # states of different units
    alone = one_window.plot.momentum("angle", ax=Figure().subplots())
    assert alone.get_ylabel() == "momentum of angle (1/mV)"
    line = alone.lines[0].get_xydata()
    found = one_window.momentum
    np.testing.assert_array_equal(line[1:-1:2, 1], found.arriving[1:, 0][: len(line[1:-1:2])])
    drawn = one_window.plot.energy(ax=Figure().subplots())
    assert drawn.get_ylabel() == "energy $H$ (1/ms)"
    with pytest.raises(ValueError, match="no state 'z'"):
        one_window.plot.momentum("z")


def test_sentences_say_what_was_found(one_window):
    record = momentum_record(one_window)
    assert set(record["momentum"]) == {"angle", "speed"}
    assert record["source"] == "model errors"
    told = " ".join(momentum_sentences(record))
    assert "hold to" in told and "energy" in told
    told = " ".join(momentum_sentences({**record, "imbalance": 0.5, "held": 2}))
    assert "do not hold: 0.5" in told and "2 unknowns at a bound" in told


@pytest.mark.parametrize(("unit", "wanted"), [("1", "1"), ("mV", "1/mV"), ("m/s", "1/(m/s)"), ("", "1")])
def test_units_of_momenta(unit, wanted):
    assert inverse_unit(unit) == wanted


def test_momenta_of_a_network_are_minus_the_losses_derivatives(tmp_path):
    job = {
        "network": {"hidden": [4, 3]},
        "twin": {"inputs": 2, "outputs": 2, "pairs": 40, "noise_std": 0.1, "seed": 3},
        "ensemble": {"starts": 2},
    }
    hpcda.run(job, output=tmp_path / "run", quiet=True)
    run = hpcda.open_run(tmp_path / "run")
    found, layers = run.momentum, run.weights()
    assert [found[f"p{n}"].shape for n in (1, 2, 3)] == [(40, 4), (40, 3), (40, 2)]
    assert list(found.layer3.values) == list(run.file.header.observed)

    def loss(units, n):
        """Of each pair, from the units of layer n on."""
        for k in range(n, 3):
            units = units @ layers[f"W{k}"].values.T + layers[f"b{k}"].values
            units = np.tanh(units) if k < 2 else units
        return 0.5 * np.sum((units - run.pairs.data) ** 2, axis=1) / 0.1**2

    states = run.action.states(run.theta())
    for n in (1, 2, 3):
        for unit in range(states[n].shape[1]):
            step = np.zeros(states[n].shape[1])
            step[unit] = 1e-5
            slope = (loss(states[n] + step, n) - loss(states[n] - step, n)) / 2e-5
            scale = np.abs(slope).max()
            np.testing.assert_allclose(found[f"p{n}"][:, unit], -slope, rtol=1e-5, atol=1e-5 * scale)
