"""What `hpcda status` says: running, stopped, dead, done, failed; and what Slurm says."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hpcda.errors import InputError
from hpcda.lock import SILENT
from hpcda.progress import Progress, Snapshot, duration
from hpcda.status import describe, status
from tests.waiting import PATIENCE

HOST = os.uname().nodename
RUN = """
import sys, time
from pathlib import Path
from hpcda.progress import Progress
from hpcda.lock import RunLock
folder = Path({folder!r})
with RunLock(folder):
    progress = Progress(folder, starts=10, rungs=100, quiet=True)
    progress._next_file = 0.0
    time.sleep(0.1)
    progress.update(done=2, rungs_done=25, failed=1)
    print("here", flush=True)
    sys.stdin.readline()
    progress.finish("stopped", "SIGTERM")
"""


def first(folder, now=None):
    return status(folder, time.time() if now is None else now).splitlines()


def test_running_stopped_and_dead(tmp_path):
    for end in ("stopped", "dead"):
        command = [sys.executable, "-c", RUN.format(folder=str(tmp_path))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "here\n"
            lines = first(tmp_path)
            assert lines[0].startswith("running: 2/10 starts, 25/100 rungs, 1 failed") and " left" in lines[0]
            assert lines[2].startswith("8 starts at work or waiting, ") and "rungs a second" in lines[2]
            assert "no news for 10 min" in first(tmp_path, time.time() + 600)[-1]
            if end == "dead":
                os.kill(process.pid, signal.SIGKILL)
            process.communicate("\n", timeout=PATIENCE)
        lines = first(tmp_path)
        assert lines[0].startswith(f"{end}: 2/10 starts, 25/100 rungs, 1 failed") and " left" not in lines[0]
        assert lines[-1].endswith(f"`hpcda resume {tmp_path}` continues the run")
        if end == "dead":
            assert f"process {process.pid} on {HOST} has ended: it was killed" in lines[-1]
        else:
            assert "reason: SIGTERM" in lines


def test_a_run_whose_lock_is_gone_is_asked_for_by_its_process(tmp_path):
    now = time.time()
    here = Snapshot("running", 4, 8, 1, HOST, os.getpid(), now, now)
    assert describe(tmp_path, here, now)[0].startswith("running")
    gone = Snapshot("running", 4, 8, 1, HOST, os.getpid(), now, now, born=1)
    assert describe(tmp_path, gone, now)[0].startswith("dead")
    there = Snapshot("running", 4, 8, 1, "elsewhere", 1, now, now)
    assert describe(tmp_path, there, now + SILENT - 1)[0].startswith("running")
    assert "has been silent for 2 min" in describe(tmp_path, there, now + SILENT + 1)[-1]


def test_parts(tmp_path):
    for number, state in ((1, "stopped"), (2, "failed")):
        mark = f"p{number}of2"
        progress = Progress(tmp_path, starts=4, rungs=8, quiet=True, mark=mark)
        (tmp_path / "shards").mkdir(exist_ok=True)
        (tmp_path / "shards" / f"rank-{mark}-0000.h5").touch()
        os.utime(tmp_path / "shards" / f"rank-{mark}-0000.h5", (1000.0 * number, 1000.0 * number))
        progress.finish(state, "SIGTERM")
    now = time.time()
    text = status(tmp_path, now)
    lines = text.splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [
        "part 1 of 2 stopped",
        "part 2 of 2 failed",
    ]
    for number in (1, 2):
        assert f"  `hpcda resume {tmp_path} --part {number}/2` continues the run" in lines
        assert f"  last commit {duration(now - 1000.0 * number)} ago" in lines


def test_the_last_commit(tmp_path):
    Progress(tmp_path, starts=4, rungs=8, quiet=True)
    (tmp_path / "shards").mkdir()
    shard = tmp_path / "shards" / "rank-0000.h5"
    shard.touch()
    assert "last commit 1 min 30 s ago" in first(tmp_path, shard.stat().st_mtime + 90)


def test_done(tmp_path):
    with Progress(tmp_path, starts=1, rungs=2, quiet=True) as progress:
        progress.update(done=1, rungs_done=2, lowest=3.5)
    lines = first(tmp_path)
    assert lines[0].startswith("done: 1/1 start, 2/2 rungs, lowest action 3.5") and len(lines) == 2


SLURM = [
    ({"squeue": "17|RUNNING|1:02|2:00|node1"}, "Slurm job 17: RUNNING, 1:02 of 2:00, on node1"),
    ({"squeue": "17|PENDING|0:00|2:00|(Resources)"}, "Slurm job 17: PENDING, 0:00 of 2:00, (Resources)"),
    (
        {"squeue": "17_1|RUNNING|1:02|2:00|node1\n17_2|PENDING|0:00|2:00|(Priority)"},
        "Slurm job 17_2: PENDING",
    ),
    (
        {"squeue": "", "scontrol": "JobId=17 JobName=a b JobState=TIMEOUT Reason=TimeLimit ExitCode=75:0"},
        "Slurm job 17, submitted 2026-01-02T03:04:05: TIMEOUT, exit code 75",
    ),
    ({"squeue": ""}, "no longer known to Slurm"),
    ({}, "squeue is not available here"),
]


@pytest.mark.parametrize(("answers", "text"), SLURM)
def test_slurm(tmp_path, monkeypatch, answers, text):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in answers:
        (commands / name).write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{answers[name]}\nEND\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands))
    known = {"job": "17", "submitted": "2026-01-02T03:04:05", "script": "x"}
    (tmp_path / "slurm.json").write_text(json.dumps(known))
    lines = first(tmp_path)
    assert lines[0] == "not begun" and text in "\n".join(lines)
    Progress(tmp_path, starts=1, rungs=1, quiet=True)
    assert text in "\n".join(first(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", "\0", '{"job": null'])
def test_a_damaged_slurm_file(tmp_path, text):
    (tmp_path / "slurm.json").write_text(text)
    with pytest.raises(InputError, match="holds no progress"):
        status(tmp_path, 0.0)
    Progress(tmp_path, starts=1, rungs=1, quiet=True)
    assert first(tmp_path)[0].startswith("running")
