"""A network as a run stores it."""

from __future__ import annotations

from dataclasses import dataclass

from hpcda.action.continuum import Continuum
from hpcda.problem import Array

KIND = "network"
"""What `Header.model_kind` is of a run that trains a network."""


@dataclass(frozen=True, kw_only=True)
class StoredNetwork:
    """A network as a run stores it: layers, loss, priors, scales of inputs.

    Attributes:
        widths: Units of the layers.
        activations: Name of the activation of every layer after the input.
        loss: Name of the loss of outputs, and its options.
        weight_std: Standard deviation of the prior on weights, infinite for none.
        bias_std: Likewise on biases.
        start: Range in which weights start.
        residual: Whether layers are residual.
        input_std: Standard deviation of the inputs' noise, 0 where they are exact; where they are not, a path
            holds them before the weights.
        missing_std: Standard deviation of the prior on inputs that are not measured.
        shift: What was subtracted from each input, shape (inputs,).
        scale: What each was then divided by.
        source: Where the pairs come from, as a sentence.
        teacher: Weights that made the pairs, None where they are not known.
        continuum: How hidden layers integrate a field, if they do.
    """

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
    source: str = ""
    teacher: Array | None = None
    continuum: Continuum | None = None
