"""The catalogue: fixed points, bifurcations and conservation laws of every model; names and loading."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.errors import InputError
from hpcda.models import catalogue as finding
from hpcda.models.catalogue import catalogue, load_model
from hpcda.models.model import Model, State
from tests.chance import generator

SHIPPED = {
    "colpitts",
    "fitzhugh_nagumo",
    "henon",
    "kuramoto_sivashinsky",
    "lorenz63",
    "lorenz96",
    "morris_lecar",
    "nakl",
    "rossler",
}


def test_a_file_with_a_function_build_is_a_model_however_it_is_annotated(tmp_path, monkeypatch):
    shown = (
        "    return Model(name='one', states=(State('x'),), parameters=(), equations=lambda x, p: [-x[0]])\n"
    )
    heads = {
        "bare": "def build():",
        "typed": "def build() -> Model:",
        "more": "def build(n: int = 3, *, m=()):",
    }
    for name, head in heads.items():
        (tmp_path / f"{name}.py").write_text(f"from hpcda import Model, State\n\n\n{head}\n{shown}")
    (tmp_path / "none.py").write_text("def rebuild():\n    def build():\n        pass\n")
    monkeypatch.setattr(finding, "__file__", str(tmp_path / "catalogue.py"))
    finding._names.cache_clear()
    try:
        assert finding._names() == ("bare", "more", "typed")
    finally:
        finding._names.cache_clear()


def rates(model: Model, x, parameters=None, **stimuli):
    p = model.defaults | (parameters or {})
    return np.array(model(np.asarray(x, dtype=float), p, stimuli), dtype=float)


def jacobian(model: Model, x, parameters=None, **stimuli):
    """Central differences of order 4, good to about 1e-10."""
    x = np.asarray(x, dtype=float)
    columns = []
    for a in range(len(x)):
        step = 1e-3 * max(1.0, abs(x[a])) * (np.arange(len(x)) == a)
        inner = rates(model, x + step, parameters, **stimuli) - rates(model, x - step, parameters, **stimuli)
        outer = rates(model, x + 2 * step, parameters, **stimuli) - rates(
            model, x - 2 * step, parameters, **stimuli
        )
        columns.append((8 * inner - outer) / (12 * step[a]))
    return np.array(columns).T


def rest(model: Model, x, **stimuli):
    """A fixed point near x, by Newton's method."""
    x = np.asarray(x, dtype=float)
    for _ in range(50):
        x = x - np.linalg.solve(jacobian(model, x, **stimuli), rates(model, x, **stimuli))
    return x


def test_the_catalogue_is_found_from_the_folder():
    assert set(catalogue()) >= SHIPPED and list(catalogue()) == sorted(catalogue())


@pytest.mark.parametrize("name", catalogue())
def test_every_model_is_complete(name):
    model = load_model(name)
    assert model.name == name == catalogue()[name]().name
    assert model.title and model.citation and model.time_unit
    assert any(character.isdigit() for character in model.citation), "a citation has a year"
    for state in model.states:
        assert state.unit and state.range[0] < state.range[1]
        assert np.isfinite(state.initial)
        assert state.range[0] <= state.initial <= state.range[1]
    for parameter in model.parameters:
        low, high = parameter.start
        assert low < parameter.default < high and parameter.unit


@pytest.mark.parametrize("name", catalogue())
def test_equations_take_many_times_at_once(name):
    model = load_model(name)
    rng = generator(1)
    x = rng.uniform(*np.array([state.range for state in model.states]).T, (5, model.dimension))
    u = {key: rng.uniform(0.0, 10.0, 5) for key in model.stimulus_names}
    together = np.array(model(x.T, model.defaults, u))
    alone = [model(x[n], model.defaults, {key: u[key][n] for key in u}) for n in range(5)]
    assert together.shape == (model.dimension, 5)
    np.testing.assert_allclose(together.T, np.array(alone, dtype=float), rtol=1e-14, atol=1e-12)


