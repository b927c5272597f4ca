"""Arrays whose shape could mean two things: told by the times, or refused with the shapes."""

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from hpcda.build import build_problem
from hpcda.data import read_table
from hpcda.errors import InputError
from hpcda.job import load_job
from tests.chance import generator

RNG = generator(3)


def window(file, time, *columns):
    observed = dict(zip("xyz", columns, strict=False))
    table = {"file": str(file), "time": time, "observed": observed, "noise_std": 0.1, "missing": []}
    job = {"model": {"name": "lorenz63"}, "data": table, "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2}}
    (made,) = build_problem(load_job(job)).problem.windows
    return made


def refused(*args):
    with pytest.raises(InputError) as caught:
        window(*args)
    return caught.value.mistakes


def saved(tmp_path, kind, **arrays):
    file = tmp_path / f"d.{kind}"
    if kind == "npz":
        np.savez(file, **arrays)
    else:
        with h5py.File(file, "w") as stream:
            for name, values in arrays.items():
                stream[name] = values
    return file


@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("times", "quantities"), [(7, 3), (3, 7), (40, 2)])
def test_the_side_that_is_as_long_as_the_times(tmp_path, kind, turned, times, quantities):
    t, y = 0.5 * np.arange(times), RNG.normal(size=(times, quantities))
    file = saved(tmp_path, kind, t=t, y=y.T if turned else y)
    made = window(file, "t", "y[0]", "y[1]")
    np.testing.assert_array_equal(made.t, t)
    np.testing.assert_array_equal(made.data, y[:, :2])


def test_a_turned_array_is_told(tmp_path):
    t, y = np.arange(5.0), RNG.normal(size=(2, 5))
    for array, told in ((y, ("a row of an array of 2 × 5, whose second side is time",)), (y.T, ())):
        table = read_table(saved(tmp_path, "npz", t=t, y=array), "data.file", "t")
        assert table.values("y[1]", "x").notes == told


def test_a_square_is_refused_and_told_apart_by_its_slices(tmp_path):
    t, y = 0.5 * np.arange(4), RNG.normal(size=(4, 4))
    file = saved(tmp_path, "npz", t=t, y=y)
    (mistake,) = refused(file, "t", "y[1]")
    assert mistake.place == "data.observed.x"
    assert "4 × 4" in mistake.problem and "there are 4 times" in mistake.problem
    assert "y[:,0]" in mistake.remedy and "y[0,:]" in mistake.remedy
    np.testing.assert_array_equal(window(file, "t", "y[:,1]").data[:, 0], y[:, 1])
    np.testing.assert_array_equal(window(file, "t", "y[1, :]").data[:, 0], y[1])
    (mistake,) = refused(file, "t", "y[:,4]")
    assert "no column 'y[:,4]'" in mistake.problem


def test_a_square_that_is_not_used_is_no_matter(tmp_path):
    file = saved(tmp_path, "npz", t=np.arange(4.0), y=np.eye(4), x=np.ones(4))
    assert window(file, "t", "x").data.shape == (4, 1)


def test_neither_side(tmp_path):
    file = saved(tmp_path, "h5", t=np.arange(5.0), y=np.zeros((3, 4)))
    (mistake,) = refused(file, "t", "y[0]")
    assert mistake.place == "data.file" and "y is 3 × 4" in mistake.problem and "time: 5" in mistake.problem


@pytest.mark.parametrize(("times", "quantities"), [(9, 3), (3, 9), (30, 2), (2, 30)])
@pytest.mark.parametrize("turned", [False, True])
def test_times_in_the_array_itself(tmp_path, times, quantities, turned):
    t = 0.5 * np.arange(times)
    table = np.column_stack([t, 5.0 - RNG.uniform(size=(times, quantities - 1)).cumsum(axis=1)])
    table[:, 1:] += 20.0 * (np.arange(times) % 2)[:, None]
    np.save(tmp_path / "d.npy", table.T if turned else table)
    for time, column in ((0, 1), ("[0]", "[1]")):
        made = window(tmp_path / "d.npy", time, column)
        np.testing.assert_array_equal(made.t, t)
        np.testing.assert_array_equal(made.data[:, 0], table[:, 1])


def test_a_square_with_times_along_both_sides(tmp_path):
    table = np.arange(3.0)[:, None] + np.arange(3.0)
    np.save(tmp_path / "d.npy", table)
    assert "its times increase along both sides" in refused(tmp_path / "d.npy", 0, 1)[0].problem
    np.testing.assert_array_equal(window(tmp_path / "d.npy", "[:,0]", "[:,2]").data[:, 0], [2, 3, 4])
    table[:, 1] = [7.0, 1.0, 3.0]
    np.save(tmp_path / "d.npy", table)  # its first row is 0, 7, 2
    np.testing.assert_array_equal(window(tmp_path / "d.npy", 0, 1).data[:, 0], [7, 1, 3])


@pytest.mark.parametrize("shape", [(5,), (5, 1), (1, 5), (1, 5, 1), (1, 1, 5)])
@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_vectors_of_any_shape(tmp_path, kind, shape):
    t, x = np.arange(5.0), RNG.normal(size=5)
    file = saved(tmp_path, kind, t=t.reshape(shape), x=x.reshape(shape))
    for time, column in (("t", "x"), ("t", "x[0]"), ("t[0]", "x"), (0, 1)):
        if time == "t[0]" and len(shape) == 1:
            continue
        if column == "x[0]" and len(shape) == 1:
            continue
        np.testing.assert_array_equal(window(file, time, column).data[:, 0], x)


