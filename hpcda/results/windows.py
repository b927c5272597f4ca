"""A window as it was assimilated: data, noise, stimuli, truth, held-out samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array
from hpcda.results.layout import Layout, NetworkLayout, RunLayout
from hpcda.source import Source


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


def windows_of(layout: RunLayout) -> tuple[StoredWindow, ...]:
    """The windows of a run whose results are in memory; of a network its pairs, as one."""
    if isinstance(layout, NetworkLayout):
        return (_pairs_of(layout),)
    assert isinstance(layout, Layout)
    problem = layout.problem
    series = len(problem.model.stimulus_names) + len(problem.series)
    found = []
    for k, window in enumerate(problem.windows):
        later = None if layout.beyond is None else layout.beyond[k]
        truth = None if layout.truth is None else layout.truth[k]
        found.append(
            StoredWindow(
                window.t,
                window.data,
                window.noise_std,
                window.series,
                np.zeros(0) if later is None else later.t,
                np.zeros((0, len(problem.observed))) if later is None else later.data,
                np.zeros((0, series)) if later is None else later.series,
                np.zeros(0) if truth is None else truth.t,
                np.zeros((0, problem.dimension)) if truth is None else truth.states,
                layout.sources[k] if layout.sources else None,
            )
        )
    return tuple(found)


def _pairs_of(layout: NetworkLayout) -> StoredWindow:
    """The pairs of a network: outputs are the data, inputs the series, numbers of pairs the times."""
    pairs, back = layout.pairs, layout.held_back
    nothing = np.zeros(0)
    return StoredWindow(
        pairs.t,
        pairs.data,
        pairs.noise_std,
        pairs.series,
        nothing if back is None else back.t,
        np.zeros((0, len(layout.outputs))) if back is None else back.data,
        np.zeros((0, len(layout.inputs))) if back is None else back.series,
        nothing,
        np.zeros((0, 0)),
    )
