"""Categorical data: y is 1 for the observed category, else 0; φ = log Σ exp h - y·h, the cross-entropy.

Category k has the probability π_k = exp h_k / Σ exp h. A shift of all h changes nothing: fix it by a prior.
Data may be probabilities as well, y ≥ 0 with the sum 1. (C. M. Bishop, Pattern Recognition and Machine
Learning, Springer 2006, section 4.3.4.)
"""

from functools import reduce

import numpy as np

from hpcda.action.loss import Loss, Options, Quantity
from hpcda.models.trace import held, maximum
from hpcda.problem import Array


def _share(h: Quantity, y: Quantity, s: Quantity, options: Options) -> Quantity:
    logits, found = (list(np.moveaxis(np.asarray(part), -1, 0)) for part in (h, y))
    top = held(reduce(maximum, logits))
    total = sum(np.exp(one - top) for one in logits)
    return np.log(total) + sum(own * (top - one) for own, one in zip(found, logits, strict=True))


def _probabilities(h: Array) -> Array:
    weights = np.exp(h - np.max(h, axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def _root(h: Array) -> Array:
    """The matrix diag √π - π √πᵀ: its product with its transpose is diag π - π πᵀ."""
    chance = _probabilities(h)
    half = np.sqrt(chance)
    return half[..., None] * np.eye(h.shape[-1]) - chance[..., :, None] * half[..., None, :]


def _noise(h: Array, s: Array, options: Options) -> tuple[Array, Array]:
    """The entropy of the categories, and its variance."""
    chance = _probabilities(h)
    shares = -np.log(np.maximum(chance, np.finfo(np.float64).tiny))
    mean = (chance * shares).sum(axis=-1)
    return mean, (chance * (shares - mean[..., None]) ** 2).sum(axis=-1)


def _draw(rng: np.random.Generator, h: Array, s: Array, options: Options) -> Array:
    chance = _probabilities(h)
    drawn = rng.random((*chance.shape[:-1], 1)) > np.cumsum(chance, axis=-1)[..., :-1]
    return np.asarray(np.eye(chance.shape[-1])[drawn.sum(axis=-1)], dtype=np.float64)


def _residual(h: Quantity, y: Quantity, s: Quantity, options: Options) -> Quantity:
    chance = _probabilities(h)
    return (chance - y) / np.sqrt(chance * (1.0 - chance))


LOSS = Loss(
    name="softmax",
    sentence="one of several categories (softmax); only in factor graphs, over several quantities, "
    "the logits",
    share=_share,
    residual=_residual,
    noise=_noise,
    draw=_draw,
    deviation=lambda y, s, options: np.full(np.shape(y), 2.0),
    accepts=lambda y: (y >= 0.0) & (y <= 1.0) & (abs(np.sum(y, axis=-1, keepdims=True) - 1.0) < 1e-9),
    possible="1 for one category and 0 for the others, or probabilities",
    scaled=False,
    joint=True,
    root=_root,
    place=5,
)
