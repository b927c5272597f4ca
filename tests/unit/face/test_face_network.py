"""Networks from arrays, trained in memory: the same bits and the same result as of a run in a directory."""

import copy
import pickle
import subprocess
import sys
import textwrap
from dataclasses import fields

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

import hpcda
from tests.chance import generator

PAIRS, NOISE = 80, 0.05
OPTIONS = {"hidden": [3], "weight_std": 3.0, "hold_back": 20}


def outputs(inputs):
    """A known map of two inputs to one output."""
    return np.tanh(inputs @ [1.0, -2.0])


@pytest.fixture(scope="module")
def known():
    """Inputs and outputs with noise."""
    rng = generator(3)
    inputs = rng.normal(size=(PAIRS, 2))
    return inputs, outputs(inputs) + NOISE * rng.normal(size=PAIRS)


@pytest.fixture(scope="module")
def problem(known):
    return hpcda.NetworkProblem(*known, noise_std=NOISE, **OPTIONS)


@pytest.fixture(scope="module")
def result(problem):
    return hpcda.anneal(problem, starts=9, seed=4)


@pytest.fixture(scope="module")
def categories():
    """Three clouds of points, named."""
    rng = generator(7)
    kind = rng.integers(3, size=120)
    centers = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return centers[kind] + 0.8 * rng.normal(size=(120, 2)), np.array(["ape", "bee", "cat"])[kind]


@pytest.fixture(scope="module")
def classified(categories):
    inputs, labels = categories
    problem = hpcda.NetworkProblem(inputs, labels=labels, hidden=[3], weight_std=2.0, hold_back=0.25)
    return hpcda.anneal(problem, starts=5, seed=2)


def test_a_network_in_memory_learns_the_map(result):
    assert isinstance(result, hpcda.NetworkResult) and "in memory" in repr(result)
    fresh = generator(11).normal(size=(50, 2))
    found = result.predict(fresh)
    assert found.dims == ("pair", "output") and list(found.output.values) == ["y0"]
    assert np.sqrt(np.mean((found.values[:, 0] - outputs(fresh)) ** 2)) < NOISE
    assert result.held_back.rmse < 2.0 * NOISE


def test_the_result_speaks_as_scipys_do(result):
    assert result.fun == result.candidate.action == float(result.minima["action"][0])
    assert result.x.shape == (13,) and np.array_equal(result.x, result.theta())
    assert result.success is result.verdict.stable and result.message.endswith(".")
    assert result.nit == int(result.dataset["iterations"].sum()) > 0
    weights = result.weights()
    flat = np.concatenate([weights[name].values.ravel() for name in ("W0", "b0", "W1", "b1")])
    np.testing.assert_array_equal(flat, result.x)
    assert list(weights.layer0.values) == ["x0", "x1"] and list(weights.layer2.values) == ["y0"]


def test_the_stored_run_has_the_same_bits(problem, known, result, tmp_path):
    np.savez(tmp_path / "pairs.npz", x0=known[0][:, 0], x1=known[0][:, 1], y0=known[1])
    tables = problem.tables
    tables["data"] = tables["data"] | {"file": str(tmp_path / "pairs.npz")}
    tables["ensemble"] = {"starts": 9, "seed": 4}
    stored = hpcda.run(tables, tmp_path / "run", quiet=True)
    assert isinstance(stored, hpcda.NetworkResult) and stored.file.run_dir == tmp_path / "run"
    for name, values in stored.file.tables().items():
        if name != "seconds":
            np.testing.assert_array_equal(result.file.table(name), values, err_msg=name)
    np.testing.assert_array_equal(stored.x, result.x)
    xr.testing.assert_identical(stored.minima, result.minima)
    xr.testing.assert_identical(stored.weights(), result.weights())
    assert stored.verdict is result.verdict and stored.evidence.record() == result.evidence.record()
    assert (stored.message, stored.nit, stored.held_back) == (result.message, result.nit, result.held_back)
    _same_facts(stored, result)


def _same_facts(stored, result):
    """Headers, networks and pairs of a run in files and in memory are the same."""
    told_apart = {"clock", "provenance", "job_toml", "fingerprint", "true_parameters"}
    for field in fields(stored.file.header):
        if field.name not in told_apart:
            one, other = (getattr(run.file.header, field.name) for run in (stored, result))
            np.testing.assert_equal(other, one, err_msg=field.name)
    for one, other in ((stored.stored, result.stored), (stored.pairs, result.pairs)):
        for field in fields(one):
            if field.name != "source":
                np.testing.assert_equal(
                    getattr(other, field.name), getattr(one, field.name), err_msg=field.name
                )


