# ruff: noqa: E501
"""Packed columns: scale, offset, fill values and limits of CF attributes, in HDF5 and netCDF files."""

import warnings

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import netcdf_file

from hpcda.build import build_problem
from hpcda.data import read_table
from hpcda.data.packing import PackingError, stored_numbers, unpack
from hpcda.errors import InputError
from hpcda.job import load_job
from tests.unit.fuzzing import cases

TIMES = 0.25 * np.arange(8)
STORED = np.array([1000, 765, 558, -32768, 213, 100, -55, -166], dtype="i2")
VALUES = np.where(STORED == -32768, np.nan, 0.001 * STORED + 1.0)
ATTRIBUTES = {"scale_factor": 0.001, "add_offset": 1.0, "_FillValue": np.int16(-32768)}
MODEL = """
from hpcda import Model, Parameter, State

def build(unit="1", state_unit="1"):
    return Model("decay", (State("x", state_unit, range=(0, 3)),), (Parameter("k", 1),), lambda x, p: -p.k * x,
                 time_unit=unit)
"""  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m.py").write_text(MODEL)
    return tmp_path


def hdf5(file, stored=STORED, attributes=ATTRIBUTES, times=None, **options):
    with h5py.File(file, "w") as stream:
        stream["t"] = TIMES
        stream["t"].attrs.update(times or {})
        stream.create_dataset("x", data=stored, **options).attrs.update(attributes)


def job(folder, name, options=None, **data):
    table = {"file": str(folder / name), "time": "t", "observed": {"x": "x"}, "noise_std": 0.03, **data}
    model = {"name": str(folder / "m.py") + ":build", "options": options or {}}
    return load_job({"model": model, "data": table, "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2}})


def built(*args, **keywords):
    return build_problem(job(*args, **keywords))


def refused(*args, **keywords):
    with pytest.raises(InputError) as caught:
        built(*args, **keywords)
    return caught.value.mistakes


def test_a_packed_column_of_hdf5(folder):
    hdf5(folder / "x.h5")
    made = built(folder, "x.h5")
    np.testing.assert_allclose(made.problem.windows[0].data[:, 0], VALUES, rtol=1e-15)
    assert any("scale_factor = 0.001 and add_offset = 1.0" in note for note in made.notes)
    assert any("1 of 8 values missing by _FillValue = -32768" in note for note in made.notes)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("suffix", [".nc", ".cdf"])
def test_a_packed_column_of_a_classic_file(folder, version, suffix):
    file = folder / f"x{suffix}"
    with netcdf_file(file, "w", version=version) as stream:
        stream.createDimension("t", None)
        stream.createDimension("site", 1)
        for name, kind, values, dimensions in (
            ("t", "f8", TIMES, ("t",)),
            ("x", "i2", STORED[:, None], ("t", "site")),
        ):
            variable = stream.createVariable(name, kind, dimensions)
            variable[:] = values
        for key, value in ATTRIBUTES.items():
            setattr(variable, key, value if key == "_FillValue" else np.float64(value))
    np.testing.assert_allclose(built(folder, file.name).problem.windows[0].data[:, 0], VALUES, rtol=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with xr.open_dataset(file, engine="scipy") as oracle:
            np.testing.assert_allclose(
                read_table(file, "data.file").numbers("x", "x"), oracle["x"][:, 0], rtol=1e-6
            )


@pytest.mark.parametrize("name", ["mode", "version_byte", "filename", "use_mmap"])
def test_attributes_of_a_classic_file_as_a_whole_do_not_matter(folder, name):
    with netcdf_file(folder / "x.nc", "w") as stream:
        stream._attributes[name] = "burst"
        stream.createDimension("t", 8)
        stream.createVariable("t", "f8", ("t",))[:] = TIMES
        stream.createVariable("x", "f8", ("t",))[:] = TIMES
    if name in ("version_byte", "use_mmap"):  # SciPy reads on by these
        assert refused(folder, "x.nc")
        return
    np.testing.assert_array_equal(built(folder, "x.nc").problem.windows[0].data[:, 0], TIMES)


def test_a_netcdf_file_that_is_hdf5(folder):
    hdf5(folder / "x.nc4")
    np.testing.assert_allclose(built(folder, "x.nc4").problem.windows[0].data[:, 0], VALUES, rtol=1e-15)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"CDF\x05" + bytes(100), "CDF-5"),
        (b"\xcd\xf3\x00\x01" + bytes(100), "NASA"),
        (b"a,b\n1,2\n", "cannot be read"),
    ],
)
def test_a_netcdf_file_of_another_kind(folder, content, problem):
    (folder / "x.nc").write_bytes(content)
    (mistake,) = refused(folder, "x.nc")
    assert problem in mistake.problem
    assert "nccopy" in mistake.remedy or "ending" in mistake.remedy


