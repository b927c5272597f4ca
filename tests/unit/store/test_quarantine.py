"""Damaged, foreign, older shards: none crashes a reader or gives wrong numbers, each is set aside by name."""

import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

from hpcda.annealing.record import PER_RUNG, PER_START
from hpcda.errors import InputError, StorageError
from hpcda.results.layout import RESUMABLE, VERSION
from hpcda.store import RunFile, set_aside
from hpcda.store.inspection import inspect, inspect_apart
from hpcda.store.shards import marker_of
from tests.chance import generator
from tests.unit.synthetic_run import make_layout, write_run
from tests.unit.unprivileged import unprivileged

RUNGS, STARTS, RANKS = 10, 12, 2
BAD, OTHER = "shards/rank-0000.h5", "shards/rank-0001.h5"


@pytest.fixture(scope="module")
def layout():
    return make_layout(rungs=RUNGS, starts=STARTS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, layout):
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_run(folder, layout, ranks=RANKS)
    return folder


@pytest.fixture(scope="module")
def expected(whole):
    return everything(whole)


@pytest.fixture
def here(monkeypatch):
    """Inspect in this process, which is faster; what these tests do to a file does not crash HDF5."""
    for place in ("index", "quarantine"):
        monkeypatch.setattr(
            f"hpcda.store.{place}.inspect_apart",
            lambda shards, names=None: [inspect(one, names) for one in shards],
        )


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def everything(folder):
    """All that a reader tells of a run, as bytes."""
    file = RunFile(folder)
    told = {name: file.table(name) for name in (*PER_RUNG, *PER_START, "parameters")}
    told |= {name: getattr(file, name) for name in ("start", "finished", "committed", "same_as", "visited")}
    told["paths"] = (file.path_start, file.path_rung, *file.paths(np.arange(len(file.path_start))))
    told["windows"] = [(one.t, one.data, one.noise_std, one.truth) for one in file.windows()]
    told["header"] = (file.header.rf, file.header.job_toml, file.header.seed, file.header.model)
    return pickle.dumps(told)


