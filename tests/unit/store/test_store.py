"""Shards, index and reader: what is written comes back, whoever is killed in between."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcda.action import Parts
from hpcda.annealing import Reason, Rung, Task
from hpcda.annealing.record import PER_RUNG
from hpcda.errors import InputError, StorageError
from hpcda.store import Journal, Layout, Part, RunFile, Shard, build_index, set_aside, survey
from hpcda.store.index import SEAL
from hpcda.store.inspection import inspect
from hpcda.store.shards import in_use, marker_of
from hpcda.store.space import journal_of, roll_back, save_journal
from tests.chance import generator
from tests.unit.synthetic_run import make_layout, write_run

ROOT = Path(__file__).parents[3]


def record(value, parameters=(1.0,), reason=Reason.CONVERGED_GRADIENT):
    """A rung without number or path, and its parameters; its action is a number that halves exactly."""
    parts = Parts(0.75 * value, 0.25 * value, 0.0)
    return Rung(np.zeros(0), parts, 1e-8, 5, 0, reason, seconds=0.25), np.asarray(parameters)


def put(shard, row, number, one, path):
    """Store a rung of a start."""
    rung, parameters = one
    shard.rungs([(row, replace(rung, number=number, path=path), parameters)])


def path_of(layout, value):
    return np.full(layout.problem.size, float(value))


@pytest.fixture
def layout():
    return make_layout(rungs=5, starts=6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "run"
    layout = make_layout(starts=37)
    write_run(folder, layout)
    return folder, layout


def test_tables_come_back_in_the_order_of_the_starts(run):
    folder, layout = run
    file = RunFile(folder)
    np.testing.assert_array_equal(file.start, np.arange(37))
    np.testing.assert_array_equal(file.table("first_rung"), np.where(np.arange(37) % 4 == 3, 4, 0))
    assert file.finished.all()
    assert file.committed[5] == 7 and file.last[5] == 6
    action = file.table("action")
    assert action.shape == (37, 24)
    assert np.isnan(action[3, :4]).all() and np.isfinite(action[3, 4:]).all()
    assert np.isnan(action[5, 6:]).all()
    reason = file.table("reason")
    assert (reason[3, :4] == file.header.not_run).all() and reason[5, 6] == Reason.FAILED_NON_FINITE.code
    parts = file.table("measurement") + file.table("model") + file.table("prior")
    good = np.isfinite(action)
    np.testing.assert_allclose(parts[good], action[good], rtol=1e-7)
    assert file.table("parameters").shape == (37, 24, 1)


def test_some_positions_of_a_table(run):
    file = RunFile(run[0])
    positions = np.array([30, 2, 17])
    np.testing.assert_array_equal(file.table("action", positions), file.table("action")[positions])
    assert sorted(np.concatenate(file.parts(4))) == list(range(37))


def test_header(run):
    folder, layout = run
    header = RunFile(folder).header
    assert header.state == ("x", "y", "z") and header.parameter == ("rho",) and header.expression == ("x",)
    assert header.reasons == {reason.code: (reason.name, reason.value) for reason in Reason}
    assert header.failed == {reason.code for reason in Reason if reason.name.startswith("FAILED")}
    assert header.converged == {reason.code for reason in Reason if reason.name.startswith("CONVERGED")}
    assert header.provenance == layout.provenance
    assert header.true_parameters == {"rho": 28.0}
    assert header.measured == layout.problem.measured
    assert header.ranks == 3 and header.seed == 7
    np.testing.assert_array_equal(header.rf, layout.rf)


def test_paths(run):
    folder, layout = run
    file = RunFile(folder)
    (states,), parameters = file.path(0)
    assert states.shape == (81, 3) and parameters.shape == (1,)
    assert not file.has_path(5)
    with pytest.raises(KeyError, match="no path of start 5"):
        file.path(5)
    places = [file.path_places(9), file.path_places(2), file.path_places(9)]
    both, _ = file.paths(places)
    np.testing.assert_array_equal(both[0], both[2])
    np.testing.assert_array_equal(both[1], file.path(2)[0][0])


def test_a_reader_can_be_pickled(run):
    file = pickle.loads(pickle.dumps(RunFile(run[0])))
    assert file.path(0)[0][0].shape == (81, 3)


def test_windows_data_and_truth(tmp_path):
    layout = make_layout(windows=3, starts=4)
    write_run(tmp_path, layout)
    file = RunFile(tmp_path)
    for window, stored, beyond, truth in zip(
        layout.problem.windows, file.windows(), layout.beyond, layout.truth, strict=True
    ):
        np.testing.assert_array_equal(stored.data, window.data)
        np.testing.assert_array_equal(stored.noise_std, window.noise_std)
        np.testing.assert_array_equal(stored.beyond_data, beyond.data)
        np.testing.assert_array_equal(stored.truth, truth.states)
    assert [block.shape for block in file.path(0)[0]] == [(81, 3)] * 3


def test_no_truth_and_nothing_beyond(tmp_path):
    layout = replace(make_layout(starts=2), truth=None, beyond=None)
    shard = Shard.create(tmp_path, 0, layout)
    row = shard.begin(Task(0, "quiet", 0))
    put(shard, row, 0, record(1.0), path_of(layout, 1))
    shard.finish(row, path_of(layout, 1))
    shard.close()
    (window,) = RunFile(tmp_path).windows()
    assert window.truth.shape == (0, 3) and window.beyond_data.shape == (0, 1)


def test_no_parameters(tmp_path):
    layout = make_layout(starts=1, rungs=2)
    layout = replace(layout, problem=replace(layout.problem, parameters=()))
    with Shard.create(tmp_path, 0, layout) as shard:
        row = shard.begin(Task(0, "quiet", 0))
        put(shard, row, 0, record(1.0, ()), path_of(layout, 1))
        shard.finish(row, path_of(layout, 1))
    build_index(tmp_path)
    file = RunFile(tmp_path)
    assert file.path(0)[1].shape == (0,) and file.table("parameters").shape == (1, 2, 0)


def test_keep_all(tmp_path):
    layout = make_layout(rungs=5, starts=3, keep_paths="all")
    with Shard.create(tmp_path, 0, layout) as shard:
        rows = [shard.begin(Task(start, "quiet", start)) for start in range(3)]
        for rung in range(2, 5):
            for start, row in enumerate(rows):
                put(shard, row, rung, record(start + 1.0), path_of(layout, 10 * start + rung))
        for row in rows:
            shard.finish(row, None)
    build_index(tmp_path)
    file = RunFile(tmp_path)
    assert len(file.path_start) == 9
    for start in range(3):
        for rung in range(2, 5):
            assert (file.path(start, rung)[0][0] == 10 * start + rung).all()
        assert file.path(start)[0][0][0, 0] == 10 * start + 4
    with pytest.raises(KeyError, match="at rung 0"):
        file.path(1, 0)


@pytest.mark.parametrize("ranks", [1, 3])
def test_keep_best_does_not_depend_on_the_ranks(tmp_path, ranks):
    layout = make_layout(rungs=3, starts=20, keep_paths="best:4")
    actions = generator(0).permutation(20).astype(float) + 1
    for rank in range(ranks):
        with Shard.create(tmp_path, rank, layout) as shard:
            for start in range(rank, 20, ranks):
                row = shard.begin(Task(start, "quiet", 0))
                last = 1 if start == 0 else 2  # a start that ended early ranks behind all others
                for rung in range(last + 1):
                    low = start in (0, 1)  # start 1 fails
                    value = 0.1 if low else actions[start]
                    reason = Reason.FAILED_LINEAR if start == 1 and rung == 2 else Reason.CONVERGED_GRADIENT
                    put(shard, row, rung, record(value, reason=reason), path_of(layout, start))
                shard.finish(row, path_of(layout, start))
    build_index(tmp_path)
    file = RunFile(tmp_path)
    expected = sorted(sorted(range(2, 20), key=lambda start: actions[start])[:4])
    assert file.path_start.tolist() == expected
    assert all((file.path(start)[0][0] == start).all() for start in expected)


@pytest.mark.parametrize("word", ["best", "best:0", "best:x", "none", ""])
def test_unknown_keep_paths(word):
    with pytest.raises(InputError, match="keep_paths"):
        make_layout(keep_paths=word)


def test_dimension_scales_and_units(run):
    with h5py.File(run[0] / "run.h5") as file:
        action = file["ensemble/action"]
        assert action.is_virtual
        assert [d.label for d in action.dims] == ["start", "rung"]
        assert action.dims[0][0].name == "/ensemble/start" and action.dims[1][0].name == "/axes/rung"
        states = file["paths/states"]
        assert [d.label for d in states.dims] == ["path", "point", "unknown"]
        assert states.dims[1][0] == file["windows/t"]
        assert file["ensemble/seconds"].attrs["units"] == "s"
        assert len(action.virtual_sources()) == 3  # one mapping a shard
    with h5py.File(run[0] / "shards" / "rank-0000.h5") as file:
        assert file["ensemble/action"].dims[1][0].name == "/axes/rung"


def test_scales_stand_where_netcdf_looks_for_them(run):
    """In the group of an array, or above it, under the name by which the array refers to them."""
    with h5py.File(run[0] / "run.h5") as file:
        for name, array in file.items():
            if isinstance(array, h5py.Dataset) and array.ndim:
                for axis, dimension in enumerate(array.dims):
                    (scale,) = [array] if array.is_scale else dimension.values()
                    assert file[scale.name.split("/")[-1]] == scale, (name, axis)
        assert file["action"] == file["ensemble/action"], "no second copy"


@pytest.mark.parametrize("windows", [1, 3])
def test_xarray_reads_the_index_as_labeled_variables(tmp_path, windows):
    xarray = pytest.importorskip("xarray")
    layout = make_layout(starts=7, rungs=8, windows=windows)
    write_run(tmp_path, layout)
    file = RunFile(tmp_path)
    with xarray.open_dataset(tmp_path / "run.h5") as found:
        assert found["action"].dims == ("start", "rung") and found["parameters"].dims[2:] == ("parameter",)
        assert set(found["action"].coords) == {"start", "rung", "rf", "beta"}
        by_start = found.sortby("start")
        for name in PER_RUNG:
            np.testing.assert_array_equal(by_start[name], file.table(name))
            assert found[name].attrs["long_name"] and found[name].attrs["units"]
        rho = found["parameters"].sel(start=4, rung=7, parameter="rho")
        assert float(rho) == file.table("parameters")[4, 7, 0]
        np.testing.assert_array_equal(found["rf"], layout.rf)
        assert found["seconds"].attrs["units"] == "s" and found["seconds"].dtype == np.float64
        began = by_start["began"].values.astype("datetime64[us]").astype(np.int64) / 1e6
        np.testing.assert_allclose(began, file.table("began"), rtol=0, atol=1e-5)
        assert found["parameter_units"].dims == ("parameter",)
        assert set(found["way"].values.tolist()) == {b"quiet", b"uniform"}
    with xarray.open_dataset(tmp_path / "run.h5", group="windows", engine="h5netcdf") as found:
        assert found["data"].dims == ("t", "observed") and found["t"].attrs["long_name"] == "time"
    with xarray.open_dataset(tmp_path / "run.h5", group="paths", engine="h5netcdf") as found:
        wanted = found.sortby("start")["states"]
        np.testing.assert_array_equal(wanted, file.paths(np.arange(len(file.path_start)))[0])
        assert wanted.dims == ("start", "t", "unknown")


def test_a_run_can_be_moved(run, tmp_path):
    moved = shutil.copytree(run[0], tmp_path / "elsewhere")
    np.testing.assert_array_equal(RunFile(moved).table("action"), RunFile(run[0]).table("action"))


def test_a_missing_shard_is_an_error_not_a_gap(run, tmp_path):
    moved = shutil.copytree(run[0], tmp_path / "elsewhere")
    (moved / "shards" / "rank-0001.h5").unlink()
    with pytest.raises(InputError, match="rank-0001"):
        RunFile(moved)


def test_a_shard_in_use_is_never_opened(tmp_path, layout):
    with Shard.create(tmp_path, 0, layout) as shard:
        assert in_use(shard.path)
        for read in (build_index, RunFile):
            with pytest.raises(InputError, match="being written"):
                read(tmp_path)
    assert not in_use(shard.path)
    marker_of(shard.path).write_text("another-host 1")
    assert in_use(shard.path)
    marker_of(shard.path).write_text("")
    assert in_use(shard.path)


def test_two_runs_are_never_mixed(tmp_path, layout):
    Shard.create(tmp_path, 0, layout).close()
    with pytest.raises(InputError, match="already holds a run"):
        Shard.create(tmp_path, 0, layout)
    Shard.create(tmp_path, 1, replace(layout, seed=8)).close()
    with pytest.raises(InputError, match="different jobs"):
        build_index(tmp_path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such directory"):
        RunFile(tmp_path / "nothing")
    with pytest.raises(InputError, match="no shards"):
        RunFile(tmp_path)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "rank-0000.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read"):
        build_index(tmp_path)
    for attributes, text in (
        ({"schema": "something else"}, "not a file of an hpcda run"),
        ({"schema": "hpcda-run", "version": 999}, "version 999"),
    ):
        with h5py.File(tmp_path / "run.h5", "w") as file:
            file.attrs.update(attributes)
        with (tmp_path / "run.h5").open("ab") as file:
            file.write(SEAL + zlib.crc32((tmp_path / "run.h5").read_bytes()).to_bytes(4, "little"))
        with pytest.raises(InputError, match=text):
            RunFile(tmp_path)


def test_an_index_of_an_earlier_life_is_made_again(tmp_path, layout):
    interrupted(tmp_path, layout)
    assert RunFile(tmp_path).start.tolist() == [0, 1, 2]
    with Shard.create(tmp_path, 0, layout, resume=True) as shard:
        row = shard.begin(Task(4, "quiet", 0))
        put(shard, row, 0, record(1.0), path_of(layout, 1))
        with pytest.raises(InputError, match="being written"):
            RunFile(tmp_path)
        shard.finish(row, path_of(layout, 1))
    assert RunFile(tmp_path).start.tolist() == [0, 1, 2, 4]


def test_rungs_rise(tmp_path, layout):
    with Shard.create(tmp_path, 0, layout) as shard:
        row = shard.begin(Task(0, "quiet", 0))
        put(shard, row, 2, record(1.0), path_of(layout, 1))
        with pytest.raises(ValueError, match="comes after"):
            put(shard, row, 2, record(1.0), path_of(layout, 1))
        with pytest.raises(ValueError, match="more than 32 letters"):
            shard.begin(Task(1, "a-way-whose-name-is-longer-than-is-stored", 0))


def interrupted(folder, layout: Layout) -> None:
    """Start 0 ended, 1 and 2 at work, 3 begun without a rung; then closed."""
    with Shard.create(folder, 0, layout) as shard:
        row = shard.begin(Task(0, "quiet", 0))
        for rung in range(5):
            put(shard, row, rung, record(10.0 + rung), path_of(layout, rung))
        shard.finish(row, path_of(layout, 4))
        one, two = shard.begin(Task(1, "uniform", 1)), shard.begin(Task(2, "quiet", 0))
        shard.begin(Task(3, "quiet", 0))
        put(shard, one, 1, record(21.0, (3.0,)), path_of(layout, 101))
        put(shard, two, 0, record(30.0), path_of(layout, 200))
        put(shard, one, 2, record(22.0, (4.0,)), path_of(layout, 102))


def test_resume_continues_where_it_was(tmp_path, layout):
    assert len(survey(tmp_path, Part(), layout).start) == 0
    interrupted(tmp_path, layout)
    state = survey(tmp_path, Part(), layout)
    assert state.start.tolist() == [0, 1, 2] and state.ended.tolist() == [True, False, False]
    first, second = state.checkpoint(1), state.checkpoint(2)
    assert first.task == Task(1, "uniform", 1)
    assert first.rungs.tolist() == [1, 2] and not first.finished
    assert first.rung(1).action == 22.0 and first.parameters[1] == [4.0]
    assert (first.path == 102).all() and (second.path == 200).all() and (state.path(0) == 4).all()
    with pytest.raises(KeyError):
        state.checkpoint(3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
    with pytest.raises(InputError, match="already holds a run"):
        Shard.create(tmp_path, 0, layout)
    with Shard.create(tmp_path, 0, layout, resume=True) as shard:
        for checkpoint in (first, second):
            row = shard.begin(checkpoint.task, checkpoint)
            for rung in range(int(checkpoint.rungs[-1]) + 1, 5):
                put(shard, row, rung, record(100.0 + rung), path_of(layout, 7))
            if checkpoint.task.start == 1:
                shard.finish(row, path_of(layout, 7))
    again = survey(tmp_path, Part(), layout)
    assert again.start[again.ended].tolist() == [0, 1]
    assert len(again.checkpoint(2).rungs) == 5  # the row that came furthest counts
    assert (again.checkpoint(2).path == 7).all()
    assert all((tmp_path / "shards" / name).read_bytes() == content for name, content in before.items())
    build_index(tmp_path)
    file = RunFile(tmp_path)
    np.testing.assert_array_equal(file.start, [0, 1, 2])
    np.testing.assert_array_equal(file.finished, [True, True, False])
    np.testing.assert_array_equal(file.table("action")[1], [np.nan, 21, 22, 103, 104])
    assert (file.path(1)[0][0] == 7).all() and not file.has_path(2)


def test_parts_have_shards_of_their_own(tmp_path, layout):
    for number in (1, 2):
        with Shard.create(tmp_path, 0, layout, part=Part(number, 2)) as shard:
            row = shard.begin(Task(number, "quiet", 0))
            put(shard, row, 0, record(float(number)), path_of(layout, 1))
    assert survey(tmp_path, Part(2, 2), layout).start.tolist() == [2]
    assert RunFile(tmp_path).start.tolist() == [1, 2] and RunFile(tmp_path).header.ranks == 2
    with pytest.raises(InputError, match="in 2 parts"):
        survey(tmp_path, Part(1, 3), layout)
    with pytest.raises(InputError, match="in 2 parts"):
        survey(tmp_path, Part(), layout)


def test_minima_are_kept_beside_the_best_paths(tmp_path):
    layout = replace(make_layout(rungs=2, keep_paths="best:1"), sketch=3, minima=True)
    with Shard.create(tmp_path, 0, layout) as shard:
        for start, action in enumerate((3.0, 2.0, 1.0)):
            row = shard.begin(Task(start, "quiet", 0))
            for rung in range(2):
                put(shard, row, rung, record(action), path_of(layout, start))
            shard.finish(row, path_of(layout, start), np.full(3, float(start)))
        shard.keep_minima({0: path_of(layout, 0), 1: path_of(layout, 1)}, ())
        shard.keep_minima({1: path_of(layout, 1), 2: path_of(layout, 2)}, {0})
        shard.keep_minima({2: path_of(layout, 2), 3: path_of(layout, 3)}, {1})
    state = survey(tmp_path, Part(), layout)
    assert state.have_paths([0, 1, 2]) == {1, 2}
    assert state.path(0) is None and (state.path(1) == 1).all() and (state.path(2) == 2).all()
    assert [one.sketch.tolist() for one in state.all_ended()] == [[0.0] * 3, [1.0] * 3, [2.0] * 3]
    assert state.without({1}).start.tolist() == [0, 2]
    shard = tmp_path / "shards" / "rank-0000.h5"
    assert inspect(shard).kind == "ok"
    for name, place, said in (
        ("minima/path", (1, 3), "minimum of start 1"),
        ("ended/sketch", (2, 1), "sketch of"),
    ):
        with h5py.File(shard, "r+") as file:
            value = file[name][place]
            file[name][place] = value + 1e-9
        assert inspect(shard).kind == "damaged" and said in inspect(shard).reason
        with h5py.File(shard, "r+") as file:
            file[name][place] = value


def test_a_start_that_is_carried_over_without_its_path_begins_anew(tmp_path, layout):
    """Killed between the copy of its rungs and its end, it leaves no path from which it could go on."""
    interrupted(tmp_path, layout)
    carried = replace(survey(tmp_path, Part(), layout).checkpoint(2), path=None)
    with Shard.create(tmp_path, 0, layout, resume=True) as shard:
        row = shard.begin(Task(0, "quiet", 0))
        put(shard, row, 0, record(1.0), path_of(layout, 7))
        shard.finish(row, path_of(layout, 7))
        shard.begin(Task(2, "quiet"), carried)
    assert inspect(shard.path).kind == "ok"
    (tmp_path / "shards" / "rank-0000.h5").unlink()
    found = survey(tmp_path, Part(), layout).checkpoint(2)
    assert found.rungs.tolist() == [0] and found.path is None


def test_a_check_sum_covers_what_was_factorized(tmp_path, layout):
    interrupted(tmp_path, layout)
    shard = tmp_path / "shards" / "rank-0000.h5"
    with h5py.File(shard, "r+") as file:
        file["ensemble/factorizations"][0, 1] += 1
    assert "rung 1 of start 0" in inspect(shard).reason


def test_the_index_says_what_the_newest_shard_says(tmp_path, layout):
    interrupted(tmp_path, layout)
    for _ in range(11):  # rank-0000-10.h5 comes before rank-0000-2.h5
        Shard.create(tmp_path, 0, layout, resume=True).close()
    Shard.create(tmp_path, 0, replace(layout, starts=60), resume=True).close()
    assert RunFile(tmp_path).header.starts == 60


def test_fingerprints_of_shorter_ladders(layout):
    assert layout.fingerprints == {layout.narrowed(rungs).fingerprint for rungs in range(1, 6)}
    assert layout.fingerprint in layout.fingerprints and len(layout.fingerprints) == 5
    assert replace(layout, seed=8).fingerprint not in layout.fingerprints


def test_the_journal_forgets_a_line_that_was_being_written(tmp_path):
    journal = Journal(tmp_path / "plan.jsonl")
    assert journal.read() == []
    journal.write(np.inf, [Task(0, "quiet", 3), Task(1, "splice", 0, (0, 7))])
    with (tmp_path / "plan.jsonl").open("a") as file:
        file.write('{"cap": 3.0, "tas')
    assert len(journal.read()) == 1
    journal.write(0.1 + 0.2, [Task(2, "quiet")])
    first, second = journal.read()
    assert first.cap == np.inf and first.tasks[1] == Task(1, "splice", 0, (0, 7))
    assert second.cap == 0.1 + 0.2
    (tmp_path / "plan.jsonl").write_text("nothing of the kind\n")
    with pytest.raises(InputError, match="line 1"):
        journal.read()


def test_an_interrupted_run_can_be_analyzed(tmp_path, layout):
    interrupted(tmp_path, layout)
    file = RunFile(tmp_path)
    np.testing.assert_array_equal(file.start, [0, 1, 2])
    np.testing.assert_array_equal(file.last, [4, 2, 0])


KILLED = """
import sys
sys.path.append({root!r})
import numpy as np
from tests.unit.store.test_store import Task, make_layout, path_of, put, record
from hpcda.store import Shard

