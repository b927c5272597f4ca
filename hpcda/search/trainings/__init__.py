"""Trainings, one per module; each module defines ``TRAINING`` (see `hpcda.search.training`)."""

from hpcda.registry import Registry
from hpcda.search.training import Training

TRAININGS: Registry[Training] = Registry("training", "ensemble.way", "TRAINING", __name__, Training)

__all__ = ["TRAININGS", "Training"]