def test_dimensions_of_one_are_left_out(tmp_path):
    t, y = np.arange(5.0), RNG.normal(size=(5, 1, 3))
    file = saved(tmp_path, "h5", t=t, y=y)
    np.testing.assert_array_equal(window(file, "t", "y[2]").data[:, 0], y[:, 0, 2])


def test_two_columns_of_one_name(tmp_path):
    for arrays in (
        {"y": np.zeros((5, 1)), "y[0]": np.ones(5)},
        {"y[0]": np.ones(5), "y": np.zeros((5, 1))},
        {"y": np.zeros((5, 2)), "y[1]": np.ones(5)},
    ):
        (mistake,) = refused(saved(tmp_path, "npz", t=np.arange(5.0), **arrays), "t", "y[0]")
        assert mistake.place == "data.file" and "has two columns 'y[" in mistake.problem
    file = saved(tmp_path, "npz", **{"t": np.arange(5.0), "y": np.zeros((1, 5)), "y[0]": np.ones(5)})
    np.testing.assert_array_equal(window(file, "t", "y[0]").data[:, 0], np.ones(5))
    np.testing.assert_array_equal(window(file, "t", "y").data[:, 0], np.zeros(5))


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_what_no_column_can_be(tmp_path, kind):
    arrays = {"cube": np.zeros((2, 3, 4)), "z": np.ones(5, complex), "word": np.array([b"a"] * 5), "one": 3.0}
    file = saved(tmp_path, kind, t=np.arange(5.0), x=np.ones(5), **arrays)
    for name, problem in (
        ("cube", "2 × 3 × 4"),
        ("z", "type complex128"),
        ("word", "type |S1"),
        ("one", "a single number"),
    ):
        (mistake,) = refused(file, "t", name)
        assert mistake.place == "data.observed.x" and problem in mistake.problem


def test_named_dimensions_tell_the_sides_of_a_square(tmp_path):
    t, y = np.arange(4.0), RNG.normal(size=(4, 4))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["t"], file["site"] = t, np.arange(4)
        file["t"].make_scale("t")
        file["site"].make_scale("site")
        file["y"] = y
        file["y"].dims[0].attach_scale(file["site"])
        file["y"].dims[1].attach_scale(file["t"])
    np.testing.assert_array_equal(window(tmp_path / "d.h5", "t", "y[2]").data[:, 0], y[2])
    with netcdf_file(tmp_path / "d.nc", "w") as file:
        for name in ("obs", "site"):
            file.createDimension(name, 4)
        file.createVariable("t", "f8", ("obs",))[:] = t
        file.createVariable("y", "f8", ("site", "obs"))[:] = y
    np.testing.assert_array_equal(window(tmp_path / "d.nc", "t", "y[2]").data[:, 0], y[2])


def test_positions_beside_an_array_that_is_turned(tmp_path):
    t, y = np.arange(5.0), RNG.normal(size=(2, 5))
    file = saved(tmp_path, "npz", t=t, y=y)
    found = refused(file, 0, 1)
    assert {one.place for one in found} == {"data.time", "data.observed.x"}
    assert "'y' of d.npz is 2 × 5" in found[0].problem and found[0].remedy == "give a name"
    file = saved(tmp_path, "npz", t=t, y=y.T)
    np.testing.assert_array_equal(window(file, 0, 2).data[:, 0], y[1])


@pytest.mark.parametrize("kind", ["u1", "i2", ">i4", ">f8", "f4", "f2", "?"])
def test_types_of_numbers(tmp_path, kind):
    x = np.array([0, 1, 1, 0], dtype=kind)
    for suffix in ("npz", "h5"):
        file = saved(tmp_path, suffix, t=np.arange(4).astype(">i2"), x=x)
        made = window(file, "t", "x")
        np.testing.assert_array_equal(made.data[:, 0], [0, 1, 1, 0])
        assert made.data.dtype == np.float64 and made.data.dtype.isnative


def test_integer_sentinels_of_arrays(tmp_path):
    x = np.array([12, 15, -32768, 11], "i2")
    for suffix in ("npz", "h5"):
        file = saved(tmp_path, suffix, t=np.arange(4.0), x=x)
        table = read_table(file, "data.file", "t")
        assert table.values("x", "x").marks.tolist() == [2]
        assert table.values("x", "x", missing=[-32768]).meant.tolist() == [False, False, True, False]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)])
def test_the_truth_of_data_is_read_alike(tmp_path, shape):
    t, x = np.arange(5.0), RNG.normal(size=5)
    file = saved(tmp_path, "npz", t=t.reshape(shape), x=x.reshape(shape), y=np.ones(4))
    table = {"file": str(file), "time": "t", "observed": {"x": "x"}, "noise_std": 0.1}
    job = {"model": {"name": "lorenz63"}, "data": table, "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2}}
    table["truth"] = {"file": str(file)}
    with pytest.raises(InputError) as caught:
        build_problem(load_job(job))
    (one,) = caught.value.mistakes
    assert one.place == "data.truth.file" and "differ in length" in one.problem
    saved(tmp_path, "npz", t=t.reshape(shape), x=x.reshape(shape))
    (truth,) = build_problem(load_job(job)).truth
    np.testing.assert_array_equal(truth.states[:, 0], x)
