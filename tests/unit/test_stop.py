"""When a run stops: signals, times as people write them, what Slurm says."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest

from hpcda.errors import InputError
from hpcda.stop import SIGNALS, TIME, Stop, deadline, sentence
from tests.waiting import until


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90s", 90),
        ("90 min", 5400),
        ("2:30", 150),
        ("1:30:00", 5400),
        ("1-00:00:01", 86401),
        ("0:05", 5),
    ],
)
def test_times(text, seconds):
    assert deadline(text, 1000.0) == 1000.0 + seconds


@pytest.mark.parametrize("text", ["90", "1.5", " 90 "])
def test_a_plain_number_which_other_commands_take_for_minutes_is_refused(text):
    with pytest.raises(InputError, match="has no unit") as caught:
        deadline(text, 0.0)
    remedy = caught.value.mistakes[0].remedy
    assert f"{text.strip()}s" in remedy and f"{text.strip()}min" in remedy


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-5", "0", 0, -5.0, float("nan"), float("inf"), "1:2:3:4", "1 y", "nan", "0:00:00", ":30"],
)
def test_no_times(text):
    with pytest.raises(InputError) as caught:
        deadline(text, 0.0)
    assert caught.value.mistakes[0].place == "--time-limit"


def test_without_a_limit():
    assert deadline(None, 0.0) is None


def squeue(folder, text, code=0):
    file = folder / "squeue"
    file.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    file.chmod(0o755)


def test_slurm(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    with pytest.raises(InputError, match="this is not a Slurm job"):
        deadline("slurm", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    squeue(tmp_path, "2026-11-22T12:00:00")
    expected = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
    assert deadline("slurm", 0.0) == expected
    squeue(tmp_path, "N/A")
    assert deadline("slurm", 0.0) is None
    squeue(tmp_path, "slurm_load_jobs error: Invalid job id specified", code=1)
    with pytest.raises(InputError, match="the end time of job 17: slurm_load_jobs error"):
        deadline("slurm", 0.0)
    monkeypatch.setenv("SLURM_JOB_END_TIME", "12345")
    assert deadline("slurm", 0.0) == 12345.0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_heard_and_handlers_come_back(number):
    was = signal.signal(number, signal.SIG_DFL)  # shells ignore SIGINT for what they run behind
    try:
        with Stop() as stop:
            assert stop.why == 0
            os.kill(os.getpid(), number)
            until(lambda: stop.why, "the signal is heard")
            assert stop.why == number and sentence(stop.why) == number.name
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, was)


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: stop.why, "the signal behind it is heard")
            assert stop.why == signal.SIGTERM
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_time_is_up_before_its_end_by_what_work_takes(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    times = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now)
    monkeypatch.setattr("hpcda.stop.time", times)

    def work(seconds):
        clock.now += seconds

    stop = Stop(clock.now)
    stop.deadline = 1100.0  # of which 5 s, a twentieth, are kept for closing
    stop.timed(lambda: work(20.0))
    stop.timed(lambda: work(10.0))
    assert stop.longest == 20.0 and stop.why == 0
    work(25.0)  # 1055 s: the next stretch may take 40 s
    assert stop.why == 0
    work(0.1)
    assert stop.why == TIME and sentence(stop.why) == "the time limit"
    stop = Stop(clock.now)
    stop.deadline = clock.now + 10_000.0  # no more than 10 s are kept
    work(9990.0)
    assert stop.why == 0
    work(0.1)
    assert stop.why == TIME
