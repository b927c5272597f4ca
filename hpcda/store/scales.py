"""Names, units and scales of the dimensions of /ensemble and /paths, in a shard as in the index."""

from __future__ import annotations

from typing import Any

from hpcda.store.schema import PER_RUNG, PER_START


def attach_scales(file: Any) -> None:
    """Name the dimensions of /ensemble and /paths, with units, in a shard or in the index."""
    axes, ensemble, paths = file["axes"], file["ensemble"], file["paths"]
    ensemble["start"].make_scale("start")
    for name, (_, unit, meaning) in {**PER_START, **PER_RUNG}.items():
        dataset = ensemble[name]
        dataset.attrs["unit"], dataset.attrs["meaning"] = unit, meaning
        if name != "start":
            dataset.dims[0].label = "start"
            dataset.dims[0].attach_scale(ensemble["start"])
    for group in (ensemble, paths):
        group["check"].attrs["unit"], group["check"].attrs["meaning"] = (
            "1",
            "check sum of what is stored here",
        )
    for name in ("parameters", "check"):
        ensemble[name].dims[0].label = "start"
        ensemble[name].dims[0].attach_scale(ensemble["start"])
    for name in (*PER_RUNG, "parameters", "check"):
        ensemble[name].dims[1].label = "rung"
        ensemble[name].dims[1].attach_scale(axes["rung"])
    ensemble["parameters"].dims[2].label = "parameter"
    ensemble["parameters"].dims[2].attach_scale(axes["parameter"])
    labels = {
        "states": ("path", "point", "unknown"),
        "parameters": ("path", "parameter"),
        "rung": ("path",),
        "check": ("path",),
    }
    scales = {
        "path": paths["start"],
        "point": file["windows/t"],
        **{k: axes[k] for k in ("unknown", "parameter")},
    }
    paths["start"].make_scale("path")
    for name, dims in labels.items():
        for axis, label in enumerate(dims):
            paths[name].dims[axis].label = label
            if paths[name].shape[axis] == scales[label].shape[0] or label == "path":
                paths[name].dims[axis].attach_scale(scales[label])
