"""Annealing: the ladder of Rf, and the minimization of many starts from rung to rung."""

from hpcda.annealing.anneal import Climb, step
from hpcda.annealing.ended import ended
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.minimizer import Limits, Minimizer, MinimizerSpec, Snes, Tao
from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import Rung, Task
from hpcda.annealing.schedule import Schedule
from hpcda.annealing.team import Finished, Team

__all__ = [
    "Climb",
    "Finished",
    "Ladder",
    "Limits",
    "Minimizer",
    "MinimizerSpec",
    "Reason",
    "Rung",
    "Schedule",
    "Snes",
    "Tao",
    "Task",
    "Team",
    "ended",
    "step",
]
