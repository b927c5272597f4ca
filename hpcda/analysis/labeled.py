"""The run as labeled, lazy xarray data: dims start, rung, time, state, parameter, observed.

Every chunk is read by opening the index, so that threads, processes and remote workers can load it alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcda.analysis.outcome import open_file
from hpcda.annealing.record import BEGIN, END, PER_RUNG, PER_START
from hpcda.results.table import RunTable

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LazyPaths:
    """Kept paths of one window: (start, time, unknown) or (start, rung, time, unknown); NaN if not kept.

    Attributes:
        source: `RunTable.source` of the run.
        window: Number of the window.
        columns: First and last column of the unknowns: the states, or the parameters that belong to one time.
        rungs: Whether all rungs are wanted, not the last kept one only.
        shape: Shape of the array.
    """

    source: str | RunTable
    window: int
    columns: tuple[int, int]
    rungs: bool
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """Doubles."""
        return np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        """Three, or four with all rungs."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Array:
        """Read a part: slices, numbers and lists of positions, one an axis, as Dask asks for them."""
        keys = [*(key if isinstance(key, tuple) else (key,))] if key is not ... else []
        keys += [slice(None)] * (self.ndim - len(keys))
        axes = [np.arange(size)[part] for size, part in zip(self.shape, keys, strict=True)]
        which = [np.atleast_1d(axis) for axis in axes]
        file = open_file(self.source)
        wanted: list[tuple[int, ...]] = []
        places: list[int] = []
        for i, start in enumerate(file.start[which[0]]):
            begin, end = np.searchsorted(file.path_start, [start, start + 1])
            if begin == end:
                continue
            if not self.rungs:
                wanted.append((i,))
                places.append(int(end) - 1)
                continue
            for place in range(begin, end):
                for at in np.flatnonzero(which[1] == file.path_rung[place]):
                    wanted.append((i, int(at)))
                    places.append(place)
        result = np.full([len(axis) for axis in which], np.nan)
        if places:
            states, _ = file.paths(places)
            values = file.split(states)[self.window][..., slice(*self.columns)]
            result[tuple(np.array(wanted).T)] = values[:, which[-2]][:, :, which[-1]]
        return result[tuple(0 if np.ndim(axis) == 0 else slice(None) for axis in axes)]


def labeled_window(file: RunTable, number: int) -> xr.Dataset:
    """One window: data, noise, series, kept paths, held-out data, truth.

    Args:
        file: The run.
        number: Number of the window.
    """
    header, window = file.header, file.windows()[number]
    unit = {"units": header.time_unit}
    coords: dict[str, Any] = {
        "time": ("time", window.t, unit),
        "state": ("state", list(header.state), {"units": " ".join(header.state_unit)}),
        "observed": ("observed", list(header.observed)),
        "expression": ("observed", list(header.expression)),
        "start": ("start", file.start),
    }
    data: dict[str, Any] = {
        "data": (("time", "observed"), window.data, {"long_name": "measured values"}),
        "noise_std": (
            ("time", "observed"),
            window.noise_std,
            {"long_name": "standard deviation of their noise"},
        ),
    }
    if header.series:
        coords["series"] = ("series", list(header.series))
        data["series"] = (("time", "series"), window.series, {"long_name": "known time series"})
    if len(window.beyond_t):
        coords["time_beyond"] = ("time_beyond", window.beyond_t, unit)
        data["data_beyond"] = (
            ("time_beyond", "observed"),
            window.beyond_data,
            {"long_name": "held-out data"},
        )
    if len(window.truth_t):
        coords["time_truth"] = ("time_truth", window.truth_t, unit)
        data["truth"] = (("time_truth", "state"), window.truth, {"long_name": "true states"})
    states, times, unknowns = len(header.state), header.lengths[number], len(header.unknown)
    long_name = {"long_name": "path of a start at its last stored rung"}
    data["path"] = (("start", "time", "state"), _lazy(file, number, (0, states), False), long_name)
    if unknowns > states:
        coords["varying"] = ("varying", list(header.unknown[states:]))
        varying = _lazy(file, number, (states, unknowns), False)
        data["path_varying"] = (("start", "time", "varying"), varying, long_name)
    if header.keep_paths == "all":
        coords["rung"] = ("rung", np.arange(len(header.rf)))
        every = _lazy(file, number, (0, states), True)
        data["path_rungs"] = (("start", "rung", "time", "state"), every, {"long_name": "path at every rung"})
    attrs = {"model": header.model, "discretization": header.discretization, "window": number, "times": times}
    return xr.Dataset(data, coords, attrs)


