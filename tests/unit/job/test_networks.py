"""Jobs that train networks: what they accept, the pairs that they read, and what they refuse."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hpcda import cli
from hpcda.annealing import Ladder, Task
from hpcda.annealing.exact import descend
from hpcda.annealing.layered import ELIMINATIONS, NAMES
from hpcda.build import build_network
from hpcda.build.pairs import divided, read_pairs
from hpcda.check_network import check_network, report_network
from hpcda.errors import InputError
from hpcda.job import Job, NetworkJob, load_job, refuse_changed
from hpcda.job.base import OutputTable
from hpcda.job.networks import (
    ContinuumTable,
    DescentTable,
    ExactLadder,
    NetworkTable,
    PairsTable,
    TeacherTable,
    TrainingTable,
)
from hpcda.search.networks import searched
from hpcda.search.training import NetworkContext
from hpcda.search.trainings import TRAININGS
from hpcda.template import network_template
from tests.chance import generator, number
from tests.unit.job.test_job import SMALL

TWIN = {
    "network": {"hidden": [4], "weight_std": 3.0},
    "twin": {"inputs": 3, "outputs": 2, "pairs": 60, "hold_back": 20, "noise_std": 0.05, "seed": number(1)},
    "ensemble": {"starts": 6, "seed": number(2)},
}
DATA = {"network": {"hidden": [3]}, "data": {"file": "pairs.csv", "outputs": ["y"], "noise_std": 0.1}}

UNKNOWN = {"network": {}, "data": {"source": "sklearn:digits"}}


def changed(base, **tables):
    found = copy.deepcopy(base)
    for table, values in tables.items():
        found.setdefault(table, {}).update(values)
    return found


def written(folder, **columns):
    """A csv file of columns."""
    names = list(columns)
    rows = zip(*(np.asarray(values, dtype=object) for values in columns.values()), strict=True)
    lines = [",".join(names), *(",".join(str(cell) for cell in row) for row in rows)]
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder


def refused(tables):
    with pytest.raises(InputError) as caught:
        job = load_job(tables)
        build_network(job)
    return caught.value.mistakes


def test_a_job_is_what_its_tables_say_and_comes_back_from_its_text(tmp_path):
    job = load_job(TWIN)
    assert isinstance(job, NetworkJob) and isinstance(load_job(SMALL), Job)
    (tmp_path / "job.toml").write_text(job.resolved_toml())
    assert load_job(tmp_path / "job.toml") == job
    assert list(load_job(tmp_path / "job.toml").resolved_toml().split("[output]"))[-1].startswith(
        "\ndirectory"
    )
    assert job.ensemble.ends == "verdict" and job.ladder.end == "infinity"


def test_a_run_may_grow_and_may_not_become_another():
    old = load_job(TWIN)
    refuse_changed(old, load_job(changed(TWIN, ensemble={"starts": 60, "core_seconds": 5.0})))
    for tables, key in (
        (changed(TWIN, network={"hidden": [5]}), "network.hidden"),
        (changed(TWIN, twin={"noise_std": 0.1}), "twin.noise_std"),
        (changed(TWIN, ensemble={"starts": 2}), "ensemble.starts"),
    ):
        with pytest.raises(InputError) as caught:
            refuse_changed(old, load_job(tables))
        assert [one.place for one in caught.value.mistakes] == [key]
    with pytest.raises(InputError, match="assimilates data now, and the run trains a network"):
        refuse_changed(old, load_job(SMALL))
    with pytest.raises(InputError, match="trains a network now, and the run assimilates data"):
        refuse_changed(load_job(SMALL), old)


@pytest.mark.parametrize(
    ("tables", "place", "words"),
    [
        (changed(TWIN, network={"hidden": [0]}), "network.hidden[0]", ["0 is below 1"]),
        (changed(TWIN, network={"activation": "tahn"}), "network.activation", ["'tahn'", "tanh"]),
        (changed(TWIN, network={"weight_std": 0.0}), "network.weight_std", ["0.0 is not above 0"]),
        (changed(TWIN, network={"start": [0.1, 0.1]}), "network.start", ["equal"]),
        (changed(TWIN, network={"layers": 3}), "network.layers", ["is not a key"]),
        (changed(TWIN, twin={"weight_std": 1.0, "weight_range": [0, 1]}), "twin.weight_range", ["conflicts"]),
        (changed(TWIN, twin={"noise_std": -1.0}), "twin.noise_std", ["-1.0"]),
        (changed(TWIN, ladder={"rf0": 1.0}), "ladder.rf0", ["no effect", "annealed"]),
        (
            changed(TWIN, ladder={"rungs": 500}, ensemble={"way": "annealed"}), "ladder.rungs", ["above Rf"],
        ),
        (changed(TWIN, ladder={"end": "top"}), "ladder.end", ["'top' is not accepted"]),
        (changed(TWIN, ensemble={"way": "uniform"}), "ensemble.way", ["'uniform'", "small"]),
        (changed(TWIN, ensemble={"way": "small", "budget": "verdict"}), "ensemble.budget", ["verdict"]),
        (changed(TWIN, ensemble={"budget": "core-seconds"}), "ensemble.core_seconds", ["is missing"]),
        (changed(TWIN, model={"name": "lorenz63"}), "model", ["is not a key of the job"]),
        (changed(TWIN, data=DATA["data"]), "twin", ["conflicts with [data]"]),
        ({"network": {}}, "data", ["is missing, as is twin"]),
        (changed(UNKNOWN, data={"file": "a.csv"}), "data.source", ["conflicts with file"]),
        (changed(UNKNOWN, data={"label": "y"}), "data.label", ["has no effect"]),
        (changed(DATA, data={"label": "y", "noise_std": None}), "data.label", ["conflicts with outputs"]),
        (changed(DATA, data={"noise_std": None}), "data.noise_std", []),
        (changed(DATA, data={"loss": "student-t"}), "data.loss", ["not available for the outputs"]),
        (changed(DATA, data={"loss": "poisson"}), "data.noise_std", ["has no effect"]),
        (changed(DATA, data={"rows": "times"}), "data.rows", ["'times'"]),
        (changed(DATA, data={"hold_back": -1}), "data.hold_back", ["-1"]),
    ],
)  # fmt: skip
def test_what_a_job_cannot_be(tables, place, words):
    with pytest.raises(InputError) as caught:
        load_job(tables)
    (mistake,) = caught.value.mistakes
    assert mistake.place == place and mistake.remedy
    assert all(word in str(mistake) for word in words), mistake


def test_several_mistakes_are_told_at_once():
    tables = changed(TWIN, network={"activation": "relux", "hidden": ["a"]}, twin={"pairs": 0})
    with pytest.raises(InputError) as caught:
        load_job(tables)
    assert {one.place for one in caught.value.mistakes} == {
        "network.activation", "network.hidden[0]", "twin.pairs",
    }  # fmt: skip


def test_categories_have_no_standard_deviation(tmp_path):
    tables = {"network": {}, "data": {"file": "pairs.csv", "label": "y", "noise_std": 0.1}}
    with pytest.raises(InputError) as caught:
        load_job(tables)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "data.noise_std" and "categories" in mistake.problem


def test_pairs_of_a_file(tmp_path):
    rng = generator(120)
    x, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    written(tmp_path, a=x[:, 0], y=y, b=x[:, 1])
    built = build_network(load_job(changed(DATA, data={"hold_back": 0.2}) | {"folder": str(tmp_path)}))
    network = built.network
    assert network.widths == (2, 3, 1) and network.pairs == 40 and len(built.held_back.inputs) == 10
    assert built.pairs.input_names == ("a", "b") and built.pairs.output_names == ("y",)
    where = np.concatenate([built.pairs.numbers, built.held_back.numbers])
    assert sorted(where) == list(range(50))
    np.testing.assert_allclose(built.pairs.inputs, x[built.pairs.numbers], rtol=1e-12)
    np.testing.assert_allclose(network.outputs[:, 0], y[built.pairs.numbers], rtol=1e-12)
    assert network.output == 0.1


def test_arrays_stand_for_their_columns(tmp_path):
    rng = generator(121)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    np.savez(tmp_path / "pairs.npz", x=x, y=y)
    data = {"file": "pairs.npz", "outputs": ["y"], "noise_std": 0.1}
    for more in ({}, {"inputs": ["x"]}):
        job = load_job({"network": {}, "data": data | more, "folder": str(tmp_path)})
        built = build_network(job)
        assert built.network.widths == (4, 2)
        np.testing.assert_array_equal(built.network.inputs, x)
        np.testing.assert_array_equal(built.network.outputs, y)
    assert built.pairs.input_names == ("x[:,0]", "x[:,1]", "x[:,2]", "x[:,3]")


def test_inputs_of_mean_0_and_deviation_1(tmp_path):
    rng = generator(122)
    written(tmp_path, a=5.0 + 3.0 * rng.normal(size=40), c=np.full(40, 7.0), y=rng.normal(size=40))
    tables = changed(DATA, data={"standardize": True}) | {"folder": str(tmp_path)}
    built = build_network(load_job(tables))
    np.testing.assert_allclose(built.network.inputs.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(built.network.inputs.std(axis=0), [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(
        built.network.inputs * built.scale + built.shift, built.pairs.inputs, rtol=1e-12
    )
    assert any("1 input is constant over the training pairs" in note for note in built.notes)


def test_missing_outputs_are_left_out_and_missing_inputs_refused(tmp_path):
    written(tmp_path, a=np.arange(20.0), y=[*range(18), -999, ""])
    tables = changed(DATA, network={"hidden": []}, data={"missing": [-999]}) | {"folder": str(tmp_path)}
    built = build_network(load_job(tables))
    assert np.isnan(built.network.outputs[18:]).all() and np.isfinite(built.network.outputs[:18]).all()
    written(tmp_path, a=[*range(19), ""], y=np.arange(20.0))
    (mistake,) = refused(changed(DATA) | {"folder": str(tmp_path)})
    assert "line 21" in mistake.place and "'a'" in mistake.place


@pytest.mark.parametrize(
    ("columns", "data", "place", "words"),
    [
        ({"a": [1, 2], "y": [1, "x"]}, {}, "pairs.csv, line 3, column 'y'", ["'x'"]),
        ({"a": [1, 2], "y": [1, 2]}, {"inputs": ["b"]}, "data.inputs", ["no column 'b'"]),
        ({"a": [1, 2], "y": [1, 2]}, {"inputs": ["y"]}, "data.inputs", ["'y' is listed twice"]),
        ({"y": [1, 2]}, {}, "data.inputs", ["lists no column"]),
        ({"a": range(9), "y": range(9)}, {"hold_back": 9}, "data.hold_back", ["9 of 9 pairs"]),
        ({"a": range(9), "y": range(9)}, {"hold_back": 1.5}, "data.hold_back", ["1.5"]),
        (
            {"a": range(9), "y": range(9)},
            {"hold_back": 4, "pairs": 6},
            "data.pairs",
            ["asks for 6, but only 5"],
        ),
        ({"a": range(9), "y": range(9)}, {}, "network", ["10 weights and biases", "9 output values"]),
    ],
)
def test_what_pairs_cannot_be(tmp_path, columns, data, place, words):
    written(tmp_path, **columns)
    mistake = refused(changed(DATA, data=data) | {"folder": str(tmp_path)})[0]
    assert mistake.place == place and mistake.remedy
    assert all(word in str(mistake) for word in words), mistake


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 2.5, 1], ["2.5 is not a category"]),
        ([0, 1, -1, 1], ["-1 is not a category"]),
        ([1, 1, 2, 2], ["category 0 has no training pair"]),
        ([0, 0, 0, 0], ["all pairs belong to one category"]),
        ([0, 1, 2, 9], ["9 is a category, but there are 4 pairs"]),
        ([0, 1, "", 1], ["holds no number"]),
    ],
)
def test_what_labels_cannot_be(tmp_path, labels, words):
    written(tmp_path, a=range(4), digit=labels)
    tables = {"network": {"weight_std": 1.0}, "data": {"file": "pairs.csv", "label": "digit"}}
    mistake = refused(tables | {"folder": str(tmp_path)})[0]
    assert all(word in str(mistake) for word in words), mistake


def test_categories_may_be_words_and_columns_may_lack_names(tmp_path):
    """The same pairs by words and names, and by numbers and positions."""
    rng = generator(125)
    x, labels = rng.normal(size=(30, 2)), np.arange(30) % 3
    words = np.array(["ant", "bee", "cow"])[labels]
    written(tmp_path, a=x[:, 0], b=x[:, 1], kind=words)
    tables = {"network": {"weight_std": 1.0}, "folder": str(tmp_path)}
    named = build_network(load_job(tables | {"data": {"file": "pairs.csv", "label": "kind"}}))
    rows = [f"{a},{b},{label}" for (a, b), label in zip(x, labels, strict=True)]
    (tmp_path / "plain.csv").write_text("\n".join(rows) + "\n")
    plain = build_network(load_job(tables | {"data": {"file": "plain.csv", "label": 2}}))
    assert named.pairs.output_names == ("ant", "bee", "cow") and plain.pairs.output_names == ("0", "1", "2")
    np.testing.assert_array_equal(named.network.outputs, plain.network.outputs)
    np.testing.assert_array_equal(named.network.inputs, plain.network.inputs)
    written(tmp_path, a=range(4), kind=["ant", "bee", "3", "ant"])
    (first, *_) = refused(tables | {"data": {"file": "pairs.csv", "label": "kind"}})
    assert "'ant' is not a finite number" in first.problem


def test_pairs_of_all_categories_are_kept_back_in_proportion(tmp_path):
    rng = generator(123)
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    written(tmp_path, a=rng.normal(size=100), digit=labels)
    table = PairsTable(file="pairs.csv", label="digit")
    pairs = read_pairs(table, lambda name: tmp_path / name)
    left, back = divided(pairs, 0.3, None, number(3))
    assert np.abs(np.bincount(back.labels) - [18, 9, 3]).max() <= 1
    assert sorted([*left.numbers, *back.numbers]) == list(range(100))
    np.testing.assert_array_equal(left.outputs.argmax(axis=1), labels[left.numbers])
    again, _ = divided(pairs, 0.3, None, number(3))
    np.testing.assert_array_equal(again.numbers, left.numbers)
    some, _ = divided(pairs, 0.3, 20, number(3))
    assert set(some.numbers) <= set(left.numbers) and len(some.numbers) == 20


def test_a_category_that_only_pairs_kept_back_have_is_refused(tmp_path):
    written(tmp_path, a=range(12), digit=[0] * 6 + [1] * 5 + [2])
    for seed in range(40):
        data = {"file": "pairs.csv", "label": "digit", "hold_back": 6, "seed": seed}
        tables = {"network": {"weight_std": 1.0}, "data": data, "folder": str(tmp_path)}
        try:
            built = build_network(load_job(tables))
        except InputError as error:
            assert "category 2 has no training pair" in str(error)
            break
        assert 2 in built.pairs.labels
    else:
        pytest.fail("the only pair of a category was never kept back")


def test_sets_of_scikit_learn():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits

    job = load_job({"network": {}, "data": {"source": "sklearn:digits", "hold_back": 540}})
    built = build_network(changed_prior(job))
    assert built.network.widths == (64, 10) and built.network.pairs == 1257
    known = load_digits()
    np.testing.assert_array_equal(built.pairs.inputs, known.data[built.pairs.numbers])
    np.testing.assert_array_equal(built.held_back.labels, known.target[built.held_back.numbers])
    for source, words in (("sklearn:olivetti_faces", "is not known"), ("sklearn:diabetes", "is missing")):
        mistakes = refused({"network": {"weight_std": 1.0}, "data": {"source": source}})
        assert words in mistakes[0].problem
    mistakes = refused({"network": {"weight_std": 1.0}, "data": {"source": "sklearn:iris", "noise_std": 1.0}})
    assert mistakes[0].place == "data.noise_std"


def changed_prior(job):
    return job.model_copy(update={"network": job.network.model_copy(update={"weight_std": 1.0})})


def test_a_dead_teacher_is_told_with_numbers():
    tables = changed(TWIN, network={"hidden": [4] * 12, "weight_std": None}, twin={
        "weight_range": [-0.1, 0.1], "bias_std": 0.0, "pairs": 300,
    })  # fmt: skip
    built = build_network(load_job(tables))
    (note,) = built.notes
    assert "The teacher's outputs are nearly constant" in note and "the noise is 0.05" in note
    assert build_network(load_job(TWIN)).notes == ()


def test_a_network_too_large_for_the_memory_is_refused():
    """By the elimination that was asked for; without a matrix there is room for it."""
    large = changed(TWIN, network={"hidden": [200, 200]})
    assert build_network(load_job(large)).network.weights == 41402
    for name in ("states", "data"):
        (mistake,) = refused(changed(large, twin={"pairs": 60_000}, solver={"elimination": name}))
        assert (
            mistake.place == "solver.elimination" and "GB" in mistake.problem and "krylov" in mistake.remedy
        )


def test_names_of_eliminations_are_those_there_are():
    assert NAMES == ("auto", *ELIMINATIONS, "petsc")
    for name in NAMES:
        assert load_job(changed(TWIN, solver={"elimination": name})).solver.elimination == name
        assert name == "auto" or name in network_template(Path("net/job.toml"))
    with pytest.raises(InputError, match=r"solver\.elimination: 'state' is not accepted"):
        load_job(changed(TWIN, solver={"elimination": "state"}))
    job = load_job(changed(TWIN, solver={"elimination": "krylov"}))
    assert "conjugate gradients" in report_network(job, check_network(job))


def test_ranks_that_share_the_pairs_of_a_start():
    """The check tells what each takes; a run goes on with another number of them."""
    job = load_job(changed(TWIN, twin={"pairs": 300}, ensemble={"ranks_per_start": 3}))
    text = report_network(job, check_network(job))
    assert "on each of 3 ranks, by the counts, " in text and "s a step on each of 3 ranks, " in text
    alone = load_job(changed(TWIN, twin={"pairs": 300}))
    assert "ranks" not in report_network(alone, check_network(alone))
    refuse_changed(alone, job)
    with pytest.raises(InputError, match=r"ensemble\.ranks_per_start: is 3, but was 1"):
        ranks = {"ensemble": {"ranks_per_start": 3}}
        refuse_changed(load_job(SMALL), load_job(changed(SMALL, **ranks)))
    with pytest.raises(InputError, match=r"ranks_per_start: 3 ranks share 60 pairs.*2 blocks\n.*at most 2"):
        check_network(load_job(changed(TWIN, ensemble={"ranks_per_start": 3})))
    assert refused(changed(TWIN, ensemble={"ranks_per_start": 0}))


def test_noise_of_each_output(tmp_path):
    rng = generator(124)
    written(tmp_path, a=rng.normal(size=20), y=rng.normal(size=20), z=rng.normal(size=20))
    data = {"outputs": ["y", "z"], "noise_std": {"z": 0.2, "y": 0.1}}
    tables = changed(DATA, network={"hidden": []}, data=data) | {"folder": str(tmp_path)}
    np.testing.assert_array_equal(build_network(load_job(tables)).network.output, [0.1, 0.2])
    for noise, words in (
        ({"y": 0.1}, "gives no noise for z"),
        ({"y": 0.1, "z": 0.1, "x": 1.0}, "is not an output"),
    ):
        tables["data"]["noise_std"] = noise
        mistakes = refused(tables)
        assert words in mistakes[0].problem and mistakes[0].place.startswith("data.noise_std")


def test_inputs_may_be_missing_where_they_have_a_prior(tmp_path):
    written(tmp_path, a=[-999, *range(18), ""], b=np.arange(20.0), y=np.arange(20.0))
    data = {"missing": [-999], "input_std": 0.1, "missing_input_std": 2.0, "standardize": True}
    tables = changed(DATA, network={"hidden": []}, data=data) | {"folder": str(tmp_path)}
    built = build_network(load_job(tables))
    np.testing.assert_array_equal(np.argwhere(~built.network.known), [[0, 0], [19, 0]])
    assert built.network.missing_std == 2.0 and built.shift[0] == pytest.approx(8.5)
    assert "2 values of them missing" in report_network(load_job(tables), check_network(load_job(tables)))


def test_a_teacher_may_be_measured_in_part():
    tables = changed(TWIN, twin={"measured": 1, "input_std": 0.1})
    built, whole = (
        build_network(load_job(one)) for one in (tables, changed(tables, twin={"measured": None}))
    )
    np.testing.assert_array_equal(built.network.inputs[:, 0], whole.network.inputs[:, 0])
    assert np.isnan(built.network.inputs[:, 1:]).all() and np.isnan(built.network.outputs[:, 1:]).all()
    (mistake,) = refused(changed(TWIN, twin={"measured": 1}))
    assert mistake.place == "twin.input_std" and "not measured" in mistake.problem


def test_trainings_begin_where_inputs_are_missing():
    tables = changed(
        TWIN, twin={"measured": 1, "input_std": 0.1, "pairs": 20}, ladder={"rf0": 1.0, "rungs": 2},
        ensemble={"way": "annealed"},
    )  # fmt: skip
    job = load_job(tables)
    context = NetworkContext(build_network(job).network, finite=job.ladder.finite)
    lowest = descend(context.action, context.first_weights(context.action, generator(96))).path
    fitting = {name: one for name, one in TRAININGS.items() if one.fits(context.network)}
    assert len(fitting) >= 6
    for name, training in fitting.items():
        minima = [lowest] * training.parents
        theta, _ = context.draw(Task(0, name, parents=(0,) * training.parents), minima, generator(97))
        assert np.isfinite(context.action.value(theta)), name


def test_biases_may_have_a_prior_of_their_own():
    tables = changed(TWIN, network={"weight_std": 2.0, "bias_std": float("inf")})
    job = load_job(tables)
    network = build_network(job).network
    assert np.isinf(network.prior_std).sum() == sum(network.widths[1:])
    assert load_job(tomllib.loads(job.resolved_toml())).network.bias_std == np.inf
    (mistake,) = refused(changed(TWIN, network={"weight_std": None, "bias_std": 1.0}))
    assert mistake.place == "network.bias_std"


def test_residual_layers_and_noisy_inputs():
    tables = changed(TWIN, network={"hidden": [3, 3], "residual": True}, twin={"input_std": 0.1})
    built = build_network(load_job(tables))
    assert built.network.skips == (True, True, False) and built.network.input_std == 0.1
    plain = build_network(load_job(changed(tables, network={"residual": False}, twin={"input_std": None})))
    away = built.pairs.inputs - plain.pairs.inputs
    assert 0.05 < away.std() < 0.2 and not np.allclose(built.pairs.outputs, plain.pairs.outputs, atol=0.3)


def test_the_check_tells_what_it_is_and_costs():
    job = load_job(TWIN)
    checked = check_network(job)
    assert checked.ok and checked.verification.taylor_hessian > 1.9
    text = report_network(job, checked)
    told = (
        "layers 3-4-2, activations tanh, identity", "26 weights and biases", "60 pairs", "20 pairs held out",
        "derivatives  right", "Rf = ∞", "until its lowest level is consistent and stable",
    )  # fmt: skip
    assert all(words in text for words in told)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (changed(TWIN, ensemble={"way": "widened"}), "starts from networks found by others"),
        (changed(TWIN, network={"hidden": []}, ensemble={"way": "wide"}), "needs hidden layers"),
        (
            changed(TWIN, network={"activation": "relu", "output_activation": "relu", "weight_std": None,
                                   "start": [-1e-300, -1e-301]}),
            "does not depend on the initial weights",
        ),
    ],
)  # fmt: skip
def test_the_check_refuses_starts_that_lead_nowhere(tables, words):
    with pytest.raises(InputError, match=words):
        check_network(load_job(tables))


def test_the_job_that_init_writes_names_every_key():
    text = network_template(Path("net/job.toml"))
    tables = {"network": NetworkTable, "data": PairsTable, "twin": TeacherTable, "ensemble": TrainingTable,
              "solver": DescentTable, "ladder": ExactLadder, "output": OutputTable,
              "network.continuum": ContinuumTable}  # fmt: skip
    told = {"rows", "header", "seed"}  # written with others, or seldom needed
    for table, kind in tables.items():
        assert f"[{table}]" in text
        for key in set(kind.model_fields) - told:
            assert re.search(rf"(^|[ #(]){key}( =|\b)", text, re.MULTILINE), (table, key)


def test_the_commands_know_networks(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "--network", "net"]) == 0
    job = load_job(tmp_path / "net" / "job.toml")
    assert isinstance(job, NetworkJob) and job.twin.noise_std == 0.01
    assert cli.main(["check", "net/job.toml"]) == 0
    assert "derivatives  right" in capsys.readouterr().out
    assert cli.main(["submit", "net/job.toml", "--dry-run"]) == 0
    assert "hpcda run" in capsys.readouterr().out
    assert cli.main(["twin", "net/job.toml"]) == 2
    assert "a teacher network" in capsys.readouterr().err
    assert cli.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "activations (network.activation)" in listed and "trainings (ensemble.way)" in listed


def test_an_annealed_start_is_where_finite_rungs_end(tmp_path):
    """Units come close to what the weights make of them; the descent at infinity goes on from there."""
    ladder = {"rf0": 1.0, "alpha": 10.0, "rungs": 7}
    job = load_job(
        changed(
            TWIN, ladder=ladder, ensemble={"way": "annealed"}, output={"directory": str(tmp_path / "run")}
        )
    )
    assert "7 rungs, Rf from 1 to 1e+06, then Rf = ∞" in report_network(job, check_network(job))
    network = build_network(job).network
    context = NetworkContext(network, finite=job.ladder.finite)
    short = NetworkContext(network, finite=Ladder(1.0, 10.0, 2))
    for seed in range(3):
        theta, again, early = (
            TRAININGS["annealed"].weights(one, [], generator(seed)) for one in (context, context, short)
        )
        assert theta.shape == (context.size,) and np.array_equal(theta, again)
        assert descend(context.action, theta).reason.converged
        values, slopes = zip(*(context.action.gradient(one) for one in (theta, early)), strict=True)
        assert values[0] < values[1] and abs(slopes[0]).max() < 0.2 * abs(slopes[1]).max()


def test_annealed_inputs_may_be_noisy():
    job = load_job(changed(TWIN, twin={"input_std": 0.05, "pairs": 20}, ensemble={"way": "annealed"}))
    context = NetworkContext(build_network(job).network, finite=job.ladder.finite)
    theta = TRAININGS["annealed"].weights(context, [], generator(1))
    inputs = theta[: context.action.inputs].reshape(context.network.inputs.shape)
    assert theta.shape == (context.size,) and 0.0 < np.std(inputs - context.network.inputs) < 0.1


def test_a_search_leaves_annealing_out():
    network = build_network(load_job(TWIN)).network
    assert "annealed" not in [one.name for one in searched(network)]


def test_the_check_counts_what_is_drawn_and_pruned_of_wide_networks(monkeypatch):
    from hpcda import check_network as checking

    raw = {
        "network": {"hidden": [6, 6], "activation": "tanh"},
        "twin": {"inputs": 3, "outputs": 2, "weight_std": 1.0, "pairs": 60, "noise_std": 0.1, "seed": 7},
        "ensemble": {"starts": 2, "way": "wide"},
    }
    parts = []
    context = NetworkContext(build_network(load_job(raw)).network)
    context.meanwhile = lambda: parts.append(context.begun)
    TRAININGS["wide"].weights(context, [], generator(1))
    assert parts[0] == 0.0 and context.begun == 1.0 and np.all(np.diff(parts) >= 0.0)
    assert len(set(parts)) >= 6
    whole = checking.check_network(load_job(raw))
    assert 0.0 < whole.begins < whole.start
    monkeypatch.setattr(checking, "SECONDS", 0.4 * whole.begins)
    cut = checking.check_network(load_job(raw))
    assert cut.iterations == checking.AFTER
    assert 0.1 * whole.begins < cut.begins < 10.0 * whole.begins


def test_the_check_counts_finite_rungs(monkeypatch):
    """What begins for longer than a trial may take is told by the part of it that is done by then."""
    from hpcda import check_network as checking

    raw = {
        "network": {"hidden": [4], "activation": "tanh"},
        "twin": {"inputs": 3, "outputs": 2, "weight_std": 1.0, "pairs": 40, "noise_std": 0.1, "seed": 7},
        "ladder": {"rf0": 1.0, "alpha": 10.0, "rungs": 6},
        "ensemble": {"starts": 2, "way": "annealed"},
    }
    whole = checking.check_network(load_job(raw))
    assert 0.0 < whole.begins < whole.start
    assert "after " in checking.report_network(load_job(raw), whole)
    monkeypatch.setattr(checking, "SECONDS", 0.5 * whole.begins)
    cut = checking.check_network(load_job(raw))
    assert cut.iterations == checking.AFTER
    assert 0.2 * whole.begins < cut.begins < 10.0 * whole.begins
    small = checking.check_network(load_job({**raw, "ladder": {}, "ensemble": {"starts": 2, "way": "small"}}))
    assert small.begins == 0.0