def test_lorenz63_fixed_points_and_loss_of_stability():
    model = load_model("lorenz63")
    assert model.state_names == ("x", "y", "z") and model.parameter_names == ("sigma", "rho", "beta")
    sigma, rho, beta = 10.0, 28.0, 8.0 / 3.0
    side = np.sqrt(beta * (rho - 1))
    for point in ([0, 0, 0], [side, side, rho - 1], [-side, -side, rho - 1]):
        np.testing.assert_allclose(rates(model, point), 0.0, atol=1e-12)
    critical = sigma * (sigma + beta + 3) / (sigma - beta - 1)
    assert critical == pytest.approx(24.74, abs=0.01)
    for shift, stable in ((-0.1, True), (0.1, False)):
        side = np.sqrt(beta * (critical + shift - 1))
        rho = {"rho": critical + shift}
        growth = np.linalg.eigvals(jacobian(model, [side, side, critical + shift - 1], rho)).real.max()
        assert bool(growth < 0) is stable
    trace = np.trace(jacobian(model, [1.0, 2.0, 3.0]))
    assert trace == pytest.approx(-(sigma + 1 + beta), rel=1e-9)


@given(st.integers(4, 24), st.integers(0, 10**6))
def test_lorenz96_conserves_energy_but_for_damping_and_forcing(dimension, seed):
    model = load_model("lorenz96", {"dimension": dimension})
    x = generator(seed).uniform(-10, 15, dimension)
    # Σ x dx/dt = -Σ x² + F Σ x: the quadratic terms do no work.
    assert x @ rates(model, x) == pytest.approx(-x @ x + 8.17 * x.sum(), rel=1e-11, abs=1e-9)
    np.testing.assert_allclose(rates(model, np.roll(x, 1)), np.roll(rates(model, x), 1), rtol=1e-13)
    np.testing.assert_allclose(rates(model, np.full(dimension, 8.17)), 0.0, atol=1e-12)


def test_lorenz96_one_site_written_out():
    x = generator(3).normal(size=20)
    got = rates(load_model("lorenz96"), x, {"F": 2.0})
    assert got[0] == pytest.approx((x[1] - x[18]) * x[19] - x[0] + 2.0)
    assert got[7] == pytest.approx((x[8] - x[5]) * x[6] - x[7] + 2.0)
    assert got[19] == pytest.approx((x[0] - x[17]) * x[18] - x[19] + 2.0)


def test_lorenz96_forcing_of_each_site():
    model = load_model("lorenz96", {"dimension": 6, "site_forcing": True})
    assert model.parameter_names == ("F0", "F1", "F2", "F3", "F4", "F5")
    assert model.state_names == ("x0", "x1", "x2", "x3", "x4", "x5")
    x = np.arange(6.0)
    common = rates(load_model("lorenz96", {"dimension": 6}), x, {"F": 0.0})
    np.testing.assert_allclose(rates(model, x, {f"F{a}": a for a in range(6)}), common + np.arange(6))


def test_rossler_fixed_points():
    model = load_model("rossler")
    a, b, c = 0.2, 0.2, 5.7
    for sign in (-1, 1):
        z = (c + sign * np.sqrt(c * c - 4 * a * b)) / (2 * a)
        np.testing.assert_allclose(rates(model, [a * z, -z, z]), 0.0, atol=1e-11)


def test_henon_fixed_point_area_and_orbit():
    model = load_model("henon")
    assert model.kind == "map"
    a, b = 1.4, 0.3
    x = (b - 1 + np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    assert x == pytest.approx(0.631354477)  # Hénon 1976, section 4
    np.testing.assert_allclose(rates(model, [x, b * x]), [x, b * x], rtol=1e-14)
    assert np.linalg.det(jacobian(model, [0.3, 0.1])) == pytest.approx(-b, rel=1e-9)


def test_colpitts_origin_is_an_unstable_focus():
    model = load_model("colpitts")
    assert model.state_names == ("x1", "x2", "x3")
    assert model.defaults == {"alpha": 5.0, "gamma": 0.0797, "q": 0.6898, "eta": 6.2723}
    np.testing.assert_allclose(rates(model, np.zeros(3)), 0.0, atol=0)
    # λ³ + q λ² + γ (α + η) λ + γ α η = 0 at the origin
    p = model.defaults
    cubic = [1, p["q"], p["gamma"] * (p["alpha"] + p["eta"]), p["gamma"] * p["alpha"] * p["eta"]]
    found = np.linalg.eigvals(jacobian(model, np.zeros(3)))
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.roots(cubic)), rtol=1e-6)
    assert found.real.max() > 0 and np.abs(found.imag).max() > 0


