# ruff: noqa: E501
"""Damaged files of data: an InputError that names the file, or a table of finite numbers."""

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import netcdf_file

from hpcda.build import build_problem
from hpcda.data import SUFFIXES, read_table
from hpcda.errors import InputError
from hpcda.job import load_job
from tests.unit.fuzzing import cases, scrambled

TIMES = 0.5 * np.arange(8.0)
COLUMNS = {"t": TIMES, "y0": np.sin(TIMES), "y1": np.full(8, 2.0)}


def _text(mark: str) -> bytes:
    rows = zip(*(values.tolist() for values in COLUMNS.values()), strict=True)
    return ("\n".join([mark.join(COLUMNS), *(mark.join(map(repr, row)) for row in rows)]) + "\n").encode()


def _saved(save: Any, *args: Any, **kwargs: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *args, **kwargs)
    return stream.getvalue()


PACKED = {
    "scale_factor": 0.01,
    "add_offset": 1.0,
    "_FillValue": np.int16(-5),
    "valid_range": np.array([-9, 99], "i2"),
}


def _hdf5(columns: dict[str, Any], attributes: Any = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, values in columns.items():
            made = file.create_dataset(f"group/{name}", data=values, **options)
            if name == "t":
                made.make_scale("t")
            else:
                made.attrs.update(attributes or {})
                made.dims[0].attach_scale(file["group/t"])
    return stream.getvalue()


def _classic(version: int) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".nc") as kept:
        with netcdf_file(kept.name, "w", version=version) as file:
            file.createDimension("t", None if version == 1 else 8)
            file.createVariable("t", "f8", ("t",))[:] = TIMES
            packed = file.createVariable("y0", "i2", ("t",))
            packed[:] = np.arange(8)
            for name, value in PACKED.items():
                setattr(packed, name, value)
        return Path(kept.name).read_bytes()


WHOLE = {
    ".csv": [_text(","), _text(";"), b"\xef\xbb\xbf# a comment\r\n" + _text(",").replace(b"\n", b"\r\n")],
    ".tsv": [_text("\t")],
    ".txt": [_text(" "), _text("  ").split(b"\n", 1)[1]],
    ".npy": [_saved(np.save, np.column_stack(list(COLUMNS.values()))), _saved(np.save, TIMES)],
    ".npz": [_saved(np.savez, **COLUMNS), _saved(np.savez_compressed, **COLUMNS)],
    ".h5": [_hdf5(COLUMNS), _hdf5(COLUMNS, chunks=(4,), compression="gzip", fletcher32=True)],
    ".nc": [_classic(1), _classic(2)],
    ".nc4": [_hdf5({"t": TIMES, "y0": np.arange(8, dtype="i2")}, PACKED)],
}
NAMES = {".npy": ["[0]", "[1]"], ".h5": ["group/t", "group/y0"], ".nc4": ["group/t", "group/y0"]}
PIECES = [
    b",", b";", b"\t", b"\n", b"\r", b'"', b"'", b"#", b"nan", b"inf", b"-1e999", b"NA", b"t", b"\0", b"\xff\xfe", b"\xe2\x80\xa8",
    b"9" * 400, b"(10**12,)", b"'descr': '|O'", b"'fortran_order': True", b"PK\x05\x06", b"\x80\x04\x95", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02",
    b"scale_factor", b"_FillValue", b"valid_range", b"\x00\x00\x00\x0b", b"-999", b"<LOD", b"***", b"#N/A",
]  # fmt: skip


def read(file: Any) -> None:
    """Read every column, and the file as the data of a job."""
    try:
        table = read_table(file, "data.file")
        for k, name in enumerate(table.columns):
            values = table.numbers(name if table.named else k, "data.time")
            assert values.dtype == np.float64 and values.ndim == 1
            assert not np.isinf(values).any()
    except InputError as error:
        check(error, file)
    time, column = NAMES.get(file.suffix, ["t", "y0"])
    data = {"file": str(file), "time": time, "observed": {"x": column}, "noise_std": 1.0, "gaps": True}
    try:
        problem = build_problem(
            load_job(
                {
                    "model": {"name": "lorenz63"},
                    "data": data,
                    "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2},
                }
            )
        ).problem
    except InputError as error:
        check(error, file)
        return
    (window,) = problem.windows
    assert np.isfinite(window.t).all() and (np.diff(window.t) > 0).all()
    assert np.isfinite(window.data).any() and not np.isinf(window.data).any()


def check(error: InputError, file: Any) -> None:
    assert error.mistakes
    for one in error.mistakes:
        assert one.problem and one.remedy
        assert one.place.startswith("data") or file.name in one.place
        assert len(str(one)) < 4000


@pytest.mark.parametrize(("suffix", "content"), [(s, c) for s, files in WHOLE.items() for c in files])
def test_what_is_damaged_is_whole(tmp_path, suffix, content):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    values = list(read_table(file, "data.file").columns)
    assert values


