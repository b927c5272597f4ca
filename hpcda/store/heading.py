"""What a run is about, as its files say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.store.schema import Array


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
    not_run: int
    provenance: dict[str, str]
    job_toml: str
    fingerprint: str
    true_parameters: dict[str, float]
    clock: Array
    ranks: int
    lengths: tuple[int, ...]


def _ways(file: h5py.File) -> tuple[str, ...]:
    """Names of the ways and escapes by which starts began; of version 3, of all that there were."""
    if "ways" in file:
        return tuple(str(name) for name in file["ways"].asstr()[:])
    return tuple(name.decode() for name in np.unique(file["ensemble/way"][:]).tolist() if name)


def ways_of(values: npt.NDArray[Any], names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Positions in `names` of the ways as a file holds them, -1 where there is none."""
    if values.dtype.kind != "S":
        return values.astype(np.int64)
    codes = {name.encode(): code for code, name in enumerate(names)}
    return np.array([codes.get(name, -1) for name in values.tolist()], dtype=np.int64)


def read_header(file: h5py.File) -> Header:
    """The header in the index of a run."""
    attributes, axes = file.attrs, file["axes"]

    def names(dataset: Any) -> tuple[str, ...]:
        return tuple(str(name) for name in dataset.asstr()[:])

    def units(dataset: Any) -> tuple[str, ...]:
        return tuple(str(unit) for unit in dataset.attrs.get("unit", []))

    def pairs(key: str) -> Array:
        return np.asarray(axes["parameter"].attrs.get(key, np.zeros((0, 2))), dtype=np.float64)

    weight, reasons = axes["state"].attrs.get("model_error_weight"), file["reasons"]
    codes = (int(code) for code in reasons["code"][:])
    table = dict(
        zip(codes, zip(names(reasons["name"]), names(reasons["sentence"]), strict=True), strict=True)
    )
    true = {}
    if "truth" in file:
        true = dict(zip(names(file["truth/parameter"]), map(float, file["truth/value"][:]), strict=True))
    return Header(
        model=str(attributes["model"]),
        model_title=str(attributes["model_title"]),
        model_citation=str(attributes["model_citation"]),
        model_kind=str(attributes["model_kind"]),
        time_unit=str(attributes["time_unit"]),
        discretization=str(attributes["discretization"]),
        alpha=float(attributes["alpha"]),
        seed=int(attributes["seed"]),
        starts=int(attributes["starts"]),
        keep_paths=str(attributes["keep_paths"]),
        measured=int(attributes["measured"]),
        prior_terms=int(attributes["prior_terms"]),
        trajectory_unknowns=int(attributes["trajectory_unknowns"]),
        state=names(axes["state"]),
        state_unit=units(axes["state"]),
        model_error_weight=None if weight is None else np.asarray(weight, dtype=np.float64),
        unknown=names(axes["unknown"]),
        unknown_unit=units(axes["unknown"]),
        parameter=names(axes["parameter"]),
        parameter_unit=units(axes["parameter"]),
        parameter_bounds=pairs("bounds"),
        parameter_start=pairs("start"),
        observed=names(axes["observed"]),
        expression=names(axes["expression"]),
        noise=tuple(str(name) for name in axes["observed"].attrs.get("loss", ())),
        series=names(axes["series"]),
        ways=_ways(file),
        rf=axes["rf"][:],
        beta=axes["beta"][:],
        reasons=table,
        not_run=int(attributes["not_run"]),
        provenance={key: str(value) for key, value in file["provenance"].attrs.items()},
        job_toml=str(file["job"].asstr()[()]),
        fingerprint=str(attributes["fingerprint"]),
        true_parameters=true,
        clock=file["shards/clock"][:],
        ranks=len(np.unique(file["shards/rank"][:])),
        lengths=tuple(
            int(n) for n in np.bincount(file["windows/window"][:], minlength=int(attributes["windows"]))
        ),
    )
