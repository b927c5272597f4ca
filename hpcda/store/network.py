"""/network: what the files of a run hold that trains a network: layers, weights, pairs; written and read."""

from __future__ import annotations

import json
from dataclasses import asdict

import h5py
import numpy as np

from hpcda.action.continuum import Continuum
from hpcda.results.header import facts_of
from hpcda.results.layout import NetworkLayout
from hpcda.results.network import StoredNetwork
from hpcda.store.axes import describe, write_names, write_series, write_units


def read_network(file: h5py.File) -> StoredNetwork:
    """The network of a run, from its index or from a shard of it."""
    group = file["network"]
    low, high = map(float, group.attrs["start"])
    return StoredNetwork(
        widths=tuple(int(width) for width in group["widths"][:]),
        activations=tuple(str(name) for name in group["activation"].asstr()[:]),
        loss=(str(group.attrs["loss"]), json.loads(group.attrs["loss_options"])),
        weight_std=float(group.attrs["weight_std"]),
        bias_std=float(group.attrs.get("bias_std", group.attrs["weight_std"])),
        start=(low, high),
        residual=bool(group.attrs["residual"]),
        input_std=float(group.attrs["input_std"]),
        missing_std=float(group.attrs.get("missing_std", 1.0)),
        shift=group["shift"][:],
        scale=group["scale"][:],
        source=str(group.attrs["source"]),
        teacher=group["teacher"][:] if "teacher" in group else None,
        continuum=_continuum(group),
    )


def _continuum(group: h5py.Group) -> Continuum | None:
    text = group.attrs.get("continuum")
    return None if text is None else Continuum(**json.loads(text))


def write_network(file: h5py.File, layout: NetworkLayout) -> None:
    """Write them into a new file, which has the axes of the ladder already."""
    file.attrs.update(**facts_of(layout), dimension=0, varying=0, windows=1)
    _axes(file["axes"], layout)
    _network(file.create_group("network"), layout.network)
    write_series(file.create_group("windows"), (layout.pairs,), ("data", "noise_std", "series"))
    if layout.held_back is not None:
        write_series(file.create_group("beyond"), (layout.held_back,), ("data", "series"))


def _axes(axes: h5py.Group, layout: NetworkLayout) -> None:
    norms = layout.recorded
    describe(write_names(axes, "unknown", layout.labels), "weights, biases, noisy inputs")
    write_names(axes, "state", ())
    parameter = write_names(axes, "parameter", norms)
    write_units(axes, "parameter", ["1"] * len(norms))
    describe(parameter, "norms of the weights and of the biases of each layer")
    parameter.attrs["limits"] = np.tile([0.0, np.inf], (len(norms), 1))
    parameter.attrs["start_range"] = np.tile(np.asarray(layout.network.start, dtype="f8"), (len(norms), 1))
    observed = write_names(axes, "observed", layout.outputs)
    describe(observed, "outputs of the network")
    if layout.network.loss[0] != "gaussian":
        observed.attrs["loss"] = [layout.network.loss[0]] * len(layout.outputs)
    write_names(axes, "expression", layout.outputs)
    series = write_names(axes, "series", layout.inputs)
    describe(series, "inputs of the network")


def _network(group: h5py.Group, network: StoredNetwork) -> None:
    name, options = network.loss
    group.create_dataset("widths", data=np.asarray(network.widths, dtype="i8"))
    write_names(group, "activation", network.activations)
    group.attrs["loss"], group.attrs["loss_options"] = name, json.dumps(options, sort_keys=True)
    group.attrs["weight_std"], group.attrs["bias_std"] = float(network.weight_std), float(network.bias_std)
    group.attrs["missing_std"] = float(network.missing_std)
    group.attrs["start"] = np.asarray(network.start, dtype="f8")
    group.attrs["residual"], group.attrs["input_std"] = int(network.residual), float(network.input_std)
    group.attrs["source"] = network.source
    if network.continuum is not None:
        group.attrs["continuum"] = json.dumps(asdict(network.continuum), sort_keys=True)
    for key in ("shift", "scale"):
        group.create_dataset(key, data=np.asarray(getattr(network, key), dtype="f8"))
    describe(group["scale"], "inputs are (given - shift) / scale")
    if network.teacher is not None:
        teacher = group.create_dataset("teacher", data=np.asarray(network.teacher, dtype="f8"))
        describe(teacher, "weights that made the pairs, of the teacher's own layers")