kinds = st.sampled_from(["i1", "i2", "i4", "u1", "u2", "f4", "f8"])


@given(kinds, st.data())
@cases(150)
def test_what_xarray_makes_of_the_same_attributes(kind, data):
    """xarray decodes by its own code; it takes single precision where that is enough."""
    limits = np.iinfo(kind) if kind[0] in "iu" else None
    numbers = (
        st.integers(int(limits.min), int(limits.max)) if limits else st.floats(-1e4, 1e4, width=32)
    ).map(np.dtype(kind).type)
    stored = np.array(data.draw(st.lists(numbers, min_size=1, max_size=6)), dtype=kind)
    mark = data.draw(st.sampled_from(list(stored)) | numbers)
    attributes = {}
    if data.draw(st.booleans()):
        attributes["_FillValue"] = mark
    if data.draw(st.booleans()):
        attributes["missing_value"] = data.draw(st.sampled_from(list(stored)))
    if data.draw(st.booleans()):
        attributes["scale_factor"] = data.draw(st.sampled_from([0.5, -2.0, 1e-3]))
    if data.draw(st.booleans()):
        attributes["add_offset"] = data.draw(st.sampled_from([1.0, -273.15]))
    if (
        kind in ("i1", "i2", "i4", "u1", "u2")
        and "missing_value" not in attributes
        and data.draw(st.booleans())
    ):
        attributes["_Unsigned"] = (
            "true" if kind[0] == "i" else "false"
        )  # xarray leaves missing_value as it is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = xr.decode_cf(xr.Dataset({"x": ("n", stored, dict(attributes))}))["x"].values
    values, _ = unpack(stored_numbers(stored, attributes), attributes)
    np.testing.assert_allclose(values, oracle.astype(np.float64), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({"valid_min": np.int16(0)}, [3, 6, 7]),
        ({"valid_max": np.int16(600)}, [0, 1]),
        ({"valid_range": np.array([-100, 700], "i2")}, [0, 1, 3, 7]),
        ({"valid_range": np.array([0.9, 1.9]), "scale_factor": 0.001, "add_offset": 1.0}, [0, 3, 7]),
        ({"valid_range": np.array([-100, 900], "i2"), "scale_factor": 0.001}, [0, 3, 7]),
        ({"missing_value": np.array([765, -166], "i2")}, [1, 7]),
        ({"missing_value": "213"}, [4]),
        ({"missing_value": np.array([1e20])}, []),
    ],
)
def test_limits_and_marks(attributes, missing):
    values, _ = unpack(STORED, attributes)
    assert np.flatnonzero(np.isnan(values)).tolist() == missing


def test_limits_of_unsigned_bytes():
    attributes = {"_Unsigned": "true", "valid_range": np.array([0, -56], "i1"), "_FillValue": np.int8(-1)}
    stored = stored_numbers(np.array([1, -128, -56, -55, -1], "i1"), attributes)
    values, _ = unpack(stored, attributes)
    np.testing.assert_array_equal(values, [1, 128, 200, np.nan, np.nan])


def test_a_fill_value_that_the_type_cannot_hold():
    for stored, mark in (
        (np.array([-1, 3], "i2"), 65535),
        (np.array([65535, 3], "u2"), -1),
        (np.array([1], "i1"), 0.5),
    ):
        values, _ = unpack(stored, {"_FillValue": mark})
        np.testing.assert_array_equal(values, stored)


def test_single_precision_fill_values():
    stored = np.array([1.5, 1e20, -999.9], dtype="f4")
    values, _ = unpack(stored, {"_FillValue": np.float32(1e20), "missing_value": -999.9})
    np.testing.assert_array_equal(values, [1.5, np.nan, np.nan])


