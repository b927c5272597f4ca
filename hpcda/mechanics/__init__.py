"""Mechanics of a path: the action of one step as a Lagrangian, momenta, energy, the equations of motion.

With the states as coordinates the model part of the action is a discrete action in the sense of J. E.
Marsden, M. West, Discrete mechanics and variational integrators, Acta Numerica 10, 357 (2001); a path of
minimal action obeys discrete Euler-Lagrange equations in which every datum is a kick. Abarbanel, Rozdeba,
Shirman, Neural Computation 30, 2025 (2018), sections 4 and 5, have the continuous form.
"""

from hpcda.mechanics.balance import MomentaUnknownError
from hpcda.mechanics.energy import Energy, energy
from hpcda.mechanics.lagrangian import DiscreteLagrangian, StepMomenta
from hpcda.mechanics.motion import Motion, WindowMotion, motion

__all__ = [
    "DiscreteLagrangian",
    "Energy",
    "MomentaUnknownError",
    "Motion",
    "StepMomenta",
    "WindowMotion",
    "energy",
    "motion",
]
