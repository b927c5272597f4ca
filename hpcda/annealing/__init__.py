"""Annealing: the ladder, and the step from rung to rung, for many starts."""

from hpcda.annealing.anneal import Climb, Rung, step
from hpcda.annealing.ended import ended
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizer import Limits, MinimizerSpec, Snes, Tao
from hpcda.annealing.outcome import Minimiser, Outcome
from hpcda.annealing.reasons import Reason
from hpcda.annealing.schedule import Schedule
from hpcda.annealing.team import Finished, Team

__all__ = [
    "Climb",
    "Finished",
    "Ladder",
    "Limits",
    "Minimiser",
    "MinimizerSpec",
    "Outcome",
    "Reason",
    "Rung",
    "Schedule",
    "Snes",
    "Tao",
    "Team",
    "ended",
    "step",
]
