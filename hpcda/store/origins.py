"""Where the data of a run were read: written beside them, so that every value can be found in its file."""

from __future__ import annotations

import h5py
import numpy as np

from hpcda.source import Source
from hpcda.store.schema import Layout

TEXT = h5py.string_dtype()


def write_sources(group: h5py.Group, layout: Layout) -> None:
    """Write file and columns of every window, and line or row of every point."""
    windows, quantities = layout.problem.windows, len(layout.problem.observed)
    absent = [Source("", "", np.full(w.times, -1, dtype=np.int64), ("",) * quantities) for w in windows]
    sources = [one or empty for one, empty in zip(layout.sources, absent, strict=True)]
    for name, values in (
        ("file", [one.file for one in sources]),
        ("counted_by", [one.counted_by for one in sources]),
        ("column", [one.columns for one in sources]),
    ):
        group.create_dataset(name, data=np.asarray(values, dtype=object), dtype=TEXT)
    group.create_dataset("number", data=np.concatenate([one.numbers for one in sources]).astype("i8"))
    group["number"].attrs["meaning"] = "line, from 1, or row, from 0, as counted_by says; -1: none"


def read_sources(file: h5py.File, lengths: tuple[int, ...]) -> tuple[Source | None, ...]:
    """Where the data of each window were read, None where they were not read from a file.

    Args:
        file: The index of a run, or a shard of it.
        lengths: Points of each window.
    """
    if "sources" not in file:
        return (None,) * len(lengths)
    group = file["sources"]
    names, counted = group["file"].asstr()[:], group["counted_by"].asstr()[:]
    columns, numbers = group["column"].asstr()[:], group["number"][:]
    pieces = np.split(numbers, np.cumsum(lengths)[:-1])
    return tuple(
        Source(str(name), str(word), piece, tuple(map(str, row))) if name else None
        for name, word, piece, row in zip(names, counted, pieces, columns, strict=True)
    )
