"""The description of a run: problem, ladder and provenance, in files or in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.annealing.reasons import Reason
from hpcda.formatting import run_lengths
from hpcda.problem import Array
from hpcda.results.layout import (
    Layout,
    NetworkLayout,
    RunLayout,
    parameter_names,
    series_names,
    unknown_names,
)
from hpcda.results.network import KIND


@dataclass(frozen=True)
class Header:
    """What a run is about, as its files say it; units beside the names."""

    model: str
    model_title: str
    model_citation: str
    model_kind: str
    time_unit: str
    discretization: str
    alpha: float
    seed: int
    starts: int
    keep_paths: str
    measured: int
    prior_terms: int
    trajectory_unknowns: int
    state: tuple[str, ...]
    state_unit: tuple[str, ...]
    model_error_weight: Array | None
    model_error: str
    unknown: tuple[str, ...]
    unknown_unit: tuple[str, ...]
    parameter: tuple[str, ...]
    parameter_unit: tuple[str, ...]
    parameter_bounds: Array
    parameter_start: Array
    observed: tuple[str, ...]
    expression: tuple[str, ...]
    noise: tuple[str, ...]
    series: tuple[str, ...]
    ways: tuple[str, ...]
    rf: Array
    beta: npt.NDArray[np.int64]
    reasons: dict[int, tuple[str, str]]
    converged: frozenset[int]
    failed: frozenset[int]
    not_run: int
    provenance: dict[str, str]
    job_toml: str
    fingerprint: str
    true_parameters: dict[str, float]
    clock: Array
    ranks: int
    lengths: tuple[int, ...]


def header_of(layout: RunLayout, ways: tuple[str, ...], clock: Array) -> Header:
    """The header of a run whose results are in memory.

    Args:
        layout: What it holds.
        ways: Names of the ways and escapes by which its starts began.
        clock: When it began and when it ended, in seconds since 1970-01-01 UTC, shape (1, 2).
    """
    codes = sorted(Reason, key=lambda reason: reason.code)
    if isinstance(layout, NetworkLayout):
        own = _of_network(layout)
    else:
        assert isinstance(layout, Layout)
        own = _of_windows(layout)
    return Header(
        **own,
        alpha=layout.alpha,
        seed=layout.seed,
        starts=layout.starts,
        keep_paths=layout.keep_paths,
        ways=ways,
        rf=layout.rf,
        beta=layout.beta,
        reasons={one.code: (one.name, one.value) for one in codes},
        converged=frozenset(one.code for one in codes if one.converged),
        failed=frozenset(one.code for one in codes if one.failed),
        not_run=Reason.NOT_RUN.code,
        provenance=layout.provenance,
        job_toml=layout.job_toml,
        fingerprint=layout.fingerprint,
        clock=clock,
        ranks=1,
    )


def _of_network(layout: NetworkLayout) -> dict[str, Any]:
    """What the header says of a network: its pairs are a window, norms its parameters."""
    norms, loss = layout.recorded, layout.network.loss[0]
    return facts_of(layout) | {
        "state": (),
        "state_unit": (),
        "model_error_weight": None,
        "model_error": "per step",
        "unknown": layout.labels,
        "unknown_unit": (),
        "parameter": norms,
        "parameter_unit": ("1",) * len(norms),
        "parameter_bounds": np.tile([0.0, np.inf], (len(norms), 1)),
        "parameter_start": np.tile(np.asarray(layout.network.start, dtype=np.float64), (len(norms), 1)),
        "observed": layout.outputs,
        "expression": layout.outputs,
        "noise": () if loss == "gaussian" else (loss,) * len(layout.outputs),
        "series": layout.inputs,
        "true_parameters": {},
        "lengths": (layout.pairs.times,),
    }


def _of_windows(layout: Layout) -> dict[str, Any]:
    """What the header says of windows of data, and of what is estimated from them."""
    problem = layout.problem
    model, constants = problem.model, problem.constants
    units = {one.name: one.unit for one in model.parameters}
    states = [state.unit for state in model.states]
    true: dict[str, float] = {}
    for window in layout.truth or ():
        true = {**(getattr(window, "parameters", None) or {}), **true}
    observed = tuple(problem.observed)
    noise = tuple(problem.noise[one].loss if one in problem.noise else "gaussian" for one in observed)
    return {
        "model": model.name,
        "model_title": model.title,
        "model_citation": model.citation,
        "model_kind": model.kind,
        "time_unit": model.time_unit,
        "discretization": problem.discretization,
        "measured": problem.measured,
        "prior_terms": problem.prior_terms,
        "trajectory_unknowns": problem.trajectory_unknowns,
        "state": model.state_names,
        "state_unit": tuple(states),
        "model_error_weight": problem.model_error_weight,
        "model_error": problem.model_error,
        "unknown": unknown_names(problem),
        "unknown_unit": (*states, *(units.get(q.name, "1") for q in problem.varying)),
        "parameter": parameter_names(problem),
        "parameter_unit": tuple(units.get(p.name, "1") for p in constants),
        "parameter_bounds": np.reshape([p.bounds for p in constants], (-1, 2)),
        "parameter_start": np.reshape([p.start for p in constants], (-1, 2)),
        "observed": observed,
        "expression": tuple(problem.observed.values()),
        "noise": noise if problem.noise else (),
        "series": series_names(problem),
        "true_parameters": true,
        "lengths": tuple(window.times for window in problem.windows),
    }


def facts_of(layout: NetworkLayout) -> dict[str, Any]:
    """What the header of a run says of its network, by the names of `Header`."""
    network, widths = layout.network, run_lengths(layout.network.widths, "-")
    known = np.isfinite(layout.pairs.series)
    return {
        "model": f"network {widths}",
        "model_title": f"a network of layers {widths}, {run_lengths(network.activations, ', ')}",
        "model_citation": "",
        "model_kind": KIND,
        "time_unit": "1",
        "discretization": "layers",
        "measured": int(np.isfinite(layout.pairs.data).sum())
        + (int(known.sum()) if network.input_std else 0),
        "prior_terms": layout.prior_terms + int((~known).sum()),
        "trajectory_unknowns": layout.size,
    }
