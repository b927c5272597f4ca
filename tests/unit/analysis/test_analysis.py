"""The analysis of whole runs: synthetic ensembles with known minima, and a small annealed one."""

import csv
import html
import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from hpcda.analysis import analyze, format_summary, open_run, prediction
from hpcda.analysis import parallel as workers
from hpcda.analysis.summary import at_bound, summarize
from hpcda.errors import InputError
from hpcda.models import flow
from hpcda.search import Conclusion
from hpcda.search.conclusion import PROBES
from tests.chance import generator
from tests.unit import annealed_run
from tests.unit.synthetic_run import make_layout, write_run


@pytest.fixture(scope="module")
def separate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("separate") / "run"
    layout = make_layout()
    write_run(folder, layout)
    return folder, layout


@pytest.fixture(scope="module")
def annealed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annealed") / "run"
    layout = annealed_run.anneal(folder, starts=8, rungs=14, alpha=6.0, times=61, after=31)
    return folder, layout


@pytest.fixture
def run(separate):
    folder, layout = separate
    return open_run(folder, layout.problem)


def made(tmp_path, kind="separate", layout=None, **keywords):
    layout = layout or make_layout()
    write_run(tmp_path, layout, kind=kind, **keywords)
    return open_run(tmp_path, layout.problem)


def test_minima_are_counted(run):
    actions = [minimum.action for minimum in run.levels]
    assert actions == sorted(actions) and all(m.count == len(set(m.starts)) for m in run.levels)
    assert sum(minimum.count for minimum in run.levels) == 39  # start 5 failed
    starts = [start for minimum in run.levels for start in minimum.starts]
    assert sorted(starts) == [start for start in range(40) if start != 5]
    assert run.candidate is run.levels[0] and run.candidate.parameters["rho"] == pytest.approx(28, abs=1e-3)
    assert [m.parameters["rho"] for m in run.levels] == pytest.approx([28, 26.3, 24.6, 22.9], abs=1e-2)
    assert all(sum(m.ways.values()) == m.count and m.converged and m.has_path for m in run.levels)


def test_verdict_not_confirmed(run):
    assert run.verdict is Conclusion.CONSISTENT_NOT_CONFIRMED and run.evidence.probed == 0
    assert run.separation.apart and run.separation.deviations > 10 and run.plateau.reached
    evidence = run.evidence
    assert evidence.freedom == 81 - 4 and evidence.few and evidence.agreement and evidence.complete == 1.0
    assert evidence.count == run.candidate.count and evidence.ended == 39 and evidence.predicted < 2
    assert {way: one.tried for way, one in evidence.hits.items()} == {"uniform": 20, "quiet": 20}


def test_verdict_consistent_and_stable(tmp_path):
    """With few data, where escapes from the lowest level find nothing lower."""
    run = made(tmp_path, probes=PROBES)
    assert run.verdict is Conclusion.CONSISTENT_AND_STABLE and run.verdict.stable
    assert run.evidence.probed == PROBES and run.evidence.ended == 39 - PROBES


def test_verdict_rivals(tmp_path):
    run = made(tmp_path, "rivals")
    assert run.verdict is Conclusion.CONSISTENT_RIVALS_REMAIN and run.separation.rivals >= 1


def test_verdict_rising(tmp_path):
    run = made(tmp_path, "rising")
    assert run.verdict is Conclusion.RISING_WITH_RF and run.plateau.change > 0.1


def test_verdict_inconsistent(tmp_path):
    run = made(tmp_path, "wrong")
    assert run.verdict is Conclusion.INCONSISTENT and run.candidate.reduced > run.band.high


def test_verdict_failed(tmp_path):
    layout = make_layout(starts=4)
    run = made(tmp_path, layout=layout, fail=(0, 1, 2, 3))
    assert run.verdict is Conclusion.FAILED and run.candidate is None and run.levels == ()
    summary = analyze(tmp_path, processes=0)
    assert summary["failed"] == 4 and summary["failed_reasons"] == {"FAILED_NON_FINITE": 4}
    assert summary["candidate"] is None and summary["minima"] == []
    assert "No start reached the end" in format_summary(summary)
    assert (tmp_path / "analysis" / "report.html").exists()
    assert not (tmp_path / "analysis" / "candidate.csv").exists()
    with pytest.raises(KeyError, match="no candidate"):
        run.kept_path()