@pytest.mark.parametrize(
    "attributes",
    [
        {"scale_factor": "a tenth"},
        {"scale_factor": 0.0},
        {"scale_factor": np.array([1.0, 2.0])},
        {"add_offset": np.nan},
        {"_FillValue": "none"},
        {"valid_range": np.int16(3)},
        {"valid_range": np.array([3, 1], "i2")},
        {"_Unsigned": "perhaps"},
    ],
)
def test_attributes_that_cannot_be_applied_are_named(folder, attributes):
    with pytest.raises(PackingError):
        unpack(stored_numbers(STORED, attributes), attributes)
    hdf5(folder / "x.h5", attributes=attributes)
    (mistake,) = refused(folder, "x.h5")
    assert mistake.place == "data.observed.x"
    assert next(iter(attributes)) in mistake.problem
    hdf5(folder / "x.h5", attributes={})
    with h5py.File(folder / "x.h5", "a") as stream:  # a column that is not used
        stream.create_dataset("y", data=STORED).attrs.update(attributes)
    assert built(folder, "x.h5", missing=[]).problem.windows[0].data[3, 0] == -32768


def test_gaps_of_attributes_are_meant_and_nan_is_asked_for(folder):
    hdf5(folder / "x.h5", np.array([1, 2, np.nan, 1e20, 1, 1, 1, 1]), {"_FillValue": 1e20})
    (mistake,) = refused(folder, "x.h5")
    assert mistake.place == "x.h5, row 2, column 'x'" and "gaps = true" in mistake.remedy
    data = built(folder, "x.h5", gaps=True).problem.windows[0].data[:, 0]
    np.testing.assert_array_equal(data, [1, 2, np.nan, np.nan, 1, 1, 1, 1])


def test_what_was_never_written_is_asked_about(folder):
    hdf5(folder / "x.h5", np.array([1.0, 2, 3, 7.5e5, 1, 1, 1, 1]), {}, fillvalue=7.5e5)
    (mistake,) = refused(folder, "x.h5")
    assert mistake.place == "x.h5, row 3, column 'x'" and "missing = [750000.0]" in mistake.remedy


@pytest.mark.parametrize(
    ("units", "model_unit", "outcome"),
    [
        ("days since 2000-01-01", "ms", "multiply the times by 86400000"),
        ("s", "ms", "multiply the times by 1000"),
        ("ms", "s", "multiply the times by 0.001"),
        ("ms", "ms", None),
        ("milliseconds", "ms", None),
        ("days since 2000-01-01 00:00", "1", "per days"),
        ("ticks", "ms", "nothing was converted"),
    ],
)
def test_units_of_time(folder, units, model_unit, outcome):
    hdf5(folder / "x.h5", times={"units": units})
    options = {"unit": model_unit}
    if outcome is None or "multiply" not in outcome:
        notes = " ".join(built(folder, "x.h5", options).notes)
        assert (units in notes) == (outcome is not None)
        assert outcome is None or outcome in notes
        return
    (mistake,) = refused(folder, "x.h5", options)
    assert mistake.place == "data.time" and units in mistake.problem and outcome in mistake.remedy


def test_units_of_a_state_are_told(folder):
    hdf5(folder / "x.h5", attributes={**ATTRIBUTES, "units": "mV"})
    assert any("'mV'" in note and "V" in note for note in built(folder, "x.h5", {"state_unit": "V"}).notes)
    assert not any("'mV'" in note for note in built(folder, "x.h5", {"state_unit": "mV"}).notes)


def test_other_ways_to_scale_are_told(folder):
    """NWB has conversion and offset; instruments have gains. None of them is in the CF conventions."""
    hdf5(folder / "x.h5", attributes={"conversion": 1e-3, "offset": 0.5, "_FillValue": np.int16(-32768)})
    (note,) = [note for note in built(folder, "x.h5").notes if "not applied" in note]
    assert "conversion = 0.001, offset = 0.5" in note
    hdf5(
        folder / "x.h5",
        attributes={"conversion": 1.0, "offset": 0, "gain": "high", "_FillValue": np.int16(-32768)},
    )
    assert not [note for note in built(folder, "x.h5").notes if "not applied" in note]


def test_whole_numbers_that_no_float_holds(folder):
    stored = 2**60 + np.arange(8)
    hdf5(folder / "x.h5", stored, {})
    (mistake,) = refused(folder, "x.h5")
    assert "float64" in mistake.problem
    hdf5(folder / "x.h5", 2**60 + 10**12 * np.arange(8), {})
    data = built(folder, "x.h5").problem.windows[0].data[:, 0]
    np.testing.assert_allclose(np.diff(data), 1e12, rtol=1e-6)