layout = make_layout(rungs=40, starts=10**6, keep_paths={keep!r})
shard = Shard.create({folder!r}, 0, layout)
for start in range(10**6):
    row = shard.begin(Task(start, "quiet", 0))
    for rung in range(40):
        value = 1000.0 * start + rung + 1
        put(shard, row, rung, record(value, (value,)), path_of(layout, value))
    shard.finish(row, path_of(layout, value))
    if start == 0:
        print("one start has ended", flush=True)
"""


@pytest.mark.parametrize("keep", ["final", "all", "best:3"])
def test_a_killed_writer_leaves_whole_rungs(tmp_path, keep):
    rng = generator(0)
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        code = KILLED.format(root=str(ROOT), folder=str(folder), keep=keep)
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(0.3 * rng.random())  # any moment will do
            os.kill(process.pid, signal.SIGKILL)
        assert set_aside(folder, make_layout(rungs=40, keep_paths=keep).fingerprint) == []
        file = RunFile(folder)
        assert len(file.start) >= 1
        action, parameters = file.table("action"), file.table("parameters")[..., 0]
        expected = 1000.0 * file.start[:, None] + np.arange(40) + 1
        for table in (action, parameters):
            np.testing.assert_array_equal(table[file.visited], expected[file.visited])
        assert (file.committed[:-2] == 40).all()
        for place, (start, rung) in enumerate(zip(file.path_start, file.path_rung, strict=True)):
            if place % 17 == 0 or place > len(file.path_start) - 3:
                assert (file.path(int(start), int(rung))[0][0] == 1000.0 * start + rung + 1).all()
        state = survey(folder, Part(), make_layout(rungs=40, starts=10**6, keep_paths=keep))
        assert state.start[state.ended].tolist() == file.start[file.finished].tolist()
        for start in state.start[~state.ended].tolist():
            checkpoint = state.checkpoint(start)
            assert (checkpoint.path == 1000.0 * start + checkpoint.rungs[-1] + 1).all()


def test_rungs_leave_no_memory_behind(tmp_path):
    layout = make_layout(rungs=10, starts=400)
    path, entry = path_of(layout, 1), record(1.0)
    with Shard.create(tmp_path, 0, layout) as shard:
        for start in range(400):
            row = shard.begin(Task(start, "quiet", 0))
            for rung in range(10):
                put(shard, row, rung, entry, path)
            shard.finish(row, path)
        assert not shard._open and len(shard._current.free) == 1 and shard._current.places == 1


def test_nothing_is_written_behind_a_file_that_is_closed(tmp_path, layout):
    with Shard.create(tmp_path, 0, layout) as shard:
        row = shard.begin(Task(0, "quiet", 0))
        put(shard, row, 0, record(1.0), path_of(layout, 1))
    content = shard.path.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(bytes(10**6))
    with other.open("r+b"):  # it has the number that the shard's file had
        with pytest.raises(StorageError, match="Bad file descriptor"):
            put(shard, row, 1, record(2.0), path_of(layout, 2))
    assert shard.path.read_bytes() == content and other.read_bytes() == bytes(10**6)


def test_a_shard_that_has_grown_is_mended_by_whole_copies_alone(tmp_path, layout):
    interrupted(tmp_path, layout)
    shard = tmp_path / "shards" / "rank-0000.h5"
    content = shard.read_bytes()
    with shard.open("rb") as file:
        save_journal(shard, file.fileno(), 96, [(8, 40)])
    kept = journal_of(shard).read_bytes()
    shard.write_bytes(b"?" * 8 + content[8:])
    journal_of(shard).write_bytes(kept[:-9] + b"?" + kept[-8:])
    roll_back(shard)
    assert not journal_of(shard).exists() and shard.read_bytes()[:8] == b"?" * 8
    journal_of(shard).write_bytes(kept)
    roll_back(shard)
    assert not journal_of(shard).exists() and shard.read_bytes() == content


def calls_to_open(folder, starts):
    """How many functions are called, of Python or C, from a run's index to its table of actions."""
    layout = make_layout(rungs=40, starts=starts, times=11, after=3)
    path, entry = path_of(layout, 1), record(1.0)
    for rank in range(4):
        with Shard.create(folder, rank, layout) as shard:
            for start in range(rank, starts, 4):
                row = shard.begin(Task(start, "quiet", 39))
                put(shard, row, 39, entry, path)
                shard.finish(row, path)
    build_index(folder)
    calls, before = Counter(), sys.getprofile()
    sys.setprofile(lambda frame, event, argument: calls.update([event]))
    try:
        table = RunFile(folder).table("action")
    finally:
        sys.setprofile(before)
    assert table.shape == (starts, 40)
    return calls["call"] + calls["c_call"]