def test_categories_are_named_counted_and_drawn(classified, categories):
    assert list(classified.predict(categories[0][:5]).output.values) == ["ape", "bee", "cat"]
    np.testing.assert_allclose(classified.predict(categories[0]).sum("output"), 1.0, rtol=1e-12)
    counts = classified.confusion
    assert counts.dims == ("category", "taken_for") and int(counts.sum()) == 30
    assert classified.accuracy == np.trace(counts.values) / 30 > 0.8
    named = counts.sel(category="ape")
    held = classified.pairs.beyond_data
    assert int(named.sum()) == int((np.argmax(held, axis=1) == 0).sum())
    axes = classified.plot.confusion(ax=Figure().add_subplot())
    assert axes.get_ylabel() == "category" and axes.images
    with pytest.raises(ValueError, match="categories"):
        classified.plot.outputs(ax=Figure().add_subplot())


def test_outputs_that_are_no_categories_have_no_accuracy(result):
    for ask in (lambda: result.accuracy, lambda: result.confusion, result.plot.confusion):
        with pytest.raises(ValueError, match="no categories"):
            ask()


def test_pictures_take_and_give_axes(result):
    mpl.use("Agg")
    for draw in (result.plot.actions, result.plot.outputs):
        axes = Figure().add_subplot()
        assert draw(ax=axes) is axes and axes.has_data()


def test_a_notebook_shows_verdict_levels_and_score(result, classified):
    text = result._repr_html_()
    assert result.verdict.code in text and "<th>rmse</th>" in text and "held back" in text
    assert "<th>accuracy</th>" in classified._repr_html_() and "<script" not in text


def test_a_result_is_pickled_and_copied(result):
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert other.fun == result.fun and other.verdict is result.verdict
        np.testing.assert_array_equal(other.x, result.x)


def test_the_same_pairs_in_many_forms_are_one_problem(problem, known):
    x, y = known
    forms = [
        {"inputs": x.tolist(), "outputs": y[:, None]},
        {"inputs": pd.DataFrame(x, columns=["x0", "x1"]), "outputs": {"y0": y}},
        {"inputs": {"x0": x[:, 0], "x1": x[:, 1]}, "outputs": pd.DataFrame({"y0": y})},
        {"noise_std": {"y0": NOISE}}, {"noise_std": np.float64(NOISE)}, {"hidden": np.array([3])},
    ]  # fmt: skip
    for form in forms:
        other = problem.replace(**form).built
        np.testing.assert_array_equal(other.pairs.inputs, problem.built.pairs.inputs)
        np.testing.assert_array_equal(other.pairs.outputs, problem.built.pairs.outputs)
        assert other.network.widths == (2, 3, 1)


