"""A network as the results of a run hold it, and what their header says of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.formatting import run_lengths
from hpcda.problem import Array
from hpcda.results.layout import NetworkLayout

KIND = "network"
"""What `Header.model_kind` is of a run that trains a network."""


@dataclass(frozen=True)
class StoredNetwork:
    """A network as a run has stored it; see `NetworkLayout`."""

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    loss: tuple[str, dict[str, float]]
    weight_std: float
    bias_std: float
    start: tuple[float, float]
    residual: bool
    input_std: float
    missing_std: float
    shift: Array
    scale: Array
    source: str
    teacher: Array | None

    @classmethod
    def of(cls, layout: NetworkLayout) -> StoredNetwork:
        """The network of a run whose results are in memory."""
        return cls(**{name: getattr(layout, name) for name in cls.__dataclass_fields__})


def facts_of(layout: NetworkLayout) -> dict[str, Any]:
    """What the header of a run says of its network, by the names of `Header`."""
    widths = run_lengths(layout.widths, "-")
    known = np.isfinite(layout.pairs.series)
    held = np.isfinite([layout.weight_std, layout.bias_std])
    priors = sum(int(held @ [after * before, after]) for before, after in pairwise(layout.widths))
    return {
        "model": f"network {widths}",
        "model_title": f"a network of layers {widths}, {run_lengths(layout.activations, ', ')}",
        "model_citation": "",
        "model_kind": KIND,
        "time_unit": "1",
        "discretization": "layers",
        "measured": int(np.isfinite(layout.pairs.data).sum()) + (int(known.sum()) if layout.input_std else 0),
        "prior_terms": priors + int((~known).sum()),
        "trajectory_unknowns": layout.size,
    }
