"""The factor of Rf for each model error: per step, or per time.

    per step:  A_model = Rf/2 Σ s r²                 (Ye et al., Nonlin. Processes Geophys. 22, 205 (2015))
    per time:  A_model = Rf/2 Σ h s (r/h)² = Rf/2 Σ (s/h) r²

h is the time that a model error is integrated over (`Scheme.duration` steps of the path). The second is the
sum that goes over into Rf/2 ∫ s |dx/dt - F|² dt as steps are refined (Abarbanel, Rozdeba, Shirman, Neural
Computation 30, 2025 (2018), the continuous action), so that a finer step at the same Rf is the same problem,
solved more closely; under the first Rf would have to grow as 1/h.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.discretizations import SCHEMES
from hpcda.problem import Array, Problem, Window


def step_weights(problem: Problem, window: Window) -> Array:
    """Factors of Rf r²/2 for the model errors of each state in a window, shape (D,)."""
    if problem.model_error == "per step":
        return problem.model_error_weight
    return np.asarray(problem.model_error_weight / (SCHEMES[problem.discretization].duration * window.dt))


def loosest(problem: Problem) -> Array:
    """The smallest of them over all windows, shape (D,): they differ where the steps of windows do."""
    return np.asarray(np.min([step_weights(problem, window) for window in problem.windows], axis=0))