def test_too_few_rungs_to_tell(tmp_path):
    layout = make_layout(starts=6, rungs=14)
    layout = replace(layout, rf=1e6 * 1.01**layout.beta)
    run = made(tmp_path, layout=layout, fail=())
    assert run.plateau.reached is None and run.verdict is Conclusion.CONSISTENT_NOT_SETTLED


def test_a_run_that_was_killed_is_incomplete(tmp_path):
    """Fifty starts were asked for and forty ended; what those say by themselves is told."""
    layout = make_layout(starts=50)
    write_run(tmp_path, layout, fail=(), ran=40)
    run = open_run(tmp_path, layout.problem)
    assert run.verdict is Conclusion.INCOMPLETE and not run.verdict.stable
    assert run.evidence.complete == pytest.approx(0.8)
    assert run.evidence.so_far == "consistent_not_confirmed"
    text = format_summary(summarize(run) | {"report": ""})
    assert "80% of the requested starts" in text and "10 not run" in text


def test_weights_of_the_model_errors_are_stored_and_used(tmp_path):
    """Also where the job would give others now."""
    layout = make_layout()
    weights = np.array([1.0, 4.0, 2.0**-40])
    stored = replace(layout, problem=replace(layout.problem, model_error_weight=weights))
    write_run(tmp_path, stored)
    run = open_run(tmp_path, layout.problem)
    np.testing.assert_array_equal(run.file.header.model_error_weight, weights)
    np.testing.assert_array_equal(run.problem.model_error_weight, weights)
    assert summarize(run)["model_error_weight"] == dict(zip("xyz", weights.tolist(), strict=True))
    allowed = [one.allowed for one in run.obedience.equations]
    np.testing.assert_allclose(allowed, (run.file.header.rf[-1] * weights) ** -0.5)


def test_a_path_that_does_not_obey_is_told(tmp_path):
    """In the summary, the text and the report, by the name of the state."""
    layout = make_layout()
    layout = replace(layout, problem=replace(layout.problem, model_error_weight=np.array([1.0, 1.0, 1e-8])))
    run = made(tmp_path, layout=layout, probes=PROBES)
    assert run.verdict is Conclusion.EQUATION_NOT_OBEYED and not run.verdict.stable
    assert [one.state for one in run.evidence.obedience.disobeyed] == ["z"]
    summary = analyze(tmp_path, processes=0, problem=layout.problem)
    assert summary["verdict"]["code"] == "equation_not_obeyed"
    named = {one["state"]: one["obeyed"] for one in summary["verdict"]["evidence"]["obedience"]["equations"]}
    assert named == {"x": True, "y": True, "z": False}
    assert "equations        not obeyed: z, whose model error is" in format_summary(summary)
    report = (tmp_path / "analysis" / "report.html").read_text()
    assert "<h2>Equations</h2>" in report and "<td>not obeyed</td>" in report


def test_levels_without_model_error_are_told(run):
    summary = summarize(run)
    for level in (*summary["minima"], summary["candidate"]):
        assert level["limit"] == pytest.approx(level["action"] + level["model"])
    plateau = summary["candidate"]["plateau"]
    assert plateau["limit"] == pytest.approx(summary["candidate"]["limit"]) and plateau["reached"]
    text = format_summary(summary)
    assert "A(∞)" in text and "without model error" in text


def test_a_lost_prediction_is_told(tmp_path):
    layout = make_layout()
    beyond = tuple(replace(b, data=b.data + 10.0) for b in layout.beyond)
    run = made(tmp_path, layout=replace(layout, beyond=beyond))
    assert run.verdict is Conclusion.CONSISTENT_PREDICTS_BADLY and run.evidence.predicted > 10


