"""Several runs side by side."""

from __future__ import annotations

import csv
import pickle

import numpy as np
import pytest

import hpcda
from hpcda import runner
from hpcda.analysis.comparison import RESULTS, compare, format_comparison
from hpcda.analysis.figures.comparison import draw_comparison
from hpcda.cli import main
from hpcda.errors import InputError

TWIN = {"inputs": 3, "outputs": 2, "weight_std": 2.0, "hold_back": 200, "noise_std": 0.02}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of a teacher with few and with many pairs, of students of one and of two hidden layers."""
    folder, found = tmp_path_factory.mktemp("runs"), []
    for hidden in ([3], [3, 3]):
        for pairs in (30, 300):
            tables = {
                "network": {"hidden": hidden, "activation": "sigmoid", "weight_std": 3.0},
                "twin": {**TWIN, "hidden": [3], "pairs": pairs},
                "ensemble": {"starts": 3, "way": "small"},
            }
            output = folder / f"{len(hidden)}-{pairs}"
            found.append(runner.run(hpcda.load_job(tables), output=output))
    return found


def test_what_differs_and_what_came_of_it(runs):
    table = compare(runs)
    assert table.attrs["varied"] == ["twin.pairs", "hidden_layers"]
    np.testing.assert_array_equal(table["twin.pairs"], [30, 300, 30, 300])
    np.testing.assert_array_equal(table["hidden_layers"], [1, 1, 2, 2])
    for place, directory in enumerate(runs):
        run = hpcda.open_run(directory)
        assert table["action"].values[place] == run.candidate.action
        assert table["held_back"].values[place] == run.held_back.rmse_over_noise
        assert table["verdict"].values[place] == run.verdict.code
        assert table["data_per_unknown"].values[place] == run.network.outputs.size / run.network.weights
    assert (table["held_back"] < table["constant"]).all()
    assert table["held_back"].values[1] < table["held_back"].values[0]
    assert table["held_back"].attrs["units"] == "σ of the noise"


def test_a_result_of_a_network_is_copied(runs):
    run = hpcda.open_run(runs[0])
    weights = run.weights()
    other = pickle.loads(pickle.dumps(run))
    assert other.weights().identical(weights) and other.held_back == run.held_back


@pytest.mark.filterwarnings("error:Mean of empty slice")
def test_what_one_of_the_runs_lacks_is_left_out_of_the_picture(runs, tmp_path):
    tables = {
        "model": {"name": "lorenz63"},
        "twin": {"dt": 0.02, "samples": 21, "observed": ["x"], "noise_std": 0.5},
        "ladder": {"rungs": 4, "alpha": 10.0},
        "ensemble": {"starts": 2, "way": "quiet"},
    }
    other = runner.run(hpcda.load_job(tables), output=tmp_path / "other", quiet=True)
    draw_comparison(compare([runs[0], other]), tmp_path / "side.png")
    assert (tmp_path / "side.png").exists()


def test_the_command_writes_table_and_picture(runs, tmp_path, capsys):
    names = [str(one) for one in runs]
    assert main(["compare", *names, "--output", str(tmp_path / "side")]) == 0
    told = capsys.readouterr().out
    assert "twin.pairs" in told and told.count("\n") == len(runs) + 2
    with (tmp_path / "side" / "comparison.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["action"]) for row in rows] == compare(runs)["action"].values.tolist()
    assert (tmp_path / "side" / "comparison.png").stat().st_size > 10_000


def test_runs_of_data_are_compared_too(tmp_path):
    tables = {
        "model": {"name": "lorenz63"},
        "twin": {"samples": 21, "dt": 0.02, "observed": ["x"], "noise_std": 0.5},
        "ladder": {"rf0": 1.0, "alpha": 10.0, "rungs": 3},
        "ensemble": {"starts": 2, "way": "uniform"},
    }
    made = []
    for seed in (1, 2):
        job = hpcda.load_job({**tables, "twin": {**tables["twin"], "seed": seed}})
        made.append(runner.run(job, output=tmp_path / str(seed)))
    table = compare(made)
    assert table.attrs["varied"] == ["twin.seed"]
    assert "held_back" not in table and np.isfinite(table["reduced"]).all()
    assert draw_comparison(table, tmp_path / "one.png").is_file()
    assert len(format_comparison(table).splitlines()) == 3


@pytest.mark.parametrize("way", ["uniform", "quiet"])
def test_jobs_that_differ_in_no_number_are_drawn_side_by_side(tmp_path, capsys, way):
    """They differ in a word, or in nothing at all."""
    tables = {
        "model": {"name": "lorenz63"},
        "twin": {"samples": 21, "dt": 0.02, "observed": ["x"], "noise_std": 0.5},
        "ladder": {"rf0": 1.0, "alpha": 10.0, "rungs": 3},
    }
    for number, one in enumerate(("uniform", way)):
        job = hpcda.load_job({**tables, "ensemble": {"starts": 2, "way": one}})
        runner.run(job, output=tmp_path / str(number), quiet=True)
    names = [str(tmp_path / str(number)) for number in range(2)]
    assert main(["compare", *names, "--output", str(tmp_path / "side")]) == 0
    assert ("ensemble.way" in capsys.readouterr().out) == (way != "uniform")
    assert (tmp_path / "side" / "comparison.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("chosen", "over", "words"),
    [
        ([0], None, "two or more"),
        ([0, 0], None, "named twice"),
        ([0, 1], "verdict", "holds no numbers"),
        ([0, 1], "twin.pair", "twin.pairs"),
    ],
)
def test_what_cannot_be_compared(runs, tmp_path, chosen, over, words):
    with pytest.raises(InputError, match=words):
        draw_comparison(compare([runs[k] for k in chosen]), tmp_path / "none.png", over)


def test_every_result_has_words():
    assert all(words for words in RESULTS.values())