def test_morris_lecar_loses_rest_at_the_published_current():
    model = load_model("morris_lecar")
    assert model.stimulus_names == ("I",)

    def growth(current):
        point = rest(model, [-26.0, 0.13], I=current)
        return np.linalg.eigvals(jacobian(model, point, I=current)).real.max()

    # Hopf bifurcation of the parameter set of Rinzel & Ermentrout: I = 93.86 µA/cm² (upper branch: 212)
    assert growth(93.7) < 0 < growth(94.0)
    # rest without current
    np.testing.assert_allclose(rest(model, [-60.0, 0.0], I=0.0), [-60.855, 0.0149], atol=2e-3)


def test_fitzhugh_nagumo_loses_rest_where_its_trace_vanishes():
    """The trace is 1 - V² - b/tau, and rest is where w = (V + a)/b, I = V³/3 - V + w."""
    model = load_model("fitzhugh_nagumo")
    V = -np.sqrt(1.0 - 0.8 / 12.5)
    current = V**3 / 3.0 - V + (V + 0.7) / 0.8
    assert current == pytest.approx(0.331, abs=1e-3)
    for near, stable in ((current - 0.01, True), (current + 0.01, False)):
        point = rest(model, [V, (V + 0.7) / 0.8], I=near)
        assert (np.linalg.eigvals(jacobian(model, point, I=near)).real.max() < 0.0) == stable


def test_nakl_names_gates_and_rest():
    model = load_model("nakl")
    assert model.state_names == ("V", "m", "h", "n") and model.time_unit == "ms"
    assert model.parameter_names == tuple(
        "gNa ENa gK EK gL EL vm dvm tm0 tm1 vh dvh th0 th1 vn dvn tn0 tn1".split()
    )
    # At V = vm: m∞ = 1/2 and τm = tm0 + tm1; the current is divided by a capacitance of 1.
    x = np.array([-40.0, 0.25, 0.5, 0.5])
    got = rates(model, x, I=7.0)
    assert got[1] == pytest.approx((0.5 - 0.25) / 0.5)
    sodium, potassium, leak = 120 * 0.25**3 * 0.5 * -90, 20 * 0.5**4 * 37, 0.3 * 14.4
    assert got[0] == pytest.approx(7.0 - sodium - potassium - leak, rel=1e-13)
    point = rest(model, [-65.0, 0.035, 0.66, 0.34], I=0.0)
    assert np.linalg.eigvals(jacobian(model, point, I=0.0)).real.max() < 0
    np.testing.assert_allclose(point, [-64.636, 0.03610, 0.64979, 0.34470], atol=1e-4, rtol=1e-4)


@given(st.integers(5, 40), st.integers(0, 10**6))
def test_kuramoto_sivashinsky_keeps_the_mean(dimension, seed):
    model = load_model("kuramoto_sivashinsky", {"dimension": dimension})
    u = generator(seed).normal(size=dimension)
    change = rates(model, u)
    assert abs(change.sum()) <= 1e-12 * np.abs(change).sum()
    # The quadratic term alone does no work: u · (F(u) - F(-u))/2 is it.
    quadratic = (change - rates(model, -u)) / 2  # odd parts are linear
    linear = change - (change + rates(model, -u)) / 2
    advection = change - linear
    assert abs(u @ advection) <= 1e-12 * np.abs(u * advection).sum() + 1e-15
    np.testing.assert_allclose(quadratic, linear, atol=1e-9 * np.abs(change).max())