@pytest.mark.parametrize("suffix", WHOLE)
def test_damaged_files(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"

    @given(scrambled(st.sampled_from(WHOLE[suffix]), PIECES))
    @cases(60)
    def damaged(content: bytes) -> None:
        file.write_bytes(content)
        read(file)

    damaged()


@given(
    st.sampled_from([*SUFFIXES, ".CSV"]),
    st.binary(max_size=300) | st.lists(st.sampled_from(PIECES)).map(b"".join),
)
@cases(100)
def test_any_bytes(tmp_path, suffix, content):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    read(file)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".nc", ".nc4"])
def test_files_cut_short_at_every_place(tmp_path, suffix):
    whole = WHOLE[suffix][0]
    file = tmp_path / f"x{suffix}"
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        file.write_bytes(whole[:length])
        read(file)


kinds = (
    arrays.boolean_dtypes() | arrays.integer_dtypes() | arrays.floating_dtypes() | arrays.complex_number_dtypes()
    | arrays.datetime64_dtypes() | arrays.unicode_string_dtypes(max_len=3) | arrays.byte_string_dtypes(max_len=3)
    | st.just(np.dtype(object)) | st.just(np.dtype([("t", float), ("y0", float)]))
)  # fmt: skip
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(
    st.sampled_from([".npy", ".npz", ".h5"]),
    st.lists(st.tuples(kinds, shapes), min_size=1, max_size=3),
    st.data(),
)
@cases(100)
def test_arrays_of_any_kind(tmp_path, suffix, wanted, data):
    file = tmp_path / f"x{suffix}"
    made = [
        np.zeros(shape, kind) if kind.hasobject or kind.names else data.draw(arrays.arrays(kind, shape))
        for kind, shape in wanted
    ]
    columns = dict(zip(["t", "y0", "t[0]"], made, strict=False))
    if suffix == ".npy":
        np.save(file, made[0], allow_pickle=True)
    elif suffix == ".npz":
        np.savez(file, **columns)
    else:
        with h5py.File(file, "w") as stream:
            for name, values in columns.items():
                if values.dtype.kind in "biufcV" and values.dtype != np.longdouble:
                    stream[f"group/{name}"] = values
    read(file)


cells = st.sampled_from(
    ["0", "1", "2.5", "-3", "", "nan", "NA", "x", "1e5", "inf", '"', '""', "1e-320", "1e308", "1,5", " "]
) | st.text(max_size=4)
tables = st.tuples(
    st.sampled_from([",", ";", "\t", " "]), st.lists(st.lists(cells, min_size=2, max_size=4), max_size=7), st.booleans()
)  # fmt: skip


@given(tables, st.sampled_from(["\n", "\r\n", "\r"]))
@cases(60)
def test_rows_of_any_cells(tmp_path, table, end):
    mark, rows, named = table
    lines = [mark.join(row) for row in ([["t", "y0", "y1"]] if named else []) + rows]
    file = tmp_path / "x.csv"
    file.write_bytes(end.join(lines).encode(errors="replace"))
    read(file)


def test_columns_of_one_name(tmp_path):
    np.savez(tmp_path / "x.npz", **{"y": np.zeros((3, 2)), "y[1]": np.ones(3)})
    with pytest.raises(InputError, match=r"two columns 'y\[1\]'"):
        read_table(tmp_path / "x.npz", "data.file")


def test_numbers_that_no_float_holds(tmp_path):
    np.save(tmp_path / "x.npy", np.full(3, np.finfo(np.longdouble).max))
    table = read_table(tmp_path / "x.npy", "data.file")
    with pytest.raises(InputError, match="'inf' is not a finite number"):
        table.numbers(0, "data.time")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_file_at_all(tmp_path, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    (tmp_path / f"empty{suffix}").touch()
    for name in ("folder", "loop", "empty", "missing", "x" * 300, "folder.csv/inside", "\ud800"):
        with pytest.raises(InputError) as caught:
            read_table(tmp_path / f"{name}{suffix}", "data.file")
        (one,) = caught.value.mistakes
        assert one.place == "data.file"


@pytest.mark.parametrize("options", [{}, {"chunks": (1024,)}])
@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6)])
def test_an_array_that_was_declared_and_never_written(tmp_path, shape, options):
    file = tmp_path / "x.h5"
    with h5py.File(file, "w") as writer:
        writer.create_dataset("t", data=TIMES)
        chunks = {name: one * len(shape) for name, one in options.items()}
        writer.create_dataset("huge", shape=shape, dtype="f8", **chunks)
    with pytest.raises(InputError) as caught:
        read_table(file, "data.file")
    (mistake,) = caught.value.mistakes
    assert mistake.place == "data.file"
    assert mistake.problem.startswith("x.h5 is too large: huge has 1") and "GB" in mistake.problem


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_file_is_told_at_once(tmp_path, suffix):
    pipe, folder, device = (tmp_path / f"{name}{suffix}" for name in ("pipe", "folder", "device"))
    os.mkfifo(pipe)
    folder.mkdir()
    device.symlink_to("/dev/zero")
    for file, kind in ((pipe, "a pipe"), (folder, "a directory"), (device, "a pipe, a socket or a device")):
        with pytest.raises(InputError, match=f"data.file: {file.name} is {kind}"):
            read_table(file, "data.file")