def test_a_parameter_at_its_bound_is_marked(tmp_path):
    layout = make_layout(starts=8)
    (rho,) = layout.problem.parameters
    bound = replace(layout.problem, parameters=(replace(rho, bounds=(0.0, 28.0)),))
    write_run(tmp_path, replace(layout, problem=bound), fail=())
    summary = analyze(tmp_path, processes=0, problem=bound)
    assert summary["candidate"]["at_bound"] == ["rho"]
    assert "at a bound      rho" in format_summary(summary)
    assert "at a bound" in (tmp_path / "analysis" / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_told(tmp_path, capsys):
    from hpcda.cli import main

    write_run(tmp_path, make_layout(starts=4))
    (tmp_path / "analysis").write_text("in the way")
    assert main(["analyze", str(tmp_path), "--workers", "0"]) == 2
    told = capsys.readouterr().err
    assert "cannot be written" in told and "Traceback" not in told
    (tmp_path / "analysis").unlink()
    (tmp_path / "analysis" / "report.html").mkdir(parents=True)
    assert main(["analyze", str(tmp_path), "--workers", "0"]) == 2
    assert "report.html: cannot be written" in capsys.readouterr().err


def test_failed_and_stopped_starts_are_apart(run):
    summary = summarize(run)
    assert (summary["starts"], summary["complete"], summary["failed"], summary["stopped"]) == (40, 39, 1, 0)
    assert summary["failed_reasons"] == {"FAILED_NON_FINITE": 1}


def test_paths_kept_for_the_best_only(tmp_path):
    full = made(tmp_path / "full")
    few = made(tmp_path / "few", layout=make_layout(keep_paths="best:3"))
    assert [m.count for m in few.levels] == [m.count for m in full.levels]
    assert few.candidate.has_path and not few.levels[-1].has_path
    assert any("stored no path" in note for note in few.notes)
    assert not full.notes


def test_same_action_but_other_path_is_another_minimum(tmp_path):
    """Mirror images, as of Lorenz63 seen through z, have one action and two paths."""
    from hpcda.action import Parts
    from hpcda.annealing import Reason, Rung, Task
    from hpcda.store import Shard, build_index

    layout = make_layout(starts=9, rungs=6)
    truth = layout.truth[0].states[:81]
    rng = generator(0)
    with Shard.create(tmp_path, 0, layout) as shard:
        for start in range(9):
            sign = -1.0 if start % 3 == 0 else 1.0
            block = truth * [sign, sign, 1.0] + 1e-5 * rng.standard_normal(truth.shape)
            path = layout.problem.join([block], [28.0])
            row = shard.begin(Task(start, "quiet"))
            for rung in range(6):
                value = 40.0 + 1e-7 * rng.standard_normal()
                parts = Parts(value, 0.0, 0.0)
                one = Rung(path, parts, 1e-9, 3, 0, Reason.CONVERGED_GRADIENT, rung, 0.1)
                shard.rungs([(row, one, path[-1:])])
            shard.finish(row, path)
    build_index(tmp_path)
    minima = open_run(tmp_path).levels
    assert sorted((m.count, m.starts) for m in minima) == [(3, (0, 3, 6)), (6, (1, 2, 4, 5, 7, 8))]


def test_prediction_and_truth(run):
    record = summarize(run)["candidate"]
    assert record["rmse_prediction"] == pytest.approx(0.5, rel=0.2)
    assert record["rmse_prediction_over_noise"] == pytest.approx(1.0, rel=0.2)
    assert record["prediction_valid_time"] == pytest.approx(record["prediction_span"])
    wrong = (run.kept_path()[0][0] - run.windows[0].truth[:81]) ** 2
    assert record["rmse_truth_observed"] == pytest.approx(np.sqrt(wrong[:, 0].mean()))
    assert record["rmse_truth_unobserved"] == pytest.approx(np.sqrt(wrong[:, 1:].mean()))
    assert record["true_parameters"] == {"rho": 28.0}
    worse = run.predict(run.levels[-1].start)
    assert float(abs(worse["prediction"] - worse["data"]).max()) > 3


def test_a_prediction_that_takes_too_long_is_told_and_counts_as_lost(run, monkeypatch):
    monkeypatch.setattr(prediction, "SECONDS", 0.0)
    monkeypatch.setattr(flow, "BUDGET", 1.0)
    made = run.predicted()
    assert np.isfinite(made.states[0]).all() and np.isnan(made.states[-1]).all()
    assert run.first_prediction > 0.1 * prediction.MOST
    (note,) = [note for note in run.notes if note.startswith("the prediction of")]
    assert note.startswith("the prediction of the candidate in window 0 fails at t = ")
    assert note.endswith("its time limit was reached"), "and it is told once"


def test_predict_other_times(run):
    t = run.windows[0].beyond_t[:31:6]
    np.testing.assert_allclose(run.predict(t=t)["states"], run.predict()["states"][:31:6], rtol=1e-6)
    assert run.predict(t=t)["data"].isnull().all()


def test_dataset(run):
    dataset = run.dataset
    assert dataset["action"].dims == ("start", "rung") and run.actions.identical(dataset["action"])
    assert dataset["path"].dims == ("start", "time", "state") and dataset["path"].chunks is not None
    assert set(dataset.sizes) >= {"start", "rung", "time", "state", "parameter", "observed"}
    path = dataset["path"].sel(start=7, state="y")
    np.testing.assert_array_equal(path, run.file.path(7)[0][0][:, 1])
    assert np.isnan(dataset["path"].sel(start=5)).all()
    picked = dataset["path"].isel(start=[3, 30], time=[0, 80])
    np.testing.assert_array_equal(picked[1, 1], run.file.path(30)[0][0][80])
    assert dataset["parameters"].sel(parameter="rho")[0, -1] == pytest.approx(28, abs=1e-3)
    assert set(np.unique(dataset["way"])) == {"quiet", "uniform"}
    assert dataset["truth"].sizes == {"time_truth": 141, "state": 3}
    assert "lorenz63, 40 starts" in repr(run)


def test_dataset_of_all_rungs(tmp_path):
    run = made(tmp_path, layout=make_layout(starts=5, rungs=12, keep_paths="all"), fail=(), late=2)
    rungs = run.dataset["path_rungs"]
    assert rungs.dims == ("start", "rung", "time", "state")
    assert np.isnan(rungs.sel(start=3, rung=1)).all()
    np.testing.assert_array_equal(rungs.sel(start=3, rung=5), run.file.path(3, 5)[0][0])
    np.testing.assert_array_equal(rungs.isel(start=4, rung=-1), run.dataset["path"].isel(start=4))


def test_several_windows(tmp_path):
    layout = make_layout(windows=2, starts=8)
    run = made(tmp_path, layout=layout)
    assert "path" not in run.dataset and "action" in run.dataset
    window = run.window(1)
    np.testing.assert_array_equal(window["path"].sel(start=0), run.file.path(0)[0][1])
    np.testing.assert_array_equal(window["data"], layout.problem.windows[1].data)
    with pytest.raises(IndexError, match="the run has 2"):
        run.window(2)
    summary = analyze(tmp_path, processes=0, problem=layout.problem)
    assert summary["candidate"]["rmse_prediction"] == pytest.approx(0.5, rel=0.2)
    with (tmp_path / "analysis" / "candidate.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["window", "t", "x", "y", "z"] and len(rows) == 1 + 2 * 81
    assert {row[0] for row in rows[1:]} == {"0", "1"}
    assert {"paths-0.png", "paths-1.png"} <= {p.name for p in (tmp_path / "analysis").iterdir()}


def test_analyze_writes_everything(annealed):
    folder, layout = annealed
    summary = analyze(folder, processes=0, problem=layout.problem)
    written = {path.name for path in (folder / "analysis").iterdir()}
    assert written == {
        "summary.json", "candidate.csv", "parameters.csv", "report.html",
        "action_levels.png", "paths.png", "momenta.png", "final_actions.png", "parameters.png",
    }  # fmt: skip
    assert json.loads((folder / "analysis" / "summary.json").read_text()) == summary
    for key in ("starts", "failed", "minima", "candidate", "verdict", "timing"):
        assert key in summary
    for key in ("action", "measurement", "model", "reduced", "count", "start", "parameters"):
        assert key in summary["minima"][0]
    assert summary["candidate"]["start"] == summary["minima"][0]["start"]
    assert set(summary["verdict"]) == {"code", "stable", "sentence", "evidence"}
    assert summary["verdict"]["evidence"]["hits"]["quiet"]["tried"] == 3
    timing = summary["timing"]
    assert timing["core_seconds"] > 0 and timing["ranks"] == 2 and timing["wall_seconds"] > 0
    report = (folder / "analysis" / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 5 and "://" not in report
    assert "hpcda run job.toml --output again" in report and 'class="verdict' in report
    assert html.escape(summary["verdict"]["sentence"]) in report
    text = format_summary(summary)
    assert (
        f"Verdict: {summary['verdict']['code']}" in text and "unseen levels" in text and "report.html" in text
    )
    assert max(map(len, text.splitlines()[1:])) < 140


def test_candidate_csv(annealed):
    folder, layout = annealed
    run = open_run(folder, layout.problem)
    from hpcda.analysis.analyze import write_candidate

    write_candidate(run, folder / "candidate.csv")
    with (folder / "candidate.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["t", *layout.problem.model.state_names]
    np.testing.assert_array_equal(np.array(rows[1:], dtype=float)[:, 1:], run.kept_path()[0][0])


def test_distribution(annealed):
    folder, layout = annealed
    run = open_run(folder, layout.problem)
    distribution = run.distribution
    assert distribution["weight"].sum() == pytest.approx(1)
    error = abs(distribution["mean"].values - layout.truth[0].states[:61]) / distribution["std"].values
    assert 0.3 < np.sqrt(np.mean(error**2)) < 3  # error bars tell the errors
    unseen = [
        k for k, name in enumerate(layout.problem.model.state_names) if name not in layout.problem.observed
    ]
    spread = distribution["std"].values.mean(axis=0)
    assert spread[unseen].mean() > np.delete(spread, unseen).mean()
    assert float(distribution["parameter_std"][0]) > 0
    assert run.mixture.far + len(run.mixture.weights) == len(run.levels)


def test_parallel_and_serial_agree(separate):
    folder, layout = separate
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel = analyze(folder, processes=2, problem=layout.problem)
    serial = analyze(folder, processes=0, problem=layout.problem)
    parallel.pop("timing"), serial.pop("timing")
    assert parallel == serial


def test_running_scheduler(separate):
    distributed = pytest.importorskip("distributed")
    folder, layout = separate
    options = {
        "n_workers": 1,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "host": "127.0.0.1",
    }
    with distributed.LocalCluster(**options) as cluster:
        summary = analyze(folder, scheduler=cluster.scheduler_address, problem=layout.problem)
    assert summary["verdict"]["code"] == "consistent_not_confirmed"


def test_no_scheduler_there(separate, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", "1s")
    with pytest.raises(OSError):
        analyze(separate[0], scheduler="tcp://127.0.0.1:9", problem=separate[1].problem)


def test_without_the_job_there_is_a_note_not_an_error(separate):
    summary = analyze(separate[0], processes=0)
    assert any("no prediction" in note for note in summary["notes"])
    assert (
        "rmse_prediction" not in summary["candidate"]
        and summary["verdict"]["code"] == "consistent_not_confirmed"
    )


def test_another_problem_is_refused(separate):
    folder, layout = separate
    run = open_run(folder, replace(layout.problem, parameters=()))
    with pytest.raises(InputError, match="a different problem"):
        _ = run.problem


def test_a_minimum_that_is_none_is_left_out_with_a_note(tmp_path):
    run = made(tmp_path, "no minimum")
    with pytest.raises(ValueError, match=r"start \d+ .*it is not a minimum"):
        _ = run.mixture
    assert run.bars is None and any("no error bars at the minimum of start" in note for note in run.notes)


def test_nothing_ran(tmp_path):
    from hpcda.store import Shard

    Shard.create(tmp_path, 0, make_layout()).close()
    with pytest.raises(InputError, match="no start has completed a rung"):
        analyze(tmp_path, processes=0)


def test_import_of_the_package_stays_light():
    code = (
        "import sys, hpcda; "
        "print(sorted({'xarray', 'dask', 'matplotlib', 'h5py', 'mpi4py', 'petsc4py'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
    code = (
        "import sys, hpcda.analysis; "
        "print(sorted({'mpi4py', 'petsc4py', 'hpcda.run', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_open_run_returns_xarray(run):
    assert isinstance(run.dataset, xr.Dataset) and isinstance(run.predict(), xr.Dataset)


@pytest.mark.parametrize(
    ("bounds", "sits"),
    [((28.0, np.inf), True), ((-np.inf, 28.0), True), ((-np.inf, np.inf), False), ((0.0, 60.0), False)],
)
def test_only_finite_bounds_are_sat_at(tmp_path, bounds, sits):
    layout = make_layout(starts=4)
    (rho,) = layout.problem.parameters
    problem = replace(layout.problem, parameters=(replace(rho, bounds=bounds),))
    run = made(tmp_path, layout=replace(layout, problem=problem), fail=())
    assert at_bound(run) == (["rho"] if sits else [])
