"""The description of a run: problem, ladder and provenance, in files or in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.annealing.reasons import Reason
from hpcda.problem import Array
from hpcda.results.layout import Layout, parameter_names, series_names, unknown_names


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


def header_of(layout: Layout, ways: tuple[str, ...], clock: Array) -> Header:
    """The header of a run whose results are in memory.

    Args:
        layout: What it holds.
        ways: Names of the ways and escapes by which its starts began.
        clock: When it began and when it ended, in seconds since 1970-01-01 UTC, shape (1, 2).
    """
    problem, codes = layout.problem, sorted(Reason, key=lambda reason: reason.code)
    model, constants = problem.model, problem.constants
    units = {one.name: one.unit for one in model.parameters}
    states = [state.unit for state in model.states]
    true: dict[str, float] = {}
    for window in layout.truth or ():
        true = {**(getattr(window, "parameters", None) or {}), **true}
    observed = tuple(problem.observed)
    noise = tuple(problem.noise[one].loss if one in problem.noise else "gaussian" for one in observed)
    return Header(
        model=model.name,
        model_title=model.title,
        model_citation=model.citation,
        model_kind=model.kind,
        time_unit=model.time_unit,
        discretization=problem.discretization,
        alpha=layout.alpha,
        seed=layout.seed,
        starts=layout.starts,
        keep_paths=layout.keep_paths,
        measured=problem.measured,
        prior_terms=problem.prior_terms,
        trajectory_unknowns=problem.trajectory_unknowns,
        state=model.state_names,
        state_unit=tuple(states),
        model_error_weight=problem.model_error_weight,
        model_error=problem.model_error,
        unknown=unknown_names(problem),
        unknown_unit=(*states, *(units.get(q.name, "1") for q in problem.varying)),
        parameter=parameter_names(problem),
        parameter_unit=tuple(units.get(p.name, "1") for p in constants),
        parameter_bounds=np.reshape([p.bounds for p in constants], (-1, 2)),
        parameter_start=np.reshape([p.start for p in constants], (-1, 2)),
        observed=observed,
        expression=tuple(problem.observed.values()),
        noise=noise if problem.noise else (),
        series=series_names(problem),
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
        true_parameters=true,
        clock=clock,
        ranks=1,
        lengths=tuple(window.times for window in problem.windows),
    )