def test_a_start_more_takes_few_calls_more_to_open(tmp_path):
    """So that ten thousand starts open within a second."""
    few, many = (calls_to_open(tmp_path / str(starts), starts) for starts in (40, 2040))
    assert (many - few) / 2000 < 10


def test_a_start_that_merged_twice_is_read_from_whoever_climbed(tmp_path):
    """Start 2 became start 1 after rung 1, and that start 0, which began at rung 3, after rung 4."""
    layout = make_layout(rungs=6, starts=3, keep_paths="all")
    with Shard.create(tmp_path, 0, layout) as shard:
        rows = {start: shard.begin(Task(start, "quiet", first)) for start, first in ((0, 3), (1, 0), (2, 0))}
        for start, rungs in ((0, range(3, 6)), (1, range(5)), (2, range(2))):
            for rung in rungs:
                value = 10.0 * start + rung
                put(shard, rows[start], rung, record(value), path_of(layout, value))
        shard.finish(rows[0], None)
        shard.merge(rows[1], 0)
        shard.merge(rows[2], 1)
    found = RunFile(tmp_path)
    assert found.same_as.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found.table("action")[2], [20, 21, 12, 13, 14, 5])
    np.testing.assert_array_equal(found.table("action", np.array([1]))[0], [10, 11, 12, 13, 14, 5])
    assert found.taken_over.sum(axis=1).tolist() == [0, 1, 4]
    assert [found.path(2, rung)[0][0][0, 0] for rung in range(6)] == [20, 21, 12, 13, 14, 5]
    assert found.path(2)[0][0][0, 0] == 5
