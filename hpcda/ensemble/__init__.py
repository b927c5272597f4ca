"""The ensemble: rounds of starts on all ranks, stored rung by rung, stopped and taken up again."""

from hpcda.ensemble.earlier import Earlier, look_back
from hpcda.ensemble.ensemble import Ensemble, Lives, Setting

__all__ = ["Earlier", "Ensemble", "Lives", "Setting", "look_back"]