def labeled_run(file: RunTable) -> xr.Dataset:
    """The table of starts and rungs, and, where there is one window only, all that belongs to it."""
    header = file.header
    source = file.source
    coords: dict[str, Any] = {
        "start": ("start", file.start, {"long_name": "number of the start"}),
        "rung": ("rung", np.arange(len(header.rf)), {"long_name": "position on the ladder"}),
        "rf": ("rung", header.rf, {"long_name": "model precision"}),
        "beta": ("rung", header.beta),
        "parameter": ("parameter", list(header.parameter), {"units": " ".join(header.parameter_unit)}),
        "reason_name": ("reason_code", [name for name, _ in header.reasons.values()]),
        "reason_code": ("reason_code", list(header.reasons)),
    }
    data: dict[str, Any] = {}
    for name, column in PER_RUNG.items():
        attrs = {"units": column.units, "long_name": column.long_name}
        data[name] = (("start", "rung"), _table(source, name, file.visited.shape, column.dtype), attrs)
    shape = (*file.visited.shape, len(header.parameter))
    data["parameters"] = (("start", "rung", "parameter"), _table(source, "parameters", shape, "f8"))
    for name, column in PER_START.items():
        if name in (BEGIN, END):
            continue  # checksums of the files
        if name != "start":
            attrs = {"units": column.units, "long_name": column.long_name}
            data[name] = ("start", file.table(name), attrs)
    data["way"] = (
        "start",
        np.asarray([*header.ways, ""])[file.table("way")],
        {"long_name": "way the start began"},
    )
    attributes: dict[str, Any] = {f"provenance_{key}": value for key, value in header.provenance.items()}
    attributes.update(model=header.model, alpha=header.alpha, seed=header.seed, keep_paths=header.keep_paths)
    dataset = xr.Dataset(data, coords, attributes)
    if len(header.lengths) == 1:
        dataset = dataset.merge(
            labeled_window(file, 0), combine_attrs="no_conflicts", compat="no_conflicts", join="exact"
        )
    return dataset


def _lazy(file: RunTable, window: int, columns: tuple[int, int], rungs: bool) -> Any:
    """Kept paths of one window: in memory an array, of files one of Dask."""
    times, width = file.header.lengths[window], columns[1] - columns[0]
    starts = len(file.start)
    shape = (starts, *((len(file.header.rf),) if rungs else ()), times, width)
    source = LazyPaths(file.source, window, columns, rungs, shape)
    if not isinstance(file.source, str):
        return source[...]
    import dask.array as da

    each = max(1, int(np.prod(shape[1:])))
    chunk = int(np.clip(4e6 // each, 1, max(starts, 1)))
    lazy: Any = da.from_array(
        source, chunks=(chunk, *shape[1:]), asarray=False, lock=False, meta=np.zeros((0,) * len(shape))
    )
    return lazy


def _read(source: str | RunTable, name: str) -> npt.NDArray[Any]:
    return open_file(source).table(name)


def _table(source: str | RunTable, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """A table: in memory an array, of files one of Dask."""
    if not isinstance(source, str):
        return source.table(name)
    import dask.array as da
    from dask.delayed import delayed as later

    delayed: Callable[..., Any] = later(_read)
    return da.from_delayed(delayed(source, name), shape, dtype=dtype)
