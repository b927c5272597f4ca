"""The lock of a run: held by one at a time, and by nobody who is dead; with real processes."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpcda import lock
from hpcda.errors import InputError, StorageError
from hpcda.lock import Holder, RunLock, holder, left_by
from hpcda.process import alive, born
from tests.waiting import PATIENCE, until

HOLD = """
import sys, time
from hpcda.lock import RunLock
with RunLock({folder!r}, {part!r}):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other(folder, part=""):
    """Another process that holds the lock until it is told to go, or killed."""
    code = HOLD.format(folder=str(folder), part=part)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate("\n", timeout=PATIENCE)


def left(folder, **changes):
    """A lock file that somebody left behind."""
    values = {"host": "elsewhere", "pid": 1, "born": 7, "since": time.time(), "token": "x"} | changes
    (folder / "lock").write_text(json.dumps(values))


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    assert holder(tmp_path) is None and left_by(tmp_path) is None
    with other(tmp_path) as first:
        with pytest.raises(InputError) as caught, RunLock(tmp_path):
            pass
        (mistake,) = caught.value.mistakes
        assert f"process {first.pid} on {os.uname().nodename}, since" in mistake.problem
        assert "--output DIR" in mistake.remedy
        assert holder(tmp_path).pid == first.pid
    assert holder(tmp_path) is None and left_by(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    with RunLock(tmp_path):
        assert holder(tmp_path).pid == os.getpid()
        with pytest.raises(InputError, match="another process is writing it"), RunLock(tmp_path):
            pass


def test_a_killed_owner_holds_nothing(tmp_path):
    with other(tmp_path) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert holder(tmp_path) is None
        assert left_by(tmp_path).pid == first.pid
        with RunLock(tmp_path):
            assert holder(tmp_path).pid == os.getpid() and left_by(tmp_path) is None
    assert left_by(tmp_path) is None


def test_a_stopped_owner_still_holds_it(tmp_path):
    with other(tmp_path) as first:
        os.kill(first.pid, signal.SIGSTOP)
        assert holder(tmp_path).pid == first.pid
        os.kill(first.pid, signal.SIGCONT)


def test_waiting(tmp_path):
    with other(tmp_path) as first:
        code = "from hpcda.lock import RunLock\nprint('comes', flush=True)\n"
        code += f"with RunLock({str(tmp_path)!r}, wait={PATIENCE}):\n    print('got')"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout.readline() == "comes\n"
            time.sleep(0.8)  # it is let to find the lock taken
            assert second.poll() is None
            first.communicate("\n", timeout=PATIENCE)
            assert second.communicate(timeout=PATIENCE)[0] == "got\n"


def test_of_many_that_come_at_once_one_gets_it(tmp_path):
    left(tmp_path, host=os.uname().nodename, pid=2**22 - 3)
    code = HOLD.format(folder=str(tmp_path), part="")
    commands = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(5)
    ]
    until(lambda: sum(one.poll() is not None for one in commands) >= 4, "four of five are refused")
    refused = [one for one in commands if one.poll() is not None]
    (winner,) = [one for one in commands if one.poll() is None]
    assert holder(tmp_path).pid == winner.pid
    for one in refused:
        assert b"another process is writing it" in one.communicate()[1]
    assert winner.communicate(b"\n", timeout=PATIENCE)[0] == b"held\n"
    assert winner.returncode == 0


def test_parts_work_side_by_side(tmp_path):
    with other(tmp_path, "1/4") as first, RunLock(tmp_path, "2/4"):
        assert {one.part for one in lock._holders(tmp_path)} == {"1/4", "2/4"}
        assert holder(tmp_path, "1/4").pid == first.pid and holder(tmp_path, "3/4") is None
        for part, by in (("", "part"), ("1/4", f"process {first.pid}"), ("3/5", "part")):
            with pytest.raises(InputError, match=by), RunLock(tmp_path, part):
                pass
        with RunLock(tmp_path, "3/4"):
            pass
    with RunLock(tmp_path), pytest.raises(InputError, match="another process"), RunLock(tmp_path, "2/4"):
        pass
    with RunLock(tmp_path, "3/5"):
        pass
    with pytest.raises(ValueError, match="not a part"):
        RunLock(tmp_path, "4")


