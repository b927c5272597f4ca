"""Losses of data, one per module; each module defines ``LOSS`` (see `hpcda.action.loss`)."""

from hpcda.action.loss import Loss
from hpcda.registry import Registry

LOSSES: Registry[Loss] = Registry("loss", "data.loss", "LOSS", __name__, Loss)

__all__ = ["LOSSES", "Loss"]
