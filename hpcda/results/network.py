"""A network as a run has stored it."""

from __future__ import annotations

from dataclasses import dataclass

from hpcda.problem import Array


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
