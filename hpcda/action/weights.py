"""The factor of Rf for each model error: per step, or per time; and the steps of intervals.

    per step:  A_model = Rf/2 Σ s r²                 (Ye et al., Nonlin. Processes Geophys. 22, 205 (2015))
    per time:  A_model = Rf/2 Σ h s (r/h)² = Rf/2 Σ (s/h) r²

h is the time that a model error is integrated over (`Scheme.duration` steps of the path). The second is the
sum that goes over into Rf/2 ∫ s |dx/dt - F|² dt as steps are refined (Abarbanel, Rozdeba, Shirman, Neural
Computation 30, 2025 (2018), the continuous action), so that a finer step at the same Rf is the same problem,
solved more closely; under the first Rf would have to grow as 1/h. Where the steps of a window differ, the
first allows each of them the same error, the second errors whose variance is proportional to the step.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.discretizations import SCHEMES
from hpcda.problem import Array, Problem, Window


def interval_steps(problem: Problem, window: Window) -> Array:
    """Steps dt of the rule in every interval, shape (intervals,): 1 for a map."""
    span = SCHEMES[problem.discretization].span
    steps = window.steps[: (window.times - 1) // span * span : span]
    return np.ones(len(steps)) if problem.model.kind == "map" else steps


def step_weights(problem: Problem, window: Window) -> Array:
    """Factors of Rf r²/2 for the model errors of each state in every interval, shape (intervals, D)."""
    scheme, weight = SCHEMES[problem.discretization], problem.model_error_weight
    intervals = (window.times - 1) // scheme.span
    if problem.model_error == "per step":
        return np.tile(weight, (intervals, 1))
    steps = window.steps[: intervals * scheme.span : scheme.span, None]
    return np.asarray(weight / (scheme.duration * steps))


def loosest(problem: Problem) -> Array:
    """The smallest of them over all intervals, shape (D,): they differ where their steps do."""
    every = [step_weights(problem, window).min(axis=0) for window in problem.windows]
    return np.asarray(np.min(every, axis=0))
