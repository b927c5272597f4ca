"""Lengths of time: one meaning for one text, wherever it is read."""

from __future__ import annotations

import pytest

from hpcda.cli.arguments import command_parser
from hpcda.errors import InputError
from hpcda.stop import deadline
from hpcda.times import for_sbatch, is_plain, seconds

LENGTHS = [
    ("90", 5400),
    ("90s", 90),
    ("90 s", 90),
    ("1.5 h", 5400),
    ("90min", 5400),
    ("2 d", 172800),
    ("2:30", 150),
    ("90:00", 5400),
    ("1:30:00", 5400),
    ("1-12", 129600),
    ("1-0:30", 88200),
    ("1-0:0:5", 86405),
]
NONE = (
    "",
    "0",
    "0 s",
    "soon",
    "1:2:3:4",
    "-5",
    "1-",
    "0:00",
    "90 m",
    "1e3 s",
    "nan",
    "٣ s",
    "9" * 400 + " d",
)


@pytest.mark.parametrize(("text", "expected"), LENGTHS)
def test_lengths(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", NONE)
def test_what_is_none(text):
    assert seconds(text) is None


@pytest.mark.parametrize(("text", "expected"), LENGTHS)
def test_run_and_submit_agree_or_run_refuses(text, expected):
    submitted = command_parser().parse_args(["submit", "job.toml", "--time", text]).time
    assert seconds(submitted) == expected
    if is_plain(text):
        with pytest.raises(InputError, match="has no unit"):
            deadline(text, 0.0)
    else:
        assert deadline(text, 0.0) == expected


@pytest.mark.parametrize(("text", "expected"), LENGTHS)
def test_what_sbatch_is_given_means_the_same(text, expected):
    given = for_sbatch(text)
    assert seconds(given) == expected
    assert not any(letter.isalpha() for letter in given)


def test_sbatch_is_given_whole_seconds_no_fewer():
    assert for_sbatch("1.5 s") == "0-00:00:02"
    assert for_sbatch("0.5") == "0-00:00:30"
