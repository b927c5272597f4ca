"""Progress: the bar, the lines, progress.json, and what status tells."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.errors import InputError
from hpcda.progress import FILE, Progress, duration, read_progress
from tests.unit.fuzzing import cases


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


def test_a_log_gets_lines_at_times_that_double(tmp_path, clock):
    stream = io.StringIO()
    progress = Progress(tmp_path, starts=10, rungs=100_000, stream=stream, clock=clock)
    for second in range(86_400):
        clock.now = 1_000_000.0 + second
        if second % 5 == 0:
            progress.update(done=0, rungs_done=second)
    lines = stream.getvalue().splitlines()
    assert 100 < len(lines) < 200
    assert lines[0].startswith("0/10 starts, 10/100000 rungs, 10 s, about")


def test_a_terminal_gets_a_bar_that_ends_with_a_line(tmp_path, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with Progress(tmp_path, starts=4, rungs=8, stream=stream, clock=clock) as progress:
        for n in range(9):
            clock.now += 1.0
            progress.update(done=n // 2, rungs_done=n, failed=1, lowest=12.5)
    text = stream.getvalue()
    assert max(len(part) for part in text.split("\r")) < 100
    assert "[####" in text
    assert text.endswith("done: 4/4 starts, 8/8 rungs, 1 failed, lowest action 12.5, 9 s\n")


def test_quiet_writes_the_file_alone(tmp_path, clock):
    stream = Terminal()
    with Progress(tmp_path, starts=1, rungs=1, stream=stream, clock=clock, quiet=True) as progress:
        clock.now += 100.0
        progress.update(done=1, rungs_done=1)
    assert stream.getvalue() == ""
    assert read_progress(tmp_path).state == "done"


def test_the_file_is_whole_at_every_time(tmp_path, clock):
    progress = Progress(tmp_path, starts=2, rungs=4, ranks=3, stream=io.StringIO(), clock=clock)
    assert read_progress(tmp_path).state == "running"
    clock.now += 10.0
    progress.update(done=1, rungs_done=2, lowest=float("nan"))
    snapshot = read_progress(tmp_path)
    assert (snapshot.done, snapshot.rungs_done, snapshot.lowest, snapshot.ranks) == (1, 2, None, 3)
    assert snapshot.seconds == snapshot.remaining == 10.0
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    json.loads((tmp_path / FILE).read_text())


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt, "stopped"), (RuntimeError, "failed")])
def test_an_exception_is_told(tmp_path, clock, error, state):
    with pytest.raises(error), Progress(tmp_path, starts=1, rungs=1, stream=io.StringIO(), clock=clock):
        raise error("why")
    snapshot = read_progress(tmp_path)
    assert snapshot.state == state
    assert snapshot.reason


def test_a_lost_directory_and_a_closed_stream_do_not_end_a_run(tmp_path, clock):
    folder = tmp_path / "run"
    folder.mkdir()
    stream = io.StringIO()
    progress = Progress(folder, starts=1, rungs=1, stream=stream, clock=clock)
    (folder / FILE).unlink()
    folder.rmdir()
    stream.close()
    clock.now += 100.0
    progress.update(done=1, rungs_done=1)
    progress.finish("done")


def test_the_first_end_counts(tmp_path, clock):
    progress = Progress(tmp_path, starts=1, rungs=1, stream=io.StringIO(), clock=clock)
    progress.finish("stopped", "out of time")
    progress.finish("done")
    assert read_progress(tmp_path).state == "stopped"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "less than 1 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_no_run(tmp_path):
    for path in (tmp_path, tmp_path / "no", tmp_path / "file" / "x"):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError):
            read_progress(path)


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"state": 1}', b"[" * 20000]))
@cases(100)
def test_a_damaged_file(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError):
        read_progress(tmp_path)
