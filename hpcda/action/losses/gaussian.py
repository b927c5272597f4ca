"""Gaussian noise: φ = ½ ((h - y)/s)²."""

import numpy as np

from hpcda.action.loss import Loss

LOSS = Loss(
    name="gaussian",
    sentence="Gaussian noise",
    share=lambda h, y, s, options: 0.5 * ((h - y) / s) ** 2,
    residual=lambda h, y, s, options: (h - y) / s,
    noise=lambda h, s, options: (np.full(np.shape(h), 0.5), np.full(np.shape(h), 0.5)),
    draw=lambda rng, h, s, options: h + s * rng.standard_normal(np.shape(h)),
    deviation=lambda y, s, options: np.broadcast_to(s, np.shape(y)).astype(np.float64),
    place=0,
)
