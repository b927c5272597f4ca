"""A full disk, and a directory that goes: one message, exit code 1, what was committed is whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hpcda import runner
from hpcda.status import status
from hpcda.store import RunFile
from hpcda.store.inspection import inspect
from hpcda.store.quarantine import set_aside
from tests.lives.compare import same_run
from tests.mpi.launching import ALONE, JOB, PATIENCE, environment, mpirun
from tests.waiting import until

pytestmark = ALONE

# Enough starts for some megabytes of paths.
LARGE = (
    JOB.format(model="lorenz63")
    .replace("samples = 31", "samples = 301")
    .replace("starts = 60", "starts = 2000")
)
LARGE += 'keep_paths = "all"\n[solver]\nmax_iterations = 3\n'
LARGE = LARGE.replace("starts = 2000", 'starts = 2000\nway = "uniform"\nmerge = false')
STARTS = 130
MEDIUM = LARGE.replace("starts = 2000", f"starts = {STARTS}").replace(
    "max_iterations = 3", "max_iterations = 8"
)


@pytest.fixture
def small(tmp_path):
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount") or "mount"
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def written(folder, job):
    (folder / "job.toml").write_text(job)
    return folder / "job.toml"


def hpcda_on(ranks, *words):
    """The command on so many ranks."""
    command = [sys.executable, "-m", "hpcda", *map(str, words), "--quiet"]
    if ranks > 1:
        return mpirun(*command, ranks=ranks)
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )


def gone(run):
    """Wait for the ranks of a run: mpirun returns while the last of those that it ends may still be there."""
    until(lambda: not status(run, time.time()).startswith("running"), "the ranks have ended")


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_run_on_a_full_disk_goes_on_once_there_is_room(tmp_path, small, ranks):
    run = small / "run"
    full = hpcda_on(ranks, "run", written(tmp_path, MEDIUM), "--output", run)
    assert full.returncode == 1, full.stderr
    assert 1 <= full.stderr.count("No space left on device") <= ranks
    assert "free some space, then `hpcda resume" in full.stderr
    assert "Traceback" not in full.stderr and "HDF5-DIAG" not in full.stderr
    gone(run)
    lines = status(run, time.time()).splitlines()
    assert (
        lines[0].startswith(("failed: ", "dead: ")) and f"`hpcda resume {run}` continues the run" in lines[-1]
    )
    shards = sorted((run / "shards").glob("rank-*.h5"))
    assert {inspect(shard).kind for shard in shards} == {"ok"}  # the last rank may find no room for a shard
    assert set_aside(run) == []
    before = RunFile(shutil.copytree(run, tmp_path / "before"))
    assert 0 < before.finished.sum() < STARTS
    assert np.isfinite(before.table("action")[before.visited]).all()
    before.paths(np.arange(len(before.path_start)))
    again = hpcda_on(ranks, "resume", run)
    assert again.returncode == 1 and "No space left on device" in again.stderr, again.stderr
    assert f"free some space, then `hpcda resume {run}`" in again.stderr
    assert "Traceback" not in again.stderr
    gone(run)
    subprocess.run(["mount", "-o", "remount,size=32m", str(small)], check=True)
    assert runner.resume(run, quiet=True) == run
    found = RunFile(run)
    same_run(RunFile(runner.run(tmp_path / "job.toml", output=tmp_path / "whole", quiet=True)), found)
    had = np.isin(found.start, before.start[before.finished])
    np.testing.assert_array_equal(found.table("seconds")[had], before.table("seconds")[before.finished])
    assert not (run / "lock").exists() and not list((run / "shards").glob("*.open"))
    assert not list((run / "shards").glob("*.damaged"))


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    done = hpcda_on(1, "run", written(tmp_path, LARGE), "--output", tmp_path / "file" / "run")
    assert done.returncode == 2 and "output.directory" in done.stderr and "Traceback" not in done.stderr


LOST = """
import sys, shutil
from hpcda.cli import main
from hpcda.store import space
from hpcda.store.shard import Shard
space.LOOK_SECONDS = 0.2
begin, count = Shard.begin, [0]
def first(*words, **more):
    count[0] += 1
    if count[0] == 20:
        shutil.rmtree(sys.argv[-2])
    return begin(*words, **more)
Shard.begin = first
sys.exit(main(sys.argv[1:]))
"""


def test_a_directory_that_is_removed_in_mid_run(tmp_path):
    (tmp_path / "job.toml").write_text(LARGE)
    (tmp_path / "lost.py").write_text(LOST)
    command = [
        sys.executable,
        tmp_path / "lost.py",
        "run",
        tmp_path / "job.toml",
        "--output",
        tmp_path / "run",
    ]
    done = subprocess.run(
        [*command, "--quiet"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "rank-0000.h5: it cannot be written: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path(tmp_path / "run" / "shards").exists()