def address(file, name, *index):
    """Place in the file of one element of an array, which lies in chunks of whole rows."""
    array = file[name]
    chunk = array.id.get_chunk_info_by_coord(
        (index[0] // array.chunks[0] * array.chunks[0], *[0] * (array.ndim - 1))
    )
    inner = (index[0] % array.chunks[0], *index[1:])
    return chunk.byte_offset + array.dtype.itemsize * int(np.ravel_multi_index(inner, array.chunks))


def flip(name, *index, bit=5, byte=0):
    """Turn one bit of one element over."""

    def damage(run):
        with h5py.File(run / BAD) as file:
            place = address(file, name, *index) + byte
        content = bytearray((run / BAD).read_bytes())
        content[place] ^= 1 << bit
        (run / BAD).write_bytes(content)

    return damage


def flip_header(name):
    def damage(run):
        with h5py.File(run / BAD) as file:
            place = file[name].id.get_offset() + 8
        content = bytearray((run / BAD).read_bytes())
        content[place] ^= 4
        (run / BAD).write_bytes(content)

    return damage


def cut(share):
    def damage(run):
        os.truncate(run / BAD, int(share * (run / BAD).stat().st_size))

    return damage


def overwrite(begin, length, value):
    def damage(run):
        content = bytearray((run / BAD).read_bytes())
        at = int(begin * len(content))
        content[at : at + length] = bytes([value]) * length
        (run / BAD).write_bytes(content)

    return damage


def attribute(name, value):
    def damage(run):
        with h5py.File(run / BAD, "r+") as file:
            file.attrs[name] = value

    return damage


def replaced_by(**changes):
    def damage(run):
        write_run(run.parent / "other", make_layout(rungs=RUNGS, starts=STARTS, **changes), ranks=RANKS)
        shutil.copy(run.parent / "other" / BAD, run / BAD)

    return damage


def folder(run):
    (run / BAD).unlink()
    (run / BAD).mkdir()


def swapped(run):
    (run / BAD).rename(run / "x")
    (run / OTHER).rename(run / BAD)
    (run / "x").rename(run / OTHER)


def no_array(run):
    with h5py.File(run / BAD, "r+") as file:
        del file["ensemble/prior"]


DAMAGE = {
    "cut off at once": (cut(0.0), "damaged", "empty"),
    "cut off in the superblock": (cut(0.0003), "damaged", "cannot be read"),
    "cut off in the header": (cut(0.1), "damaged", "truncated"),
    "cut off in the middle": (cut(0.5), "damaged", "truncated"),
    "cut off near the end": (cut(0.999), "damaged", "truncated"),
    "zeros at the beginning": (overwrite(0.0, 512, 0), "damaged", "cannot be read"),
    "a page of zeros in the header": (overwrite(0.05, 4096, 0), "damaged", ""),
    "a page of ones in the tables": (overwrite(0.6, 4096, 255), "damaged", ""),
    "text in its place": (overwrite(0.0, 10**6, 65), "damaged", "cannot be read"),
    "a bit of the number of a start": (flip("ensemble/start", 2), "damaged", "row 2"),
    "a bit of the mark of a start": (flip("ensemble/committed", 1, bit=0), "damaged", "row 1"),
    "a bit of the end of a start": (flip("ensemble/finished", 3, bit=0), "damaged", "row 3"),
    "a bit of what a start became": (flip("ensemble/same_as", 3), "damaged", "row 3"),
    "a bit of an action": (flip("ensemble/action", 2, 7, byte=3), "damaged", "rung 7 of start 4"),
    "a bit of a reason": (flip("ensemble/reason", 2, 7, bit=0), "damaged", ""),
    "a bit of a parameter": (flip("ensemble/parameters", 4, 5, 0, byte=6), "damaged", "rung 5 of start 8"),
    "a bit of a path": (flip("paths/states", 3, 40, 1), "damaged", "the path of start"),
    "a bit of a path's parameter": (flip("paths/parameters", 1, 0), "damaged", "the path of start"),
    "a bit of a path's rung": (flip("paths/rung", 1, bit=1), "damaged", "the path of start"),
    "a bit of the data": (flip_header("windows/data"), "damaged", "header"),
    "a bit of the ladder": (flip_header("axes/rf"), "damaged", "header"),
    "another seed in an attribute": (attribute("seed", "8"), "damaged", "header"),
    "another rank in an attribute": (attribute("rank", 5), "damaged", "attributes"),
    "an array that is gone": (no_array, "damaged", "cannot be read"),
    "a directory": (folder, "damaged", "not a file"),
    "another run's": (replaced_by(seed=3), "foreign", "another run"),
    "an older layout": (attribute("version", min(RESUMABLE) - 1), "older", f"version {min(RESUMABLE) - 1}"),
    "a newer layout": (attribute("version", VERSION + 1), "foreign", f"version {VERSION + 1}"),
    "some other file": (attribute("schema", "results"), "foreign", "not a file of an hpcda run"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_shard_is_refused_and_set_aside_by_name(here, run, layout, expected, kind):
    damage, name, reason = DAMAGE[kind]
    damage(run)
    verdict = inspect(run / BAD, layout.fingerprint)
    assert verdict.kind == name and reason in verdict.reason
    with pytest.raises(InputError) as caught:
        everything(run)
    (mistake,) = caught.value.mistakes
    assert "rank-000" in mistake.place + mistake.problem and mistake.remedy
    (aside,) = set_aside(run, layout.fingerprint)
    assert aside.shard == run / BAD and aside.now.name == f"rank-0000.h5.{name}" and aside.now.exists()
    assert verdict.reason in str(aside) and str(run / BAD) in str(aside)
    rest = RunFile(run)
    np.testing.assert_array_equal(rest.start, np.arange(1, STARTS, RANKS))
    full = pickle.loads(expected)
    np.testing.assert_array_equal(rest.table("action"), full["action"][1::RANKS])
    assert set_aside(run, layout.fingerprint) == []


def test_whole_shards_stay(run, layout, expected):
    assert set_aside(run, layout.fingerprint) == set_aside(run) == []
    assert everything(run) == expected


def test_shards_that_changed_names_are_read_as_what_they_are(run, layout, expected):
    swapped(run)
    assert set_aside(run, {layout.fingerprint, "of a shorter ladder"}) == []
    assert pickle.loads(everything(run))["start"].tolist() == list(range(STARTS))
    (run / "run.h5").unlink()
    np.testing.assert_array_equal(RunFile(run).table("action"), pickle.loads(expected)["action"])


def test_a_missing_shard_is_told(run):
    (run / OTHER).unlink()
    with pytest.raises(InputError, match="rank-0001.h5"):
        RunFile(run)


def test_names_that_are_taken(here, run, layout):
    for _ in range(2):
        shutil.copy(run / OTHER, run / BAD)
        cut(0.5)(run)
        set_aside(run)
    assert {one.name for one in (run / "shards").iterdir()} == {
        "rank-0000.h5.damaged", "rank-0000.h5.damaged-1", "rank-0001.h5",
    }  # fmt: skip


def test_shards_that_others_write_are_left_alone(run):
    marker_of(run / BAD).write_text("elsewhere 1 1")
    cut(0.5)(run)
    assert set_aside(run) == []


def test_a_shard_that_may_not_be_read_stays(run):
    (run / BAD).chmod(0)
    with unprivileged(), pytest.raises(InputError, match="no permission to read it"):
        set_aside(run)
    assert (run / BAD).exists()


def test_an_index_that_is_damaged_is_made_again(here, run, expected):
    content = (run / "run.h5").read_bytes()
    rng = generator(0)
    for k in range(12):
        wrong = bytearray(content)
        wrong[rng.integers(len(wrong))] ^= 1 << rng.integers(8)
        (run / "run.h5").write_bytes(bytes(wrong) if k else content[:5000])
        assert everything(run) == expected
        assert (run / "run.h5").read_bytes() != bytes(wrong)


def test_flipped_bits_anywhere(run, layout, expected):
    """Whatever a flipped bit does, a reader tells what was written, or refuses."""
    content = (run / BAD).read_bytes()
    rng = generator(1)
    files = []
    for k in range(60):
        wrong = bytearray(content)
        place = rng.integers(len(wrong) if k % 2 else 40_000)
        wrong[place] ^= 1 << rng.integers(8)
        files.append(run / f"wrong-{k}.h5")
        files[-1].write_bytes(wrong)
    verdicts = inspect_apart(files, {layout.fingerprint}, patience=5.0)
    assert sum(verdict.kind != "ok" for verdict in verdicts) > 10
    harmless = [file for file, verdict in zip(files, verdicts, strict=True) if verdict.kind == "ok"]
    for file in harmless[:: max(1, len(harmless) // 5)]:
        file.replace(run / BAD)
        assert everything(run) == expected


def test_a_file_that_ends_the_reading_process_is_damaged(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("hpcda.store.inspection.RATE", 1e12)
    os.mkfifo(tmp_path / "fifo")
    good = whole / BAD
    assert [one.kind for one in inspect_apart([good, tmp_path / "fifo", good])] == ["ok", "damaged", "ok"]
    (late,) = inspect_apart([good], patience=0.0)
    assert late.reason == "it cannot be read: HDF5 does not return"
    monkeypatch.setattr("hpcda.store.inspection.SERVE", "import os; os.kill(os.getpid(), 11)")
    (crashed,) = inspect_apart([good])
    assert crashed.reason == "it cannot be read: HDF5 crashes"


def test_a_copy_in_a_directory_that_is_only_read(run, expected, monkeypatch):
    os.utime(run / BAD)

    def refuse(_):
        raise StorageError("run.h5", "read-only", "")

    monkeypatch.setattr("hpcda.store.index.build_index", refuse)
    assert everything(run) == expected
    (run / "run.h5").unlink()
    with pytest.raises(InputError, match="make the directory writable"):
        RunFile(run)
