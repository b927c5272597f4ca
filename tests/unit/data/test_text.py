# ruff: noqa: E501
"""Text files: names or data in the first row, marks of missing values, cells that are no numbers."""

import csv
import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hpcda.build import build_problem
from hpcda.data import read_table
from hpcda.errors import InputError
from hpcda.job import load_job
from tests.unit.fuzzing import cases

NAN = np.nan


def job(file, **data):
    table = {"file": str(file), "time": 0, "observed": {"x": 1}, "noise_std": 0.1, "gaps": True, **data}
    return load_job(
        {"model": {"name": "lorenz63"}, "data": table, "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2}}
    )


def data_of(tmp_path, text, **data):
    file = tmp_path / "d.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    (window,) = build_problem(job(file, **data)).problem.windows
    return window.data[:, 0]


def refused(tmp_path, text, **data):
    with pytest.raises(InputError) as caught:
        data_of(tmp_path, text, **data)
    return caught.value.mistakes


BY_NAME = {"time": "t", "observed": {"x": "x"}}
# text, what the job says of it, the data
READ = [
    # an odd cell of a column that is not used, in the first row
    ("# t y x\n0.0 *** 2.0\n0.25 1.8 1.8\n0.5 1.6 1.6\n", {"observed": {"x": 2}}, [2.0, 1.8, 1.6]),
    ("0.0,LOD,2.0\n0.25,1.8,1.8\n0.5,1.6,1.6\n", {"observed": {"x": 2}}, [2.0, 1.8, 1.6]),
    ("0,-,2\n1,1.8,1.8\n2,1.6,1.6\n", {"observed": {"x": 2}}, [2.0, 1.8, 1.6]),
    ("0,inf,2\n1,1.8,1.8\n2,1.6,1.6\n", {"observed": {"x": 2}}, [2.0, 1.8, 1.6]),
    ("0,<0.1,2\n3,1.8,1.8\n6,1.6,1.6\n", {"observed": {"x": 2}}, [2.0, 1.8, 1.6]),
    ("0,nan\n1,1.8\n2,1.6\n", {}, [NAN, 1.8, 1.6]),
    ("0,NA\n1,1.8\n2,1.6\n", {}, [NAN, 1.8, 1.6]),
    ("0,\n1,1.8\n2,1.6\n", {}, [NAN, 1.8, 1.6]),
    # labels that are repeated
    ("a,0,2\na,2,1.8\nb,4,1.6\n", {"time": 1, "observed": {"x": 2}}, [2.0, 1.8, 1.6]),
    # names
    ("t,x\n0,2\n1,1.8\n", {}, [2.0, 1.8]),
    ("t,x\n0,2\n1,1.8\n", BY_NAME, [2.0, 1.8]),
    (",x\n0,2\n1,1.8\n", {}, [2.0, 1.8]),
    ("t,Na\n0,2\n1,1.8\n", {"time": "t", "observed": {"x": "Na"}}, [2.0, 1.8]),
    ("t,0,1\n0,2,3\n1,1.8,3\n", {"time": "t", "observed": {"x": "0"}}, [2.0, 1.8]),
    ("0,1\n0,2\n1,1.8\n", {"time": "0", "observed": {"x": "1"}}, [2.0, 1.8]),
    ("2001,x\n0,2\n1,1.8\n", {"time": "2001", "observed": {"x": "x"}}, [2.0, 1.8]),
    ("t,x\n0,2\n1,1.8\n", {"header": True}, [2.0, 1.8]),
    ("0,1\n0.0,2.0\n1.0,1.8\n", {"header": True}, [2.0, 1.8]),
    ("0,1\n0.5,0.9\n1.0,0.8\n1.5,0.7\n", {}, [1.0, 0.9, 0.8, 0.7]),
    ("0 1\n1 3\n2 5\n", {}, [1.0, 3.0, 5.0]),
    ("0,LOD,2\n5,1.8,1.8\n", {"observed": {"x": 2}, "header": False}, [2.0, 1.8]),
    # blank lines, comments, a byte order mark, quotes, blanks around cells
    ("\n\n  \n# t,x\nt,x\n\n0,2\n# 1,1\n1,1.8\n", BY_NAME, [2.0, 1.8]),
    ("  # indented\nt,x\n0,2\n1,1.8\n", BY_NAME, [2.0, 1.8]),
    ("\ufefft,x\n0,2\n1,1.8\n", BY_NAME, [2.0, 1.8]),
    ("\ufeff0,2\n1,1.8\n2,1.6\n", {}, [2.0, 1.8, 1.6]),
    ('"t","x"\n"0","2"\n"1","1.8"\n', BY_NAME, [2.0, 1.8]),
    ('t, "x"\n0, "2"\n1, 1.8\n', BY_NAME, [2.0, 1.8]),
    ('"t" "x"\n"0" 2\n1   "1.8"\n', BY_NAME, [2.0, 1.8]),
    ('"a, b","x"\n0,2\n1,1.8\n', {"time": "a, b", "observed": {"x": "x"}}, [2.0, 1.8]),
    # columns of text that are not used
    ("t,who,x\n0,ann,2\n1,bob,1.8\n", BY_NAME, [2.0, 1.8]),
    # cells that stand for missing values
    ("t,x\n0,2\n1,<LOD\n2,-\n3,1.8\n", {**BY_NAME, "missing": ["<LOD", "-"]}, [2.0, NAN, NAN, 1.8]),
    ("t,x\n0,2\n1,-999\n2,1.8\n", {**BY_NAME, "missing": [-999], "gaps": False}, [2.0, NAN, 1.8]),
    ("t,x\n0,2\n1,-999.0\n2,1.8\n", {**BY_NAME, "missing": [-999]}, [2.0, NAN, 1.8]),
    ("t,x\n0,2\n1,-999\n2,1.8\n", {**BY_NAME, "missing": []}, [2.0, -999.0, 1.8]),
    ("t,x\n-999,2\n-998,1.8\n", {**BY_NAME, "missing": [-999]}, [2.0, 1.8]),
    # marks that are within what the others span
    ("t,x\n0,-30000\n1,-32768\n2,31000\n", BY_NAME, [-30000, -32768, 31000]),
    ("t,x\n0,990\n1,999\n2,1005\n", BY_NAME, [990, 999, 1005]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keys", "expected"), READ)
def test_what_is_read(tmp_path, text, keys, expected):
    np.testing.assert_array_equal(data_of(tmp_path, text, **keys), expected)


# text, what the job says of it, the place, a part of the problem, a part of the remedy
REFUSED = [
    ("0,LOD,2\n5,1.8,1.8\n", {"observed": {"x": 2}}, "d.csv, line 1", "may be names", "header = true"),
    ("t,0,1\n0,2,3\n1,1.8,3\n", {}, "d.csv, line 1", "may be names", "header = false"),
    ("id,0.5,1.5\na,0.1,3.7\nb,0.7,3.2\n", {"time": 1, "observed": {"x": 2}}, "d.csv, line 1", "may be names", "header"),
    ("0,1\n10.0,2.5\n10.5,1.8\n", {}, "d.csv, line 1", "'0, 1' may be names or data", "header = true"),
    ("0,***\n1,1.8\n2,1.6\n", {}, "d.csv, line 1, column '1'", "'***' is not a finite number", "missing = ['***']"),
    ("0,LOD\n1,1.8\n2,1.6\n", {}, "d.csv, line 1, column '1'", "'LOD' is not a finite number", "header = true"),
    ("t,x\n0,2\n1,<LOD\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "'<LOD'", "missing = ['<LOD']"),
    ("t,x\n0,2\n1,inf\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "'inf'", "leave it empty"),
    ("t,x\n0,2\n1,-\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "'-'", "leave it empty"),
    ("t,x\n0,2\n#N/A,1.9\n2,1.8\n", BY_NAME, "d.csv, line 3, column 't'", "'#N/A'", "write a number"),
    ("t,x\n0,2\n2020-03-01,1.9\n", BY_NAME, "d.csv, line 3, column 't'", "'2020-03-01'", "write a number"),
    ("t,x\n0,2\n1,-999\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "-999 looks like a missing-value mark", "missing = [-999]"),
    ("t,x\n0,2\n1,9999.0\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "the others lie between 1.8 and 2", "missing = [9999.0]"),
    ("t,x\n0,2\n1,1e20\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "1e20", "missing = []"),
    ("t,x\n0,2\n1,1e300\n2,1.8\n", BY_NAME, "d.csv, line 3, column 'x'", "too large to be squared", "units"),
    ("t,x,s\n0,2,1\n1,1.9,1e-300\n2,1.8,1\n", {**BY_NAME, "noise_std": {"column": "s"}}, "d.csv, line 3, column 's'", "too small to be squared", "standard deviation"),
    ("0 2.0 3\n0,5 1,9 3\n", {}, "d.csv, line 2, column '0'", "'0,5' is not a finite number", "write a number"),
    ("0,0 2,0\n0,5 1,9\n1,0 1,8\n", {"observed": {"x": 2}}, "d.csv, line 1", "'0 2' holds two numbers", "decimal points"),
    ("0,0;2,0\n0,5;1,9\n", {}, "d.csv, line 1", "'0;2' holds two numbers", "decimal points"),
    ("0,0\t2,0\n0,5\t1,9\n", {}, "d.csv, line 1", "holds two numbers", "decimal points"),
    (b"t,\xb5\n0,2\n1,2\n", {}, "data.file", "UTF-8", "save it"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keys", "place", "problem", "remedy"), REFUSED)
def test_what_is_refused(tmp_path, text, keys, place, problem, remedy):
    (one,) = [one for one in refused(tmp_path, text, **keys) if one.place == place]
    assert problem in one.problem
    assert remedy in one.remedy


def test_marks_outside_the_part_that_is_used(tmp_path):
    text = "t,x\n0,2\n1,1.9\n2,1.8\n3,-999\n"
    np.testing.assert_array_equal(data_of(tmp_path, text, **BY_NAME, to=2.0), [2, 1.9, 1.8])


def test_a_header_has_no_effect_on_arrays(tmp_path):
    np.savez(tmp_path / "d.npz", t=np.arange(3.0), x=np.ones(3))
    with pytest.raises(InputError) as caught:
        build_problem(job(tmp_path / "d.npz", **BY_NAME, header=True))
    assert caught.value.mistakes[0].place == "data.header"


@pytest.mark.parametrize("value", [[True], [None], ["x", [1]], 3, [float("nan")], [10**400], "x"])
def test_marks_that_are_none(tmp_path, value):
    with pytest.raises(InputError) as caught:
        job(tmp_path / "d.csv", missing=value)
    assert caught.value.mistakes[0].place.startswith("data.missing")


numbers = st.floats(-50, 50).map(lambda x: round(x, 3))
names = st.text("bcxyzÅσ_ ", min_size=1, max_size=5).filter(lambda name: any(map(str.isalpha, name)))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=6), st.lists(names, min_size=3, max_size=3))
@cases(100)
def test_what_a_writer_wrote_is_read(tmp_path, rows, heads):
    """csv.writer, with and without names: the same numbers, or a question; never a row less."""
    assume(len({head.strip() for head in heads}) == 3)
    table = [(0.25 * k, *row) for k, row in enumerate(rows)]
    for head in ([], [heads]):
        stream = io.StringIO()
        csv.writer(stream).writerows([*head, *table])
        file = tmp_path / "d.csv"
        file.write_text(stream.getvalue(), encoding="utf-8")
        read = read_table(file, "data.file", 0, (1,))
        assert read.named == bool(head)
        for k in range(3):
            np.testing.assert_array_equal(read.numbers(k, "x"), [row[k] for row in table])


@given(
    st.lists(st.tuples(numbers, numbers), min_size=3, max_size=6),
    st.sampled_from(["***", "-", "<LOD", "LOD", "?", "inf", "x", "NA", "", "nan", "1e", "#N/A"]),
    st.integers(0, 4),
)
@cases(100)
def test_no_row_is_lost_to_an_odd_cell(tmp_path, rows, odd, where):
    """An odd cell of a column that is not used, in any row, leaves all rows of the others, or a question."""
    table = [[repr(0.25 * k), repr(a), repr(b)] for k, (a, b) in enumerate(rows)]
    table[min(where, len(rows) - 1)][1] = odd
    file = tmp_path / "d.csv"
    file.write_text("\n".join(map(",".join, table)))
    try:
        read = read_table(file, "data.file", 0, (2,))
    except InputError as error:
        assert "may be names" in error.mistakes[0].problem
        return
    np.testing.assert_array_equal(read.numbers(2, "x"), [b for _, b in rows])