def test_every_option_reaches_the_network(known):
    x, y = known
    holes, gaps = x.copy(), y.copy()
    holes[3, 1] = gaps[5] = np.nan
    problem = hpcda.NetworkProblem(
        holes, gaps, NOISE, hidden=[4, 4], activation="relu", output_activation="tanh", residual=True,
        weight_std=2.0, bias_std=5.0, start=(-0.3, 0.3), input_std=0.1, missing_input_std=1.5,
        standardize=True, pairs=50, hold_back=10, seed=9,
    )  # fmt: skip
    built, network = problem.built, problem.built.network
    assert built.activations == ("relu", "relu", "tanh") and network.residual
    assert (network.weight_std, network.bias_std, network.start) == (2.0, 5.0, (-0.3, 0.3))
    assert (network.input_std, network.missing_std, network.pairs) == (0.1, 1.5, 50)
    assert len(built.held_back.inputs) == 10 and np.isnan(built.pairs.inputs).sum() <= 1
    np.testing.assert_allclose(np.nanmean(network.inputs, axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(network.inputs, axis=0), 1.0, rtol=1e-12)
    other = problem.replace(seed=10).built
    assert not np.array_equal(other.pairs.numbers, built.pairs.numbers)
    assert "10 held back" in repr(problem)


def test_constant_inputs_are_told_in_a_warning(known):
    x = np.column_stack([known[0], np.ones(PAIRS)])
    with pytest.warns(hpcda.DataWarning, match=r"1 input is constant over the training pairs \(x2\)"):
        hpcda.NetworkProblem(x, known[1], NOISE, hidden=[3], weight_std=3.0, standardize=True)


def test_counts_are_trained_by_another_loss(known):
    counts = generator(5).poisson(3.0, size=PAIRS)
    problem = hpcda.NetworkProblem(known[0], counts, loss="poisson", weight_std=1.0)
    assert problem.built.loss == ("poisson", {}) and problem.built.network.widths == (2, 1)


def test_ladders_are_of_annealed_networks_alone(problem):
    with pytest.raises(hpcda.InputError, match="no effect"):
        hpcda.anneal(problem, starts=2, ladder=hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=3))
    ladder, way = hpcda.Ladder(rf0=2.0, alpha=10.0, rungs=3), {"starts": 2, "way": "annealed"}
    finite = problem.job(ladder, None, way).ladder.finite
    assert (finite.rf0, finite.alpha, finite.rungs) == (2.0, 10.0, 3)
    found = [hpcda.anneal(problem, **way, ladder=one) for one in (ladder, hpcda.Ladder(0.5, 4.0, 2))]
    assert all(np.isfinite(one.fun) for one in found) and not np.array_equal(found[0].x, found[1].x)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"outputs": None}, "outputs: are missing, as are labels"),
        ({"labels": np.zeros(PAIRS)}, "outputs: stand beside labels"),
        ({"outputs": np.zeros(3)}, "inputs and outputs: differ in length"),
        ({"outputs": {"x0": np.zeros(PAIRS)}, "inputs": {"x0": np.zeros(PAIRS)}}, "'x0', which is an input"),
        ({"inputs": np.zeros((PAIRS, 2, 2))}, r"inputs: has shape \(80, 2, 2\)"),
        ({"inputs": np.array(["a"] * PAIRS)}, "inputs: .* is no array of numbers"),
        ({"inputs": np.full((PAIRS, 2), np.nan)}, "holds no number|contains no numbers"),
        ({"noise_std": None}, "^noise_std: is missing"),
        ({"noise_std": -1.0}, "^noise_std: -1.0 is not above 0"),
        ({"noise_std": {"z": 1.0}}, "noise_std"),
        ({"hidden": [0]}, r"^hidden\[0\]: 0 is below 1"),
        ({"activation": "tahn"}, "^activation: 'tahn'"),
        ({"weight_std": "wide"}, "weight_std: 'wide' is not a number"),
        ({"weight_std": None, "hidden": [40]}, "no prior"),
        ({"start": (0.1, 0.1)}, "start: .* equal"),
        ({"loss": "student-t"}, "^loss: "),
        ({"hold_back": 200}, "hold_back"),
        ({"pairs": 200}, "pairs"),
    ],
)
def test_mistakes_are_told(problem, change, told):
    with pytest.raises(hpcda.InputError, match=told):
        problem.replace(**change)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"starts": 0}, "^starts: 0 is below 1"),
        ({"way": "uniform"}, "^way: 'uniform'"),
        ({"way": "small", "until": "verdict"}, "^until: is 'verdict'"),
        ({"solver": hpcda.Solver(minimizer="nls")}, "Solver.minimizer: 'nls' has no effect on networks"),
        ({"solver": hpcda.Solver(elimination="chain")}, "elimination"),
        ({"ladder": 3}, "ladder: 3 is not a Ladder"),
    ],
)
def test_mistaken_options_are_told(problem, options, told):
    with pytest.raises(hpcda.InputError, match=told):
        hpcda.anneal(problem, **options)


def test_nothing_of_mpi_petsc_or_hdf5_is_loaded():
    code = """
        import sys
        import numpy as np
        import hpcda
        x = np.linspace(-2.0, 2.0, 30)
        problem = hpcda.NetworkProblem(x, np.tanh(x), noise_std=0.1, hidden=[2], weight_std=3.0)
        result = hpcda.anneal(problem, starts=3, way="small", progress=True)
        result.fun, result.message, result.minima, result.weights(), result.predict([[0.5]])
        print(sorted({"mpi4py", "petsc4py", "h5py"} & set(sys.modules)))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]" and "3 of 3 starts" in found.stderr


def test_the_starts_that_a_search_may_take_are_told_from_the_beginning(problem, capsys):
    """It adds them round by round; what is shown beside those that are done never changes."""
    result = hpcda.anneal(problem, starts=9, seed=4, progress=True)
    lines = capsys.readouterr().err.replace("\n", "").split("\r")[1:]
    assert len(lines) > 3 and all(" of at most 9 starts" in line for line in lines)
    done = [int(line.split()[0]) for line in lines]
    assert done == sorted(done) and done[-1] == len(result.file.start)
