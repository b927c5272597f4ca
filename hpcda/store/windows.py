"""Windows of data as a run has stored them, and what is known beside them."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np

from hpcda.source import Source
from hpcda.store.heading import Header
from hpcda.store.origins import read_sources
from hpcda.store.schema import Array


@dataclass(frozen=True)
class StoredWindow:
    """One window of data as it was assimilated, and what is known beside it.

    Attributes:
        t: Times, shape (N,).
        data: Measured values, shape (N, L), NaN where there is none.
        noise_std: Standard deviation of their noise, shape (N, L).
        series: Known time series, shape (N, U).
        beyond_t: Times after the window, shape (M,), the first one its last; M = 0 where nothing is known.
        beyond_data: Data kept back, shape (M, L).
        beyond_series: Known time series there, shape (M, U).
        truth_t: Times of the true states, shape (T,); T = 0 where they are unknown.
        truth: True states, shape (T, D).
        source: Where the data were read, None where they were not read from a file.
    """

    t: Array
    data: Array
    noise_std: Array
    series: Array
    beyond_t: Array
    beyond_data: Array
    beyond_series: Array
    truth_t: Array
    truth: Array
    source: Source | None = None


def read_windows(file: h5py.File, header: Header) -> tuple[StoredWindow, ...]:
    """All windows of a run, from its index or from a shard of it."""
    count = len(header.lengths)
    groups: dict[str, list[dict[str, Array]]] = {}
    for group, names in (
        ("windows", ("t", "data", "noise_std", "series")),
        ("beyond", ("t", "data", "series")),
        ("truth", ("t", "states")),
    ):
        if group not in file:
            empty = {"t": np.zeros(0), "states": np.zeros((0, len(header.state)))}
            empty["data"] = np.zeros((0, len(header.observed)))
            empty["series"] = np.zeros((0, len(header.series)))
            groups[group] = [{name: empty[name] for name in names}] * count
            continue
        which = file[group]["window"][:]
        arrays = {name: file[group][name][:] for name in names}
        cuts = np.searchsorted(which, np.arange(count + 1))
        groups[group] = [{n: a[b:e] for n, a in arrays.items()} for b, e in zip(cuts, cuts[1:], strict=False)]
    return tuple(
        StoredWindow(
            w["t"],
            w["data"],
            w["noise_std"],
            w["series"],
            b["t"],
            b["data"],
            b["series"],
            t["t"],
            t["states"],
            source,
        )
        for w, b, t, source in zip(
            groups["windows"],
            groups["beyond"],
            groups["truth"],
            read_sources(file, header.lengths),
            strict=True,
        )
    )
