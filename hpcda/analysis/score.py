"""Performance of a network on pairs: RMSE or accuracy, and the loss per value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpcda.action.factors import DataLoss
from hpcda.problem import Array

BINS = 10
"""Bins of probability in which it is compared with how often a category was right."""


@dataclass(frozen=True)
class Score:
    """Performance of a network on pairs.

    Attributes:
        pairs: Number of pairs.
        loss: Mean loss in nats, per value, or per pair for categories.
        constant: The loss of a constant prediction: the mean of the training outputs, or the frequencies of
            the training categories.
        rmse: Root mean square error of Gaussian outputs; else None.
        rmse_over_noise: Root mean square of the errors in units of their noise; else None.
        accuracy: Fraction of pairs whose most probable category is right; None without categories.
        confusion: Number of pairs of category i (row) assigned to category j (column).
        reliability: For each nonempty bin of the probability of the chosen category: its mean, the fraction
            that was right, and the number of pairs.
    """

    pairs: int
    loss: float
    constant: float
    rmse: float | None = None
    rmse_over_noise: float | None = None
    accuracy: float | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    reliability: tuple[tuple[float, float, int], ...] = field(default=())

    @property
    def excess(self) -> float | None:
        """Error of outputs over their noise; of others infinite where the constant does better."""
        if self.rmse_over_noise is not None:
            return self.rmse_over_noise
        return float("inf") if self.loss > self.constant else None

    @property
    def error(self) -> float:
        """Error of outputs over their noise; of others the loss, in nats."""
        return self.loss if self.rmse_over_noise is None else self.rmse_over_noise

    def record(self) -> dict[str, Any]:
        """As plain values, without what does not apply."""
        return {key: value for key, value in vars(self).items() if value not in (None, ())}


def score(found: Array, outputs: Array, output: DataLoss | float | Array, trained: Array) -> Score:
    """Compare outputs with measured ones.

    Args:
        found: Outputs of the network, or logits of categories, shape (pairs, outputs).
        outputs: Measured ones, NaN where there is none.
        output: The loss, or the standard deviation of Gaussian noise: one, or one of each output.
        trained: Outputs of the training pairs, for the constant prediction.
    """
    if isinstance(output, DataLoss) and output.loss.joint:
        return _of_categories(found, outputs, trained)
    known = np.isfinite(outputs)
    usual = np.broadcast_to(_usual(trained, output), outputs.shape)
    loss, constant = (float(shares(one, outputs, output).mean()) for one in (found, usual))
    if isinstance(output, DataLoss):
        return Score(len(outputs), loss, constant)
    rmse = float(np.sqrt(np.mean((found - outputs)[known] ** 2)))
    return Score(len(outputs), loss, constant, rmse, float(np.sqrt(2.0 * loss)))


def shares(found: Array, outputs: Array, output: DataLoss | float | Array) -> Array:
    """Share of the measurement part of each measured value, or of each pair of categories, flat.

    Args:
        found: Outputs of the network, shape (pairs, outputs).
        outputs: Measured ones, NaN where there is none.
        output: The loss, or the standard deviation of Gaussian noise: one, or one of each output.
    """
    if not isinstance(output, DataLoss):
        return np.asarray(0.5 * (((found - outputs) / output) ** 2)[np.isfinite(outputs)])
    options = output.loss.optional(output.options)
    if output.loss.joint:
        return np.asarray(output.loss.share(found, outputs, 1.0, options))
    known = np.isfinite(outputs)
    return np.asarray(output.loss.share(found[known], outputs[known], np.ones(known.sum()), options))


def _usual(trained: Array, output: DataLoss | float | Array) -> Array:
    """What a network gives that always gives the same, shape (outputs,); 0 where nothing was measured."""
    known = np.isfinite(trained)
    mean = np.where(known, trained, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    if not isinstance(output, DataLoss):
        return mean
    tried = [mean, output.loss.guess(mean), np.log(np.maximum(mean, 1e-9) / np.maximum(1.0 - mean, 1e-9))]
    options = output.loss.optional(output.options)

    def loss(column: int, h: float) -> float:
        y = trained[known[:, column], column]
        if not len(y):
            return 0.0
        with np.errstate(all="ignore"):
            value = float(np.mean(output.loss.share(np.full_like(y, h), y, np.ones_like(y), options)))
        return value if np.isfinite(value) else np.inf

    columns = range(trained.shape[1])
    return np.array([min((float(one[k]) for one in tried), key=lambda h: loss(k, h)) for k in columns])


def _of_categories(logits: Array, outputs: Array, trained: Array) -> Score:
    top = logits.max(axis=1, keepdims=True)
    logarithm = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    truth, chosen = outputs.argmax(axis=1), logits.argmax(axis=1)
    count = outputs.shape[1]
    confusion = np.zeros((count, count), dtype=int)
    np.add.at(confusion, (truth, chosen), 1)
    sure, right = np.exp(logarithm.max(axis=1)), truth == chosen
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [place == k for k in range(BINS) if (place == k).any()]
    frequency = np.log(np.maximum(trained.mean(axis=0), 1e-300))
    return Score(
        len(outputs),
        float(-(outputs * logarithm).sum(axis=1).mean()),
        float(-(outputs @ frequency).mean()),
        accuracy=float(right.mean()),
        confusion=tuple(map(tuple, confusion.tolist())),
        reliability=tuple((float(sure[b].mean()), float(right[b].mean()), int(b.sum())) for b in bins),
    )