def test_kuramoto_sivashinsky_growth_of_waves():
    model = load_model("kuramoto_sivashinsky", {"dimension": 400, "length": 22.0})
    x = 22.0 * np.arange(400) / 400
    for mode in (1, 2, 5):
        k = 2 * np.pi * mode / 22.0
        wave = 1e-7 * np.cos(k * x)
        np.testing.assert_allclose(
            rates(model, wave, {"nu": 2.0}), (k**2 - 2 * k**4) * wave, rtol=2e-2, atol=1e-12
        )


@pytest.mark.parametrize(
    ("name", "options", "place", "words"),
    [
        ("Lorenz96", {}, "model.name", "did you mean 'lorenz96'"),
        ("nothing_like_it", {}, "model.name", "use one of: colpitts"),
        ("lorenz96", {"dimesion": 5}, "model.options.dimesion", "did you mean 'dimension'"),
        ("lorenz96", {"dimension": 5.0}, "model.options.dimension", "a whole number"),
        ("lorenz96", {"dimension": True}, "model.options.dimension", "a whole number"),
        ("lorenz96", {"dimension": 3}, "model.options.dimension", "too few"),
        ("lorenz96", {"site_forcing": 1}, "model.options.site_forcing", "true or false"),
        ("lorenz63", {"dimension": 3}, "model.options.dimension", "no such option"),
        ("kuramoto_sivashinsky", {"length": -1.0}, "model.options.length", "positive"),
        ("neuron.py", {}, "model.name", "'neuron.py:build'"),
        ("neuron.py:", {}, "model.name", "'neuron.py:build'"),
        ("missing.py:build", {}, "model.name", "there is no file"),
    ],
)
def test_mistakes_name_the_key_and_the_remedy(name, options, place, words, tmp_path):
    with pytest.raises(InputError) as caught:
        load_model(name, options, tmp_path)
    (mistake,) = caught.value.mistakes
    assert mistake.place == place
    assert words in str(mistake)


def test_every_wrong_option_is_told():
    with pytest.raises(InputError) as caught:
        load_model("lorenz96", {"dimension": "many", "forcing": 8})
    assert [mistake.place for mistake in caught.value.mistakes] == [
        "model.options.dimension",
        "model.options.forcing",
    ]


OWN = """
from hpcda.models.model import Model, Parameter, State


def build(rate: float, offset: float = 0.0):
    return Model("own", (State("x"),), (Parameter("k", rate),), lambda x, p: [p.k * x[0] + offset])


def wrong():
    return 3


def raises():
    value = {}
    return value["no such key"]
"""


def test_a_model_of_a_file_beside_the_job(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    model = load_model("own.py:build", {"rate": 2}, tmp_path)
    assert rates(model, [3.0]).tolist() == [6.0]
    other = tmp_path / "other"
    other.mkdir()
    (other / "own.py").write_text(OWN.replace("p.k *", "-p.k *"))
    assert rates(load_model("own.py:build", {"rate": 2.0}, other), [3.0]).tolist() == [-6.0]
    assert rates(load_model(f"{other / 'own.py'}:build", {"rate": 2.0}), [3.0]).tolist() == [-6.0]


@pytest.mark.parametrize(
    ("text", "function", "words"),
    [
        (OWN, "biuld", "did you mean 'build'"),
        (OWN, "build", "needs it"),
        (OWN, "wrong", "returns a int"),
        (OWN, "raises", "line 15, raises KeyError"),
        ("import hpcda\n\n1 +* 2\n", "build", "line 3, raises SyntaxError"),
        ("import hpcda_is_not_here\n", "build", "line 1, raises ModuleNotFoundError"),
        ("raise ValueError('a reason')\n", "build", "a reason"),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, function, words):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(InputError, match=r"own\.py") as caught:
        load_model(f"own.py:{function}", {}, tmp_path)
    assert words in str(caught.value)


def test_a_missing_file_suggests_its_neighbor(tmp_path):
    (tmp_path / "neuron.py").write_text(OWN)
    with pytest.raises(InputError, match=r"did you mean 'neuron\.py'"):
        load_model("neurone.py:build", {}, tmp_path)


def test_a_kind_of_model_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="its kind is 'Map'"):
        Model("m", (State("x"),), (), lambda x, p: [x.x], kind="Map")
