"""Annealing: ways to begin, the ladder, and the step from rung to rung."""

from hpcda.annealing.anneal import Climb, Rung, begin, step
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.outcome import Minimiser, Outcome
from hpcda.annealing.reasons import Reason
from hpcda.annealing.schedule import Schedule
from hpcda.annealing.team import Finished, Team
from hpcda.annealing.ways import WAYS, Way

__all__ = [
    "WAYS",
    "Climb",
    "Finished",
    "Ladder",
    "Minimiser",
    "Outcome",
    "Reason",
    "Rung",
    "Schedule",
    "Team",
    "Way",
    "begin",
    "step",
]
