"""Words about what takes long, and its end."""

from __future__ import annotations

import io

from hpcda.patience import FIRST_WORD, Patience, tell
from hpcda.process import RANK_VARIABLES


def patient(limit, times):
    stream, clock = io.StringIO(), iter([0.0, *times])
    return Patience("digging", limit, stream, lambda: next(clock)), stream


def test_words_come_at_times_that_double_and_then_the_end():
    patience, stream = patient(50.0, [1.0, FIRST_WORD, 6.0, 9.9, 10.0, 45.0, 46.0, 50.0])
    assert [patience.lasts(f"{number} of 8") for number in range(8)] == [True] * 7 + [False]
    assert stream.getvalue().splitlines() == [
        "hpcda: digging has taken 5 s (1 of 8); it is stopped after 50 s",
        "hpcda: digging has taken 10 s (4 of 8); it is stopped after 50 s",
        "hpcda: digging has taken 45 s (5 of 8); it is stopped after 50 s",
    ]


def test_what_is_left():
    patience, _ = patient(50.0, [20.0, 60.0])
    assert patience.left == 30.0 and patience.left == -10.0


def test_rank_0_alone_speaks(monkeypatch):
    stream = io.StringIO()
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(RANK_VARIABLES[0], "1")
    tell("nothing", stream)
    monkeypatch.setenv(RANK_VARIABLES[0], "0")
    tell("this", stream)
    assert stream.getvalue() == "hpcda: this\n"
