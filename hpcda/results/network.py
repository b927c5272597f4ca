"""A network as a run stores it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

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

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of the norms of the weights and of the biases of each layer."""
        return tuple(f"|{name}{n}|" for n in range(len(self.widths) - 1) for name in "Wb")

    @property
    def priors(self) -> int:
        """Weights and biases that have a prior."""
        held = np.isfinite([self.weight_std, self.bias_std])
        return sum(int(held @ [after * before, after]) for before, after in pairwise(self.widths))

    def labels(self, pairs: Array) -> tuple[str, ...]:
        """Label of every unknown: W0[i,j], b0[i], W1[i,j] and so on; before them x[pair,i] of noisy inputs.

        Args:
            pairs: Numbers of the pairs, shape (pairs,).
        """
        found: list[str] = []
        if self.input_std:
            found += [f"x[{int(m)},{i}]" for m in pairs for i in range(self.widths[0])]
        for n, (before, after) in enumerate(pairwise(self.widths)):
            found += [f"W{n}[{i},{j}]" for i in range(after) for j in range(before)]
            found += [f"b{n}[{i}]" for i in range(after)]
        return tuple(found)
