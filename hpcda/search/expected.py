"""Expectation and variance of the measurement part of the action under noise alone.

For Gaussian noise of known width both are n/2, whatever the path. For other noise they depend on the values
that the path has, or on scales that are estimated: `expected_of_data` takes the data for these values, as far
as that can be; what a path says is told by `hpcda.analysis.measured`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.action.losses import LOSSES
from hpcda.problem import Problem


@dataclass(frozen=True)
class Expected:
    """Expectation and variance of the measurement part at the true path.

    Attributes:
        mean: Expectation.
        variance: Variance.
        known: Whether they are known.
    """

    mean: float
    variance: float
    known: bool = True

    @classmethod
    def gaussian(cls, data: int) -> Expected:
        """Of so many data with Gaussian noise of known width."""
        return cls(0.5 * data, 0.5 * data)


def expected_of_data(problem: Problem) -> Expected:
    """What the data alone tell; not known where a scale is estimated."""
    mean = variance = 0.0
    for column, name in enumerate(problem.observed):
        noise = problem.noise.get(name)
        data = [window.data[:, column] for window in problem.windows]
        known = [np.isfinite(values) for values in data]
        count = int(sum(one.sum() for one in known))
        if noise is None:
            mean, variance = mean + 0.5 * count, variance + 0.5 * count
            continue
        if noise.scale is not None:
            return Expected(0.0, 0.0, known=False)
        loss = LOSSES[noise.loss]
        values = np.concatenate([v[k] for v, k in zip(data, known, strict=True)])
        scale = np.concatenate([w.noise_std[k, column] for w, k in zip(problem.windows, known, strict=True)])
        each = loss.noise(loss.guess(values), scale, noise.options)
        mean, variance = mean + float(each[0].sum()), variance + float(each[1].sum())
    return Expected(mean, variance)