def test_the_last_part_leaves_nothing_behind(tmp_path):
    with RunLock(tmp_path, "1/3"):
        with other(tmp_path, "2/3"), RunLock(tmp_path, "3/3"):
            pass
        assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "lock.1-3"]
        with pytest.raises(InputError, match="part 1/3"), RunLock(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


TURNS = """
import sys
from hpcda.errors import InputError
from hpcda.lock import RunLock
folder, part = sys.argv[1:]
had = 0
for _ in range(150):
    try:
        with RunLock(folder, part, wait=100.0):
            had += 1
    except InputError:
        pass
print(had)
"""


def test_parts_that_come_and_go_at_once(tmp_path):
    """The shared file is made and removed all the time; every part gets its lock each time."""
    commands = [[sys.executable, "-c", TURNS, str(tmp_path), f"{part}/3"] for part in (1, 2, 3)]
    every = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    assert [one.communicate(timeout=PATIENCE)[0] for one in every] == ["150\n"] * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "free some space, then"), (errno.EDQUOT, "free some of the quota, then")],
)
def test_no_room_is_no_mistake_of_the_input(tmp_path, monkeypatch, code, remedy):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError) as caught, RunLock(tmp_path):
        pass
    assert f"{os.strerror(code)}\n    {remedy} begin again" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "job.toml").write_text("")
    with pytest.raises(StorageError, match=f"then `hpcda resume {tmp_path}`"), RunLock(tmp_path):
        pass


def test_an_owner_on_another_host_lives_while_it_is_heard_of(tmp_path):
    left(tmp_path)
    with pytest.raises(InputError, match="process 1 on elsewhere"), RunLock(tmp_path):
        pass
    assert holder(tmp_path).host == "elsewhere"
    silent = time.time() - lock.SILENT - 5
    os.utime(tmp_path / "lock", (silent, silent))
    assert holder(tmp_path) is None and left_by(tmp_path).host == "elsewhere"
    with RunLock(tmp_path):
        pass


@pytest.mark.parametrize(
    ("answer", "code", "held"),
    [("RUNNING", 0, True), ("SUSPENDED", 0, True), ("COMPLETED", 0, False), ("", 0, False)],
)
def test_slurm_knows_better_than_silence(tmp_path, monkeypatch, answer, code, held):
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho {answer}\nexit {code}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    left(tmp_path, job="17")
    silent = time.time() - lock.SILENT - 5
    os.utime(tmp_path / "lock", (silent, silent))
    assert (holder(tmp_path) is not None) == held
    squeue.write_text("#!/bin/sh\necho slurm_load_jobs error: Invalid job id specified >&2\nexit 1\n")
    os.utime(tmp_path / "lock")
    assert holder(tmp_path) is None
    squeue.write_text("#!/bin/sh\necho cannot reach the controller >&2\nexit 1\n")
    assert holder(tmp_path) is not None


def test_a_requeued_job_is_not_kept_out_by_its_former_process(tmp_path, monkeypatch):
    left(tmp_path, job="17", requeues=0)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with RunLock(tmp_path):
        assert holder(tmp_path).requeues == 1


def test_heartbeats(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.05)
    with RunLock(tmp_path):
        os.utime(tmp_path / "lock", (1.0, 1.0))
        until(lambda: (tmp_path / "lock").stat().st_mtime > 1.0, "a heartbeat")


def test_a_number_that_another_process_has_by_now(tmp_path):
    assert alive(os.getpid(), born(os.getpid()))
    assert not alive(os.getpid(), born(os.getpid()) + 1)
    assert not alive(2**22 - 3, 0)


@pytest.mark.parametrize("text", ["", "{}", "[]", "\0", '{"host": 1}'])
def test_a_lock_file_that_says_nothing(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        assert isinstance(holder(tmp_path), Holder)


def test_no_such_directory(tmp_path):
    with pytest.raises(InputError, match="cannot lock it"), RunLock(tmp_path / "nothing"):
        pass
    assert not Path(tmp_path / "nothing").exists()
